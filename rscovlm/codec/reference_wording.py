"""The words of released RSCoVLM checkpoints, read from a clone of the reference system's repository.

The clone is read as data: its Python files are parsed, never imported or run. Nothing of it is part of this package; the file
that is written belongs to who ran the command.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_FOLDER = "rscovlm/training/data"
_MOST = 2**20
_KINDS = {"hbb": "hbb", "obb": "obb", "polygon": "quad"}


def read_reference(clone: str | Path) -> dict[str, Any]:
    """Return the wording that a clone of the reference repository trains with, as a dialect's file states it.

    Args:
        clone: Folder of the clone.

    Returns:
        Values of a dialect: ``name``, ``source``, ``codec`` and ``wording`` with the texts of detection, grounding,
        multiple choice and zooming.

    Raises:
        ValueError: A file is missing or has another structure; the message names it and what was looked for.
    """
    root = Path(clone)
    detect, ground = _module(root, "dense_det_dataset.py"), _module(root, "refgeo_dataset.py")
    zoom = _module(root, "visual_cot_dataset.py")
    wording = {
        "detect": _boxes(detect, "categories", "classes"),
        "ground": {"kind": "hbb", **_boxes(ground, "prompt", "expression")},
        "answer_choices": {"user": _choices(zoom)},
        "zoom": _zoom(zoom),
    }
    return {
        "name": "rscovlm-reference",
        "source": "https://github.com/VisionXLab/RSCoVLM",
        "codec": {"space": "pixels", "kind": "quad", "style": "plain"},
        "wording": wording,
    }


class _Module:
    """A parsed file."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self.name = name
        self._functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        self.texts = _assigned(tree.body)

    def function(self, name: str) -> ast.FunctionDef:
        if name not in self._functions:
            raise ValueError(f"{self.name} has no function {name}; this is not the layout of the reference repository")
        return self._functions[name]

    def lacks(self, what: str) -> ValueError:
        return ValueError(f"{self.name} has no {what}; this is not the layout of the reference repository")


def _module(root: Path, name: str) -> _Module:
    path = root / _FOLDER / name
    where = f"{_FOLDER}/{name}"
    if not path.is_file():
        raise ValueError(f"{str(root)!r} has no {where}; give the folder of a clone of the reference repository")
    if path.stat().st_size > _MOST:
        raise ValueError(f"{where} has {path.stat().st_size} bytes; the file of the reference repository has fewer")
    try:
        return _Module(where, ast.parse(path.read_text(encoding="utf-8")))
    except (SyntaxError, UnicodeDecodeError, RecursionError, MemoryError) as error:
        raise ValueError(f"{where} cannot be parsed: {error}") from error


def _boxes(module: _Module, place: str, field: str) -> dict[str, Any]:
    """Return system and user texts by style and box kind, from the two branches of each function that makes messages."""
    system: dict[str, dict[str, str]] = {"plain": {}, "json": {}}
    user: dict[str, dict[str, list[str]]] = {"plain": {}, "json": {}}
    for name, kind in _KINDS.items():
        for style, branch in zip(("json", "plain"), _branches(module, f"get_{name}_messages"), strict=True):
            text = _system(branch)
            if text is not None:
                system[style][kind] = text
            users = [one.replace(f"{{{place}}}", f"{{{field}}}") for one in _templates(module, branch)]
            user[style][kind] = [one for one in users if f"{{{field}}}" in one]
            if not user[style][kind]:
                raise module.lacks(f"template with {{{place}}} for {style} {name} boxes")
    return {"system": {style: texts for style, texts in system.items() if texts}, "user": user}


def _branches(module: _Module, name: str) -> tuple[Sequence[ast.stmt], Sequence[ast.stmt]]:
    """Return the statements that make JSON and those that make plain text."""
    for node in module.function(name).body:
        if isinstance(node, ast.If) and "prob_plain_text_prompt" in ast.unparse(node.test) and node.orelse:
            return node.body, node.orelse
    raise module.lacks(f"choice by prob_plain_text_prompt in {name}")


def _system(branch: Sequence[ast.stmt]) -> str | None:
    texts = _assigned(branch)
    if "sys_prompt" in texts:
        return texts["sys_prompt"]
    for node in _walk(branch):
        if isinstance(node, ast.Dict):
            turn = {
                key.value: value
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant)
            }
            role, content = turn.get("role"), turn.get("content")
            if isinstance(role, ast.Constant) and role.value == "system" and isinstance(content, ast.Constant):
                return str(content.value)
    return None


def _templates(module: _Module, branch: Sequence[ast.stmt]) -> list[str]:
    """Return the user texts of a branch: one that is assigned, or those of the function that chooses among several."""
    for node in branch:
        if not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "prompt_template"):
            continue
        if isinstance(node.value, ast.Constant):
            return [str(node.value.value)]
        if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name):
            body = module.function(node.value.func.id).body
            main = [text for name, text in _assigned(body).items() if name.startswith("MAIN_")]
            others = [
                str(item.value)
                for one in body
                if isinstance(one, ast.Assign) and isinstance(one.value, ast.List)
                for item in one.value.elts
                if isinstance(item, ast.Constant)
            ]
            return [*main, *others]
    raise module.lacks("prompt_template")


def _choices(module: _Module) -> str:
    """Return the text of a multiple-choice question, from the pieces that are joined to it."""
    body = module.function("get_messages").body
    texts = _assigned(list(_statements(body)))
    for node in _walk(body):
        if (
            isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == "question"
            and isinstance(node.value, ast.BinOp)
        ):
            pieces = list(_terms(node.value))
            after = [piece.value for piece in pieces if isinstance(piece, ast.Constant)]
            named = [piece.id for piece in pieces if isinstance(piece, ast.Name)]
            if after and len(named) == 1 and named[0] in texts:
                return "{question}" + texts[named[0]] + "{options}\n" + "".join(map(str, after))
    raise module.lacks("text of multiple-choice questions")


def _zoom(module: _Module) -> dict[str, str]:
    if "SYSTEM_PROMPT" not in module.texts:
        raise module.lacks("SYSTEM_PROMPT")
    found = {"system": module.texts["SYSTEM_PROMPT"]}
    for node in _walk(module.function("get_messages").body):
        if isinstance(node, ast.Dict):
            turn = {
                key.value: value
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant)
            }
            text = turn.get("text")
            if isinstance(text, ast.JoinedStr) and isinstance(text.values[-1], ast.Constant):
                found.setdefault("request", str(text.values[-1].value))
            elif isinstance(text, ast.Constant):
                found.setdefault("crop", str(text.value))
    if len(found) != 3:
        raise module.lacks(f"{'request' if 'request' not in found else 'text'} around a crop")
    return found


def _terms(node: ast.expr) -> Iterator[ast.expr]:
    """Yield what is joined by plus signs, in order."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _terms(node.left)
        yield from _terms(node.right)
    else:
        yield node


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a body and of the branches in it."""
    for node in body:
        yield node
        if isinstance(node, ast.If):
            yield from _statements([*node.body, *node.orelse])


def _walk(body: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """Yield every node of some statements, in the order of the text."""
    pending: list[ast.AST] = list(reversed(body))
    while pending:
        node = pending.pop()
        yield node
        pending.extend(reversed(list(ast.iter_child_nodes(node))))


def _assigned(body: Sequence[ast.stmt]) -> Mapping[str, str]:
    """Return the texts that are assigned to plain names."""
    return {
        node.targets[0].id: node.value.value
        for node in body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }
