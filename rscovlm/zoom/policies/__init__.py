"""Where to look: the policies of the chain, one file and one line each."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rscovlm.settings.nearest import nearest
from rscovlm.zoom.policies.inquiry import Policy

POLICIES = {
    "tree": "TreeSearch",
    "grid": "GridSearch",
    "assess": "AssessFirst",
    "branch": "PlanAndBranch",
    "vote": "Vote",
    "distance": "DistanceRouter",
}
"""File of a policy, which is its name for users -> its class. ``call`` (the model's own calls) and ``none`` need no file."""

NAMES = ("call", "none", *POLICIES)


def policy_named(name: str, **settings: Any) -> Policy:
    """Return a policy by name, with its settings.

    Raises:
        ValueError: No policy has this name, or a setting has no meaning.

    >>> policy_named("vote", votes=5).name
    'vote'
    """
    if name not in POLICIES:
        raise ValueError(f"policy is {name!r}{nearest(name, NAMES)}")
    kind = getattr(import_module(f"rscovlm.zoom.policies.{name}"), POLICIES[name])
    made: Policy = kind(**settings)
    return made
