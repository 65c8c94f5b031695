"""The model card of a run: what it stands on, what it learned from, how, what was measured, and how to load it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import yaml

from rscovlm import __version__
from rscovlm.files import write_text

MARKER = "<!-- written by rscovlm; a card without this line is left as it is -->"

_MEASURED = "eval_"


def write_card(
    folder: Path,
    *,
    base: str | None,
    adapter: bool,
    steps: int,
    samples: int = 0,
    tokens: int = 0,
    history: list[dict[str, Any]] | None = None,
    recipe: Mapping[str, Any] | None = None,
) -> bool:
    """Write a run's card as ``README.md``, unless there is one that this did not write.

    Args:
        folder: The run's folder.
        base: Name or folder of the model that training began from.
        adapter: An adapter was trained.
        steps: Steps done.
        samples: Samples trained.
        tokens: Tokens trained.
        history: Logs of the trainer; what is measured on a fixed set is taken from them.
        recipe: Plain values of the recipe.

    Returns:
        Whether it was written.
    """
    path = folder / "README.md"
    if path.is_file() and MARKER not in path.read_text(encoding="utf-8", errors="replace"):
        return False
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    template = environment.from_string((files("rscovlm.training") / "run_card.md.jinja").read_text(encoding="utf-8"))
    subsets = ((recipe or {}).get("mixture") or {}).get("subsets") or []
    total = sum(subset.get("weight", 1.0) for subset in subsets)
    text = template.render(
        marker=MARKER,
        name=folder.name,
        base=base,
        base_on_hub=base is not None and base.count("/") == 1 and not Path(base).exists(),
        adapter=adapter,
        version=__version__,
        steps=steps,
        samples=samples,
        tokens=tokens,
        subsets=[{**subset, "share": subset.get("weight", 1.0) / total} for subset in subsets] if total else [],
        results=_results(history or []),
        recipe=yaml.safe_dump(dict(recipe), sort_keys=False).strip() if recipe else "",
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, text, overwrite=True)  # a card of our own, as looked at above
    return True


def _results(history: list[dict[str, Any]]) -> list[tuple[int, str, float]]:
    """Return the last measurement on the fixed set."""
    measured = [log for log in history if any(name.startswith(_MEASURED) for name in log)]
    if not measured:
        return []
    figures = {
        name.removeprefix(_MEASURED): value for name, value in measured[-1].items() if name.startswith(_MEASURED)
    }
    return [(int(measured[-1].get("step", 0)), name, float(value)) for name, value in figures.items()]
