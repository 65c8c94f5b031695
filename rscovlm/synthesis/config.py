"""One file says what to synthesise, who writes it, and how much may be spent."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rscovlm.engines.server import Server
from rscovlm.settings.checked import known_fields
from rscovlm.settings.yamlfiles import read_yaml
from rscovlm.synthesis.templates import TemplateConfig
from rscovlm.synthesis.unique import UniqueConfig


@dataclass(frozen=True)
class WriterConfig:
    """Who writes, and within which bounds.

    Attributes:
        endpoint: Base address of an OpenAI-compatible server.
        model: Its name there.
        api_key_env: Environment variable that holds the key; the key itself never stands in a file.
        requests_per_minute: 0 is as fast as it goes.
        max_requests: Per run; None is no bound.
        max_tokens: Of all replies together; None is no bound.
        max_new_tokens: Of one reply.
        concurrency: Requests in flight.
        options: Further fields of the request, such as temperature.
    """

    endpoint: str
    model: str
    api_key_env: str = ""
    requests_per_minute: float = 60
    max_requests: int | None = None
    max_tokens: int | None = None
    max_new_tokens: int = 256
    concurrency: int = 4
    options: Mapping[str, Any] = field(default_factory=dict)

    def server(self) -> Server:
        """Return a client of the endpoint; the key comes from the environment."""
        key = os.environ.get(self.api_key_env) if self.api_key_env else None
        return Server(self.endpoint, self.model, api_key=key, concurrency=self.concurrency, options=self.options)


@dataclass(frozen=True)
class SynthesisConfig:
    """What to make: each part is left out where its section is.

    Attributes:
        templates: Counting and comparing questions.
        unique: Questions about unique targets; needs a writer.
        multiple_choice: Turn all open questions into multiple choice as well; needs a writer.
        writer: Who writes.
        seed: Of the shuffle of options.
    """

    templates: TemplateConfig | None = None
    unique: UniqueConfig | None = None
    multiple_choice: bool = False
    writer: WriterConfig | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.writer is None and (self.unique or self.multiple_choice):
            raise ValueError("unique and multiple_choice need a writer section with endpoint and model")

    @classmethod
    def load(cls, path: str | Path) -> SynthesisConfig:
        """Read a YAML file.

        Raises:
            ValueError: A key is unknown or a value has no meaning; the message names it.
        """
        return cls.from_dict(read_yaml(path) or {})

    @classmethod
    def from_dict(cls, content: Any) -> SynthesisConfig:
        """Build the settings from a mapping.

        Raises:
            ValueError: As `load`.
        """
        values = known_fields(content, cls, "the configuration")
        for name, kind in (("templates", TemplateConfig), ("unique", UniqueConfig), ("writer", WriterConfig)):
            values[name] = _section(kind, values.get(name), name)
        return cls(**values)


def _section(kind: Any, values: Any, name: str) -> Any:
    if values is None:
        return None
    given = known_fields(values, kind, name)
    if "categories" in given:
        given["categories"] = tuple(given["categories"])
    return kind(**given)
