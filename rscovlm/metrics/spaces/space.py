"""What differs from one metric's Space to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Rows = list[list[Any]]


def unchanged(item: Any) -> Any:
    """Return an item as it is."""
    return item


@dataclass(frozen=True)
class PageForm:
    """What a metric's page asks for and shows.

    Attributes:
        evaluate: Takes predictions, references, the choice and the number of an item; gives the table's rows and a picture as HTML.
        headers: Of the table.
        option: Keyword of the metric that the page lets choose.
        choices: Its values, the default first.
        example: Predictions and references that the page fills in when asked to.
        item: What one of the numbered things is called that is drawn, such as "image"; None draws all.
        legend: Mark -> what it means, in the order drawn; marks are `matched`, `missed`, `false`, `right`, `wrong`.
    """

    evaluate: Callable[[list[Any], list[Any], str, int], tuple[Rows, str]]
    headers: Sequence[str]
    option: str
    choices: Sequence[str]
    example: tuple[list[Any], list[Any]]
    item: str | None
    legend: Mapping[str, str]


@dataclass(frozen=True)
class MetricSpace:
    """A metric as a card, a module of `evaluate` and a page.

    Attributes:
        title: Name of the metric, as its field writes it.
        emoji: Of the Space.
        class_name: Class of the module, which `evaluate` writes in lower case with underscores: the name of the Space.
        metric: The function; its options are the module's.
        compute: Takes predictions, references and the options, as the module gives them, and calls the function.
        features: Takes the package `datasets` and gives the columns of predictions and references.
        store_prediction: Checks a prediction and gives what is stored.
        store_reference: Checks a reference and gives what is stored.
        summary: One sentence for the head of the card.
        about: The card's description.
        module: The module's description.
        usage: Lines of Python with `module`, of which the last gives the first figure.
        value: What that last line gives.
        inputs: Of the card, a Markdown list.
        arguments: Of the module, predictions and references.
        output: Of the card, Markdown.
        returns: Of the module.
        papers: Values from papers.
        limits: What the metric does not do.
        citation: A BibTeX entry.
        page: The page.
        licence: A sentence about what else is shipped; empty for none.
    """

    title: str
    emoji: str
    class_name: str
    metric: Callable[..., dict[str, Any]]
    compute: Callable[..., dict[str, Any]]
    features: Callable[[Any], dict[str, Any]]
    summary: str
    about: str
    module: str
    usage: str
    value: str
    inputs: str
    arguments: str
    output: str
    returns: str
    papers: str
    limits: str
    citation: str
    page: PageForm
    store_prediction: Callable[[Any], Any] = unchanged
    store_reference: Callable[[Any], Any] = unchanged
    licence: str = ""
