"""The processors as one file that stands alone, for ``trust_remote_code`` where rscovlm is not installed."""

from __future__ import annotations

import ast
from importlib import resources

_MODULES = ("resolution", "pixels", "template", "checkpoint", "image_processor", "processor")
_HEADER = '''"""The processors of rscovlm in one file, written by its `save_pretrained`: install rscovlm rather than edit this.

Frames and boxes in answers need the package itself; everything else works with transformers, numpy and Pillow.
"""
'''


def bundle() -> str:
    """Return the source of one module that defines `RSCoVLMImageProcessor` and `RSCoVLMProcessor`.

    The modules they are made of follow one another; imports among these are dropped, all others gathered at the top.

    Raises:
        ValueError: if two of the modules define the same name, which in one file would be two meanings of one name.
    """
    imports: set[str] = set()
    bodies: list[str] = []
    defined: dict[str, str] = {}
    for module in _MODULES:
        source = resources.files("rscovlm.processing").joinpath(f"{module}.py").read_text(encoding="utf-8")
        lines = source.splitlines()
        for node in ast.parse(source).body:
            for name in _names(node):
                if defined.setdefault(name, module) != module:
                    raise ValueError(
                        f"{name} is defined in both {defined[name]}.py and {module}.py; rename one of them"
                    )
            decorators = getattr(node, "decorator_list", [])
            start = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
            text = "\n".join(lines[start : node.end_lineno])
            if isinstance(node, ast.ImportFrom) and node.level:
                _refuse_renaming(node, module)
            elif isinstance(node, ast.ImportFrom):
                imports |= {f"from {node.module} import {ast.unparse(alias)}" for alias in node.names}
            elif isinstance(node, ast.Import):
                imports |= {f"import {ast.unparse(alias)}" for alias in node.names}
            elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
                bodies.append(text)
    future = "from __future__ import annotations"
    imports.discard(future)
    return "\n".join([_HEADER, future, "", *sorted(imports), "", *(f"\n{body}\n" for body in bodies)])


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def _refuse_renaming(node: ast.ImportFrom, module: str) -> None:
    for alias in node.names:
        if alias.asname is not None:
            raise ValueError(f"{module}.py imports {alias.name} as {alias.asname}; in one file it has one name only")
