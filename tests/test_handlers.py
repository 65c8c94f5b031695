"""Mistakes of ours are seen: nothing catches the errors that they raise, but the few handlers listed here with a reason."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "rscovlm"
MISTAKES = {
    "BaseException",
    "Exception",
    "AttributeError",
    "TypeError",
    "NameError",
    "AssertionError",
    "LookupError",
    "KeyError",
    "IndexError",
}
"""What a mistake in code raises. A handler may catch these where it raises them again, or where it guards one statement that
calls nothing of ours: the conversion of a value, or a look-up."""

LISTED = {
    "rscovlm.records.record.Record.from_dict": "reads the fields of a foreign row, a million times; nothing else is in it",
    "rscovlm.records.tally.Tally.load": "reads counts from a file of a checkpoint",
    "rscovlm.settings.yamlfiles._Loader.construct_object": "PyYAML's constructors on a user's text, which raise anything",
    "rscovlm.engines.answers._piece": "reads one field of what a foreign server sent",
    "rscovlm.metrics.grounding._box": "converts a user's box",
    "rscovlm.processing.checkpoint_checks.loading": "transformers on a damaged checkpoint raises anything; it is the cause",
    "rscovlm.processing.template.same_text": "renders a foreign Jinja template, which may raise anything",
    "rscovlm.processing.template_trial.try_template": "renders a foreign Jinja template, which may raise anything",
    "rscovlm.rasters.cache.Cache.load": "reads a file that may be damaged; without it the image itself is read",
    "rscovlm.rasters.gdal.GdalReader._check_deflated": "tifffile on bytes that strangers sent",
    "rscovlm.rasters.gdal.GdalReader._stored": "tifffile on bytes that strangers sent",
    "rscovlm.rasters.pillow.PillowReader._level": "a Pillow plug-in on bytes that strangers sent",
    "rscovlm.rasters.pillow.PillowReader._open": "a Pillow plug-in on bytes that strangers sent",
    "rscovlm.rasters.raster.Raster._checked": "converts a user's window",
    "rscovlm.rasters.raster._checked_size": "converts a user's size",
    "rscovlm.rasters.tiff.TiffReader._errors": "tifffile on bytes that strangers sent",
    "rscovlm.rasters.plain_xml.plain_xml": "reads XML that strangers wrote",
    "rscovlm.rasters.stated_place._of_tiff": "tifffile on bytes that strangers sent",
    "rscovlm.rasters.vrt.read_vrt": "reads XML that strangers wrote",
    "rscovlm.rasters.tiff_tags.hidden_facts": "tifffile on bytes that strangers sent",
    "rscovlm.rasters.tiff_tags.orientation_of": "tifffile on bytes that strangers sent",
    "rscovlm.serving.batching.Batched._answer": "hands the error to whoever asked",
    "rscovlm.serving.loading._device": "torch refuses a device by an AssertionError where it was built without it",
    "rscovlm.serving.replying.Replying.run": "logs the traceback and answers 500",
    "rscovlm.training.adapters.base_of": "reads one field of a foreign adapter's configuration",
    "rscovlm.training.adapters.merged": "peft on a foreign adapter, which may not fit the model",
    "rscovlm.training.arguments.check_trainer": "builds TRL's configuration from a user's values",
    "rscovlm.training.arguments._built": "builds a configuration of transformers or peft from a user's values",
    "rscovlm.training.attention.choose_attention": "tries foreign kernels, which may raise anything; the fault is reported",
    "rscovlm.training.attention._fault": "tries foreign kernels, which may raise anything; the fault is reported",
    "rscovlm.training.checkpoints.fault_of": "reads a list of files from a checkpoint that may be damaged",
    "rscovlm.training.checkpoints.writing": "raises again what is not of the disk",
    "rscovlm.training.kernels._fault": "tries foreign kernels, which may raise anything; the fault is reported",
    "rscovlm.training.packing.PackedMixture._one_pass": "the end of a walk is an IndexError by Python's protocol",
    "rscovlm.training.plan.LaneState.from_dict": "reads a state from a file of a checkpoint",
    "rscovlm.training.preflight.preflight": "the end of a walk is an IndexError by Python's protocol",
    "rscovlm.training.provenance.read_plan": "reads a state from a file of a checkpoint",
    "rscovlm.training.rounds.Rebalanced.from_dict": "reads a state from a file of a checkpoint",
    "rscovlm.tasks.detections.merged_detections": "raises again, with hours of answers that would else be lost",
    "rscovlm.tasks.tile_journal.FinishedTiles.__init__": "reads rows from a journal that may be damaged",
}
"""Functions whose handlers catch such errors, each with the reason; a comment stands at the handler."""

_FOREIGN = {"ElementTree", "np", "numpy", "operator", "json", "re", "base64", "self.processor"}


def _handlers(tree: ast.AST, name: str) -> Iterator[tuple[str, ast.Try, ast.ExceptHandler]]:
    for node in ast.iter_child_nodes(tree):
        inner = node.name if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) else ""
        if isinstance(node, ast.Try):
            yield from ((name, node, handler) for handler in node.handlers)
        yield from _handlers(node, f"{name}.{inner}" if inner else name)


def _caught(handler: ast.ExceptHandler) -> set[str]:
    if handler.type is None:
        return {"BaseException"}
    nodes = ast.walk(handler.type)
    return {
        node.id if isinstance(node, ast.Name) else node.attr
        for node in nodes
        if isinstance(node, (ast.Name, ast.Attribute))
    }


def _own_calls(body: list[ast.stmt]) -> list[str]:
    """Give what a body calls, but functions of Python, of numpy and of the value that is converted."""
    called = (ast.unparse(node.func) for stmt in body for node in ast.walk(stmt) if isinstance(node, ast.Call))
    return [name for name in called if name not in vars(builtins) and name.rpartition(".")[0] not in _FOREIGN]


def _faults(source: str, module: str) -> Iterator[str]:
    lines = source.splitlines()
    for name, guarded, handler in _handlers(ast.parse(source), module):
        caught = _caught(handler) & MISTAKES
        again = isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None
        plain = len(guarded.body) == 1 and not _own_calls(guarded.body) and "Exception" not in caught
        if not caught or again or (plain and "BaseException" not in caught):
            continue
        commented = any("#" in line for line in lines[handler.lineno - 1 : handler.body[0].lineno])
        if name not in LISTED:
            yield f"{name} catches {', '.join(sorted(caught))}: narrow it, or list it here with its reason"
        elif not commented:
            yield f"{name} has no comment at the handler that says why"


def test_nothing_catches_our_own_mistakes() -> None:
    found: list[str] = []
    names: set[str] = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(("rscovlm", *path.relative_to(PACKAGE).with_suffix("").parts))
        source = path.read_text(encoding="utf-8")
        found += _faults(source, module)
        names |= {name for name, _, handler in _handlers(ast.parse(source), module) if _caught(handler) & MISTAKES}
    found += [f"{name} is listed but catches nothing of the kind; take it off" for name in sorted(set(LISTED) - names)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("body", "fine"),
    [
        ("try:\n    x = int(y)\nexcept TypeError:\n    pass", True),
        ("try:\n    x = np.asarray(y)\nexcept (TypeError, ValueError):\n    pass", True),
        ("try:\n    ours(y)\nexcept ValueError:\n    pass", True),
        ("try:\n    ours(y)\nexcept Exception:\n    undo()\n    raise", True),
        ("try:\n    ours(y)\nexcept TypeError:\n    pass", False),
        ("try:\n    int(y)\n    int(z)\nexcept TypeError:\n    pass", False),
        ("try:\n    int(y)\nexcept Exception:\n    pass", False),
        ("try:\n    int(y)\nexcept:\n    pass", False),
    ],
)
def test_the_rule_tells_what_it_should(body: str, fine: bool) -> None:
    assert (not list(_faults(body, "module"))) == fine
