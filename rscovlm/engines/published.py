"""What a server of ours publishes of its model, and what a client must know of any: budget, dialect and layout.

``rscovlm serve`` puts it into the entry of its model at ``/v1/models``, in the field ``rscovlm``. Other servers publish
nothing, so that their user states it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rscovlm.codec.dialect import Dialect
from rscovlm.engines.unstated import without_coordinates
from rscovlm.extras import optional
from rscovlm.processing.resolution import PixelBudget

_logger = logging.getLogger(__name__)
FIELD = "rscovlm"
UNKNOWN = "rscovlm-v1"
"""Whose words a model is asked in where nobody says whose it knows."""


@dataclass(frozen=True)
class Published:
    """What a server says of its model.

    Attributes:
        budget: What its processor lets the model see of an image.
        dialect: How the model writes boxes and is asked.
        layout: Layout of its zoom conversations.
    """

    budget: PixelBudget
    dialect: Dialect
    layout: str = "reference"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values; ``raw`` says that conversations may go to the model as they are."""
        return {
            "budget": self.budget.to_dict(),
            "dialect": self.dialect.to_dict(),
            "fingerprint": self.dialect.fingerprint,
            "layout": self.layout,
            "raw": True,
        }

    @classmethod
    def read(cls, body: bytes, model: str) -> Published | None:
        """Return what the answer of ``/v1/models`` says of a model; None where it says nothing, as most servers do.

        Raises:
            ValueError: It says something that cannot be read.
        """
        try:
            listed = json.loads(body)
        except (ValueError, RecursionError):
            return None
        rows = listed.get("data") if isinstance(listed, Mapping) else None
        mine = [
            row
            for row in (rows if isinstance(rows, list) else ())
            if isinstance(row, Mapping) and row.get("id") == model
        ]
        values = mine[0].get(FIELD) if mine else None
        if values is None and isinstance(rows, list):
            others = [
                str(row.get("id"))[:80] for row in rows if isinstance(row, Mapping) and row.get(FIELD) is not None
            ]
            if others:
                _logger.warning("the server publishes budget and dialect of model %s, not of %r", others[0], model)
        if not isinstance(values, Mapping):
            return None
        try:
            return cls(_budget(values.get("budget")), Dialect.from_dict(values.get("dialect")), _layout(values))
        except ValueError as error:
            raise ValueError(
                f"what the server publishes of model {model!r} cannot be read ({error}); "
                "use the same version of rscovlm on both sides"
            ) from error


def _budget(values: Any) -> PixelBudget:
    if not isinstance(values, Mapping) or set(values) != set(PixelBudget().to_dict()):
        raise ValueError(f"its budget is {str(values)[:200]}")
    return PixelBudget(**values)


def _layout(values: Mapping[str, Any]) -> str:
    layout = values.get("layout")
    if not isinstance(layout, str):
        raise ValueError(f"its layout is {str(layout)[:200]}")
    return layout


class Agreement:
    """What client and server know of a model together: what the user states goes before what the server publishes.

    Args:
        dialect: What the user states; None for nothing.
        budget: What the user states; None for nothing.

    Raises:
        ValueError: The dialect is none.
    """

    def __init__(self, dialect: Any, budget: PixelBudget | None) -> None:
        self._dialect = None if dialect is None else Dialect.given(dialect)
        self._budget = budget
        self._adopted: Published | None = None

    @property
    def stated(self) -> bool:
        """Whether the user states all there is to know."""
        return self._dialect is not None and self._budget is not None

    @property
    def worded(self) -> bool:
        """Whether the user states a dialect whose coordinates need no budget."""
        return self._dialect is not None and "pixels" not in (self._dialect.codec.space, self._dialect.codec.obb_space)

    @property
    def budget(self) -> PixelBudget | None:
        """The budget, where it is known."""
        return self._budget or (self._adopted.budget if self._adopted else None)

    @property
    def shows(self) -> PixelBudget | None:
        """By which the server shows images, where that is known: what it publishes goes before what is stated."""
        return self._adopted.budget if self._adopted else self._budget

    @property
    def dialect(self) -> Dialect:
        """The dialect; one that reads no coordinates where it is not known, or where they are pixels of an unknown size."""
        known = self._dialect or (self._adopted.dialect if self._adopted else None)
        if known is None:
            return without_coordinates(Dialect.preset(UNKNOWN))
        in_pixels = "pixels" in (known.codec.space, known.codec.obb_space)
        return without_coordinates(known) if in_pixels and self.budget is None else known

    @property
    def layout(self) -> str | None:
        """The layout of zoom conversations, where it is published."""
        return self._adopted.layout if self._adopted else None

    def adopt(self, published: Published, server: str) -> None:
        """Take what a server publishes for what the user does not state.

        Raises:
            ValueError: It contradicts what the user states or what another replica publishes.
        """
        if self.budget is not None and not leaves_alone(published.budget, self.budget):
            raise ValueError(
                f"{server} shows its model images by {published.budget}, and by {self.budget} they are sent; leave the "
                "budget out to take the server's, and give replicas the same"
            )
        before = self._adopted
        if before is not None and self._dialect is None and before.dialect.fingerprint != published.dialect.fingerprint:
            raise ValueError(
                f"{server} publishes dialect {published.dialect.name!r} and another replica {before.dialect.name!r}, or "
                "with other words; give replicas the same checkpoint"
            )
        self._adopted = before or published


def opened(processor: Any) -> Any:
    """Return the processor of a checkpoint that a user names, or the object given.

    Args:
        processor: An object with ``dialect`` and ``budget``, a folder or a name on the Hub, or None.

    Raises:
        ValueError: The checkpoint's processor cannot be loaded, or the object is none.
    """
    if processor is None:
        return None
    if isinstance(processor, (str, Path)):
        with optional():
            from rscovlm.processing import RSCoVLMProcessor
            from rscovlm.processing.checkpoint_checks import loading
        with loading(Path(processor)):
            processor = RSCoVLMProcessor.from_pretrained(processor, trust_remote_code=False)
    if not isinstance(getattr(processor, "budget", None), PixelBudget) or not hasattr(processor, "dialect"):
        raise ValueError(
            f"processor is a {type(processor).__name__} without dialect and budget; give an RSCoVLMProcessor, or the folder or "
            "name of the checkpoint that is served"
        )
    return processor


def stated_by(processor: Any, dialect: Any, budget: PixelBudget | None) -> tuple[Any, PixelBudget | None]:
    """Return the dialect and the budget that a user states: each by itself, or by the processor of a checkpoint.

    Args:
        processor: What `opened` returned.
        dialect: Goes before the processor's; None for that one.
        budget: Likewise.
    """
    if processor is None:
        return dialect, budget
    return processor.dialect if dialect is None else dialect, budget or processor.budget


def leaves_alone(server: PixelBudget, sent: PixelBudget) -> bool:
    """Tell whether a processor leaves every image as it is whose size another budget planned.

    >>> leaves_alone(PixelBudget(56 * 56, 1008 * 1008), PixelBudget(224 * 224, 504 * 504))
    True
    >>> leaves_alone(PixelBudget(56 * 56, 504 * 504), PixelBudget(224 * 224, 1008 * 1008))
    False
    """
    if server == sent:
        return True
    within = server.min_pixels <= sent.min_pixels and sent.max_pixels <= server.max_pixels
    # Modes that enlarge leave alone only what fills their own budget.
    return server.mode == "native" and server.factor == sent.factor and within
