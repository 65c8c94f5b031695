"""A method that replaces one of a library takes all that the library's takes, and passes it on."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import pkgutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import rscovlm
from rscovlm.metrics.spaces import NAMES
from rscovlm.metrics.spaces.files import space_files
from rscovlm.processing import RSCoVLMProcessor
from tests.hub.loopback import serving

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = {"transformers", "trl", "peft", "accelerate", "evaluate", "torch", "datasets", "huggingface_hub"}
ASKED = ("._compute", ".RSCoVLMProcessor.__call__")
"""Hooks that the library calls with every argument: evaluate computes from predictions and references. The processor names only the
arguments that it takes, as its peers do; videos and audio, which it refuses, still arrive by name."""
P = inspect.Parameter


def _modules() -> Iterator[Any]:
    """Import every module of the package, and the metrics that are published as cards."""
    for found in pkgutil.walk_packages(rscovlm.__path__, "rscovlm."):
        if not found.name.endswith("__main__"):
            try:
                yield importlib.import_module(found.name)
            except ModuleNotFoundError as error:  # an extra that is not installed
                assert not str(error.name).startswith("rscovlm"), error
    for name in NAMES:
        path = Path(tempfile.mkdtemp()) / f"{name}.py"  # kept: the source of what is found is read
        path.write_text(space_files(name)[path.name], encoding="utf-8")
        spec = importlib.util.spec_from_file_location(f"card_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        yield module


def _overrides() -> Iterator[tuple[str, Callable[..., Any], Callable[..., Any]]]:
    """Give each method of ours that replaces one of a library, and the one it replaces; constructors aside, which are called by name
    of their class."""
    seen = set()
    for module in _modules():
        for kind in vars(module).values():
            if not inspect.isclass(kind) or kind.__module__ != module.__name__ or kind in seen:
                continue
            seen.add(kind)
            foreign = [base for base in kind.__mro__[1:] if base.__module__.partition(".")[0] in LIBRARIES]
            for name, own in vars(kind).items():
                base = next((vars(base)[name] for base in foreign if name in vars(base)), None)
                own, base = (getattr(one, "__func__", one) for one in (own, base))
                if name not in ("__init__", "__new__") and inspect.isfunction(own) and inspect.isfunction(base):
                    yield f"{module.__name__}.{kind.__name__}.{name}", own, base


def narrowed(own: Callable[..., Any], base: Callable[..., Any]) -> list[str]:
    """Say what a call of `base` may hold that `own` does not take, or takes otherwise."""
    mine, theirs = (inspect.signature(one, follow_wrapped=True).parameters for one in (own, base))
    kinds = {parameter.kind for parameter in mine.values()}
    faults = []
    for name, parameter in theirs.items():
        if parameter.kind in (P.VAR_POSITIONAL, P.VAR_KEYWORD):
            if parameter.kind not in kinds:
                faults.append(f"takes no {parameter}")
        elif name not in mine:
            if P.VAR_KEYWORD not in kinds:
                faults.append(f"takes no {name!r}")
        elif parameter.default is not P.empty and mine[name].default is P.empty:
            faults.append(f"wants {name!r}, which has a default there")
    placed = [
        [p.name for p in one.values() if p.kind in (P.POSITIONAL_ONLY, P.POSITIONAL_OR_KEYWORD)]
        for one in (mine, theirs)
    ]
    if placed[0][: len(placed[1])] != placed[1] and P.VAR_POSITIONAL not in kinds:
        faults.append(f"takes {placed[0]} by place instead of {placed[1]}")
    faults += [
        f"wants {name!r}, which the other does not know"
        for name, parameter in mine.items()
        if name not in theirs
        and parameter.default is P.empty
        and parameter.kind not in (P.VAR_POSITIONAL, P.VAR_KEYWORD)
        and not (parameter.kind is P.POSITIONAL_OR_KEYWORD and any(p.kind is P.VAR_POSITIONAL for p in theirs.values()))
    ]
    return faults


def test_no_override_narrows_what_it_replaces() -> None:
    found = {name: narrowed(own, base) for name, own, base in _overrides()}
    assert len(found) > 10
    faulty = {name: faults for name, faults in found.items() if faults and not name.endswith(ASKED)}
    assert not faulty, "\n".join(f"{name} {'; '.join(faults)}" for name, faults in faulty.items())


def test_overrides_use_all_that_they_take() -> None:
    """What a method takes and passes to the one it replaces must reach it: an argument that is not looked at is lost."""
    lost = []
    for name, own, _ in _overrides():
        tree = ast.parse(textwrap.dedent(inspect.getsource(own))).body[0]
        assert isinstance(tree, ast.FunctionDef)
        loaded = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        if f"super().{own.__name__}" not in ast.unparse(tree):
            continue
        given = [parameter for parameter in inspect.signature(own).parameters if parameter not in ("self", "cls")]
        lost += [f"{name} drops {parameter!r}" for parameter in given if parameter not in loaded]
    assert not lost, "\n".join(lost)


PUSH = """
import sys
from transformers import AutoProcessor, processing_utils
import rscovlm
processor = AutoProcessor.from_pretrained(rscovlm.embedded_model())
stock = processing_utils.ProcessorMixin
call = {"ours": processor.save_pretrained, "stock": lambda *a, **k: stock.save_pretrained(processor, *a, **k)}[sys.argv[1]]
call(sys.argv[2], push_to_hub=True, repo_id="me/secret", private=True, token="hf_test", commit_message="first")
"""


def test_a_private_push_is_private(tmp_path: Path) -> None:
    asked = {}
    for who in ("stock", "ours"):
        with serving() as hub:
            given = os.environ | {"HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HOME": str(tmp_path)}
            command = [sys.executable, "-c", PUSH, who, str(tmp_path / who)]
            done = subprocess.run(
                command, check=False, env=given, cwd=ROOT, capture_output=True, text=True, timeout=240
            )
            assert done.returncode == 0, done.stderr
            asked[who] = hub.created, [commit["summary"] for commit in hub.commits]
            files = set(hub.files["me/secret"])
    assert asked["ours"] == asked["stock"]
    (made,), summaries = asked["ours"]
    assert made.get("private") is True or made.get("visibility") == "private", made
    assert summaries == ["first"]
    # What older tools look for is uploaded too; a configuration that says the type alone would replace the model's own.
    assert (
        files == {path.name for path in (tmp_path / "ours").iterdir()} - {"config.json"} > {"preprocessor_config.json"}
    )


def test_revision_and_cache_are_taken_by_place_as_in_transformers(tmp_path: Path) -> None:
    here = rscovlm.embedded_model()
    first = RSCoVLMProcessor.from_pretrained(here, str(tmp_path), False, True, None, "main")
    assert first.to_dict() == RSCoVLMProcessor.from_pretrained(here).to_dict()
    with pytest.raises(OSError, match="offline|local|cache|find"):
        RSCoVLMProcessor.from_pretrained("me/nowhere", str(tmp_path), False, True)


class _Base:
    def save(self, folder: str, push: bool = False, *, token: str = "", **more: Any) -> None: ...


class _Same(_Base):
    def save(self, folder: str, push: bool = False, **more: Any) -> None: ...


class _Narrow(_Base):
    def save(self, folder: str, *, push: bool = False, token: str = "") -> None:  # type: ignore[override]
        ...


class _Wanting(_Base):
    def save(self, folder: str, push: bool, name: str, **more: Any) -> None:  # type: ignore[override]
        ...


@pytest.mark.parametrize(("kind", "faults"), [(_Same, 0), (_Narrow, 2), (_Wanting, 2)])
def test_the_rule_tells_what_it_should(kind: type[_Base], faults: int) -> None:
    assert len(narrowed(kind.save, _Base.save)) == faults
