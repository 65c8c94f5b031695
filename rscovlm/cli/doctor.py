"""``rscovlm doctor``: what is installed, what is missing, and whether boxes survive the way to text and back."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from rscovlm import __version__
from rscovlm.cli.answers import CommandAnswer, answers
from rscovlm.cli.refusals import refusals
from rscovlm.extras import EXTRAS

_PACKAGES = (
    "numpy",
    "shapely",
    "pillow",
    "jinja2",
    "huggingface_hub",
    "transformers",
    "torch",
    "torchvision",
    "accelerate",
    "trl",
    "peft",
    "datasets",
    "evaluate",
    "rasterio",
    "pyarrow",
    "starlette",
    "vllm",
)
_GIVES = {
    "train": "training, adapters and exporting (rscovlm train, export)",
    "eval": "the metrics as evaluate modules",
    "geo": "GeoTIFF by GDAL, Parquet and GeoPackage",
    "demo": "rscovlm demo",
    "torch": "models in this process",
    "vllm": "models by vLLM",
    "sam": "masks by SAM 2 checkpoints",
    "qlora": "training of adapters on weights of 4 or 8 bits",
    "deepspeed": "ZeRO over several GPUs",
    "liger": "fused kernels in training",
    "spaces": "the pages of Spaces",
    "serve": "the endpoint (rscovlm serve)",
    "interchange": "objects to and from supervision, geopandas and SAHI",
    "mcp": "tools for agents (rscovlm mcp)",
}


@answers
def doctor() -> CommandAnswer:
    """Report versions, devices, missing extras and a round trip of a box; names no folder, user or token. Exit 1 on a fault."""
    with refusals("rscovlm doctor"):
        found = report()
    return CommandAnswer(found, _text(found), 0 if found["round_trip"]["exact"] else 1)


def report() -> dict[str, Any]:
    """Return what an issue needs to know of this machine: no paths, no names of users or hosts, no tokens.

    >>> report()["round_trip"]["exact"]
    True
    """
    return {
        "rscovlm": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": os.cpu_count(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "devices": _devices(),
        "missing_extras": _missing(),
        # Their values may name folders or hold tokens.
        "variables_set": sorted(name for name in os.environ if name.startswith(("HF_", "RSCOVLM_", "CUDA_"))),
        "round_trip": round_trip(),
    }


def round_trip() -> dict[str, Any]:
    """Write a box as text, read it back, and compare, in the dialect that the embedded model answers in.

    >>> round_trip()["read"]
    [[120.0, 40.0, 310.0, 200.0]]
    """
    from rscovlm.codec import Codec
    from rscovlm.geometry import Boxes, Frame, Objects

    frame = Frame(1000, 1000)
    boxes = Boxes([[120.0, 40.0, 310.0, 200.0]], "hbb", frame)
    codec = Codec.preset("rscovlm-v1")
    text = codec.encode(Objects(boxes, ("plane",)), frame, kind="hbb")
    read = codec.decode(text, frame, kind="hbb").objects
    same = read.labels == ("plane",) and read.boxes.coords.tolist() == boxes.coords.tolist()
    return {"text": text.strip(), "read": read.boxes.coords.tolist(), "exact": same}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _devices() -> list[str]:
    """Return what models can run on, as torch sees it."""
    if find_spec("torch") is None:
        return []
    import torch

    found = [
        f"{torch.cuda.get_device_name(number)}, {torch.cuda.get_device_properties(number).total_memory // 2**20} MiB"
        for number in range(torch.cuda.device_count())
    ]
    return [*found, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def _missing() -> dict[str, dict[str, Any]]:
    """Return the extras of which a package is not installed, with what they would give."""
    found: dict[str, dict[str, Any]] = {}
    for package, extra in EXTRAS.items():
        if find_spec(package) is None:
            found.setdefault(extra, {"packages": [], "gives": _GIVES[extra]})["packages"].append(package)
    return found


def _text(found: dict[str, Any]) -> str:
    lines = [f"rscovlm {found['rscovlm']}, Python {found['python']}, {found['system']}, {found['threads']} threads", ""]
    lines += [f"{name:<18}{number or 'not installed'}" for name, number in found["packages"].items()]
    lines += ["", f"devices: {', '.join(found['devices']) or 'none: torch is not installed'}"]
    if found["variables_set"]:
        lines.append(f"variables set: {', '.join(found['variables_set'])}")
    for extra, about in found["missing_extras"].items():
        lines.append(f'pip install "rscovlm[{extra}]" gives {about["gives"]} (missing: {", ".join(about["packages"])})')
    trip = found["round_trip"]
    lines.append(
        f"a box as text and back: {trip['text']} -> {trip['read']}: {'exact' if trip['exact'] else 'NOT exact'}"
    )
    return "\n".join(lines)
