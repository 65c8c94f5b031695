"""The card of a model: what it stands on, what it learned from, how, what was measured, and how to load it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path, PureWindowsPath
from typing import Any

import jinja2
import yaml

from rscovlm.files import mark
from rscovlm.hub.faults import is_repo, redacted

MARKER = "<!-- written by rscovlm; a card without this line is left as it is -->"
FACTS_FILE = "rscovlm_card.json"
"""File of a run's folder that holds what its card is written from."""

_EVALUATION = "evaluation"
_SECRET = ("token", "api_key", "password", "secret")


def read_facts(folder: Path) -> dict[str, Any]:
    """Return what a run wrote about itself for its card; nothing where no run of ours wrote there.

    Args:
        folder: A run's folder, or one of its checkpoints.

    Raises:
        ValueError: The file is damaged.
    """
    path = folder / FACTS_FILE
    if not path.is_file():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); save the run again, or remove the file") from error
    if not isinstance(facts, dict) or facts.get("generator") != mark("card"):
        raise ValueError(f"{path} was not written by a run of rscovlm; remove the file")
    return facts


def read_evaluation(folder: Path) -> dict[str, Any]:
    """Return ``results`` for a `model-index`, and the commands that made them, of folders that `rscovlm eval` wrote.

    Args:
        folder: Holds `model-index.yaml`.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It was not written by us.
    """
    path = folder / "model-index.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; give a folder that `rscovlm eval` wrote")
    text = path.read_text(encoding="utf-8")
    if not text.startswith(f"# {mark(_EVALUATION)}"):
        raise ValueError(f"{path} was not written by `rscovlm eval`; give a folder that it wrote")
    results = [row for model in yaml.safe_load(text)["model-index"] for row in model["results"]]
    asked = dict.fromkeys((row["dataset"]["type"], row["dataset"].get("config", "default")) for row in results)
    return {"results": results, "suites": [" --variant ".join(one).removesuffix(" --variant default") for one in asked]}


def model_card(
    facts: Mapping[str, Any], *, repo: str, licence: str | None = None, evaluation: Mapping[str, Any] | None = None
) -> str:
    """Write the card of a run from what it wrote about itself.

    Args:
        facts: What `read_facts` gives, or less: only what is known is written.
        repo: How it will be loaded: `<owner>/<name>`, or a folder's name.
        licence: Identifier for the weights.
        evaluation: What `read_evaluation` gives.

    Returns:
        Markdown with its head.
    """
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters["cell"] = cell
    template = environment.from_string((files("rscovlm.hub") / "model_card.md.jinja").read_text(encoding="utf-8"))
    recipe = facts.get("recipe")
    plain = {name: in_one_line(value) for name, value in facts.items() if name != "recipe"}
    known = {"adapter": False, "steps": 0, "version": "", "results": [], "subsets": [], "settings": {}, **plain}
    written = yaml.safe_dump(recipe, sort_keys=False).strip() if recipe else ""
    results = list((evaluation or {}).get("results", ()))
    text = template.render(
        marker=MARKER,
        name=repo.rpartition("/")[2],
        repo=repo,
        facts=known,
        head=_head(known, repo, licence, results),
        measured=[_row(result, metric) for result in results for metric in result["metrics"]],
        commands=[
            f"rscovlm eval --suite {suite} --model {repo} --data DATA --out RUN"
            for suite in (evaluation or {}).get("suites", ())
        ],
        recipe=written,
        fence="````" if "```" in written else "```",
    )
    return redacted(text)


def without_secrets(value: Any) -> Any:
    """Return plain values without tokens and keys of services.

    Args:
        value: A tree of plain values, such as a recipe.

    >>> without_secrets({"model": "/data/base", "train": {"hub_token": "x", "seed": 1}})
    {'model': '/data/base', 'train': {'seed': 1}}
    """
    if isinstance(value, Mapping):
        return {name: without_secrets(inner) for name, inner in value.items() if not _secret(str(name), inner)}
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    return redacted(value) if isinstance(value, str) else value


def without_paths(value: Any) -> Any:
    """Return plain values with absolute paths, which say how this machine is laid out, cut to their last names.

    Args:
        value: A tree of plain values, such as a recipe.

    >>> without_paths({"model": "/data/base", "records": "train.jsonl"})
    {'model': 'base', 'records': 'train.jsonl'}
    """
    if isinstance(value, Mapping):
        return {name: without_paths(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(inner) for inner in value]
    if not isinstance(value, str) or "\n" in value:
        return value
    for kind in (Path, PureWindowsPath):
        if kind(value).is_absolute():
            return kind(value).name
    return value


def in_one_line(value: Any) -> Any:
    """Return plain values whose texts have no line breaks and nothing invisible: names of a user's must not end a card's head.

    Args:
        value: A tree of plain values.

    >>> in_one_line({"name": "a\\n---\\nb"})
    {'name': 'a --- b'}
    """
    if isinstance(value, Mapping):
        return {in_one_line(name): in_one_line(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [in_one_line(inner) for inner in value]
    if isinstance(value, str):
        return " ".join("".join(one if one.isprintable() else " " for one in value).split())
    return value


def cell(value: Any) -> str:
    r"""Return a text that is one cell of a table, and nothing of Markdown or HTML.

    Args:
        value: Anything, in one line.

    >>> print(cell("a|b"))
    a\|b
    """
    return re.sub(r"([\\|`*\[\]<>])", r"\\\1", str(value))


def _secret(name: str, value: Any) -> bool:
    return isinstance(value, str) and any(name.endswith(ending) for ending in _SECRET)


def _head(facts: Mapping[str, Any], repo: str, licence: str | None, results: list[Any]) -> str:
    base = facts.get("base")
    head: dict[str, Any] = {}
    if licence:
        head["license"] = licence
    if isinstance(base, str) and is_repo(base) and not Path(base).exists():
        head["base_model"] = base
        head["base_model_relation"] = "adapter" if facts["adapter"] else "finetune"
    head["library_name"] = "peft" if facts["adapter"] else "transformers"
    head["pipeline_tag"] = "image-text-to-text"
    head["tags"] = ["rscovlm", "remote-sensing", "trl", "sft"]
    index = [*results, *_trained(facts)]
    if index:
        head["model-index"] = [{"name": repo.rpartition("/")[2], "results": index}]
    return yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip()


def _trained(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what was measured while training as an entry of a `model-index`."""
    if not facts["results"]:
        return []
    metrics = [
        {"type": name, "name": name, "value": value, "args": {"protocol": f"the run's fixed set after step {step}"}}
        for step, name, value in facts["results"]
        if math.isfinite(value)
    ]
    data = {"name": "the recipe's fixed set", "type": "rscovlm-fixed-set"}
    return [{"task": {"type": "image-text-to-text"}, "dataset": data, "metrics": metrics}]


def _row(result: Mapping[str, Any], metric: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "data": result["dataset"]["name"],
        "metric": metric["name"],
        "value": metric["value"],
        "protocol": metric.get("args", {}).get("protocol", ""),
    }
