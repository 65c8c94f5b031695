"""The files of a metric's Space, from what differs and the templates."""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.resources import files

import jinja2

from rscovlm.metrics.spaces import NAMES
from rscovlm.metrics.spaces.space import MetricSpace

GRADIO = "6.31.0"
"""Version that the Spaces run on and that their pages are tested with."""

_REQUIREMENTS = ("evaluate>=0.4.6,<0.5", "datasets>=5,<6", "rscovlm>=0.1.0.dev0")


def metric_space(name: str) -> MetricSpace:
    """Return what differs in the Space of a metric.

    Raises:
        ValueError: No such Space exists.

    >>> metric_space("acc_at_05").title
    'Acc@0.5'
    """
    if name not in NAMES:
        raise ValueError(f"metric is {name!r}; choose from {', '.join(NAMES)}")
    space: MetricSpace = import_module(f"rscovlm.metrics.spaces.{name}").SPACE
    return space


def space_files(name: str) -> dict[str, str]:
    """Return the texts of a metric's Space by file name.

    Raises:
        ValueError: No such Space exists.

    >>> sorted(space_files("ap_nc"))
    ['README.md', 'ap_nc.py', 'app.py', 'requirements.txt']
    """
    space = metric_space(name)
    # Options are what the function has beyond its two inputs; those that the module makes of the references are not.
    given = inspect.signature(space.metric).parameters.values()
    options = {one.name: repr(one.default) for one in given if one.default is not inspect.Parameter.empty}
    values = {"space": space, "name": name, "options": options, "gradio": GRADIO, "usage": space.usage.splitlines()}
    return {
        "README.md": _written("README.md.jinja", values),
        f"{name}.py": _written("module.py.jinja", values),
        "app.py": _written("app.py.jinja", values),
        "requirements.txt": "".join(f"{line}\n" for line in _REQUIREMENTS),
    }


def _written(template: str, values: dict[str, object]) -> str:
    """Return a template of ours, filled in; nothing is escaped, since these are texts for Markdown and Python."""
    text = (files("rscovlm.metrics.spaces") / template).read_text(encoding="utf-8")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=False)
    return environment.from_string(text).render(values)
