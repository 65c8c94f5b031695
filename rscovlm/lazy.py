"""Packages whose names are loaded when first used, so that importing one costs nothing until a part of it is needed."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable
from typing import Any

import lazy_loader

from rscovlm.extras import optional


def lazy_names(
    package: str, file: str, *, extra: str | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    The names are listed once, in the ``__init__.pyi`` beside the package's ``__init__.py``, where type checkers read them
    too; modules of the package are found by name as well.

    Args:
        package: The package's ``__name__``.
        file: Its ``__file__``.
        extra: The extra to name where a module needs a package that is not installed; by default the smallest one.

    >>> import rscovlm.geometry
    >>> "Boxes" in dir(rscovlm) and "geometry" in dir(rscovlm)
    True
    """
    load, _, names = lazy_loader.attach_stub(package, file)

    def modules() -> set[str]:
        return {module.name for module in pkgutil.iter_modules(sys.modules[package].__path__)} - {"__main__"}

    def get(name: str) -> Any:
        if name in names:
            with optional(extra):
                return load(name)
        if not name.startswith("__") and name in modules():
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get, lambda: sorted({*names, *modules(), *vars(sys.modules[package])}), names
