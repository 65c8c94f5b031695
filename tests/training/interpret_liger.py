"""Liger's kernels in Triton's interpreter, which needs no GPU: run by test_kernels where both packages are installed.

The interpreter of triton 3.9 knows neither floats among a kernel's arguments nor the GPU's own reciprocal root; both are
given to it here as the compiler has them, and nothing else is changed.
"""

import os
from typing import Any

import numpy as np
import torch

from rscovlm.training.kernels import fuse, liger_kernels
from rscovlm.training.tiny import Family, build_model
from tests.training.test_kernels import GATED, NORMS, Words


def _complete_interpreter() -> None:
    import liger_kernel.ops.rms_norm as norms
    import triton.language as tl
    from triton.runtime import interpreter

    given = interpreter._implicit_cvt

    def with_floats(argument: Any) -> Any:
        if isinstance(argument, float):
            handle = interpreter.TensorHandle(np.array([argument], dtype=np.float32), tl.float32)
            return tl.tensor(handle, tl.float32)
        return given(argument)

    interpreter._implicit_cvt = with_floats
    for kernel in vars(norms).values():
        if hasattr(kernel, "fn") and hasattr(kernel.fn, "__globals__"):
            kernel.fn.__globals__["rsqrt"] = lambda x: tl.rsqrt(x)


def main() -> None:
    os.environ["TRITON_INTERPRET"] = "1"  # before triton is imported
    _complete_interpreter()
    families: list[Family] = ["qwen2_5_vl", "qwen3_vl"]
    for family in families:
        ids = torch.arange(1, 25)[None]
        model = build_model(Words(), family=family)
        model(input_ids=ids, labels=ids).loss.backward()
        expected = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
        model.zero_grad()
        said = fuse(model, liger_kernels(), "cpu")
        assert said == {"RMS norms": f"{NORMS[family]} fused", "SwiGLU layers": f"{GATED[family]} fused"}, said
        model(input_ids=ids, labels=ids).loss.backward()
        for name, gradient in expected.items():
            found = model.get_parameter(name).grad
            assert torch.allclose(found, gradient, atol=1e-5 * float(gradient.abs().max()), rtol=1e-3), name
        print(family, said)


if __name__ == "__main__":
    main()
