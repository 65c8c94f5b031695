"""A dialect: how a family of checkpoints writes objects, and how it is asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from rscovlm.codec.codec import Codec
from rscovlm.codec.tags import BoxKind
from rscovlm.codec.wording import Prompt, Wording
from rscovlm.codec.writing import Style
from rscovlm.geometry.kinds import Kind
from rscovlm.settings.nearest import nearest
from rscovlm.settings.yamlfiles import read_yaml

_KEYS = ("name", "source", "codec", "wording", "inherits")


@dataclass(frozen=True)
class Dialect:
    """The codec and the wording of a family of checkpoints; one YAML file, saved with the processor.

    Attributes:
        name: What the dialect is called.
        codec: How objects are written, and read back.
        wording: What is asked for each task.
        source: Where the form is published.

    >>> Dialect.preset("rscovlm-v1").ask("detect", classes="plane, ship").user
    'find the plane, ship'
    """

    name: str
    codec: Codec
    wording: Wording
    source: str = ""

    @classmethod
    def preset(cls, name: str) -> Dialect:
        """Return a dialect that ships with the package.

        Raises:
            ValueError: For an unknown name.
        """
        if name not in presets():
            raise ValueError(f"dialect is {name!r}{nearest(str(name), presets())}")
        return _preset(name)

    @classmethod
    def load(cls, name: str | Path) -> Dialect:
        """Return a dialect by the name of a preset, or from a YAML file.

        Raises:
            ValueError: It is neither, or the file does not state a dialect; the message names it.
        """
        path = Path(name)
        if str(name) in presets():
            return _preset(str(name))
        if not path.is_file():
            raise ValueError(f"dialect {str(name)!r} is no file and no preset{nearest(str(name), presets())}")
        try:
            return cls.from_dict(read_yaml(path))
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}") from error

    @classmethod
    def from_dict(cls, values: Any) -> Dialect:
        """Return the dialect that `to_dict` gave, or that a YAML file states.

        Tasks that the wording leaves out are asked in the words of the dialect named by ``inherits``, or in those of
        ``rscovlm-v1``.

        Raises:
            ValueError: A key is unknown or missing, or codec or wording is not valid.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"a dialect is {values!r}; give name, codec and wording")
        for key in values:
            if key not in _KEYS:
                raise ValueError(f"a dialect has the unknown key {key!r}{nearest(str(key), _KEYS)}")
        name = values.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError(f"a dialect has the name {name!r}; give it one")
        stated = values.get("codec") or {}
        if not isinstance(stated, Mapping):
            raise ValueError(f"the codec of a dialect is {stated!r}; give its settings by name")
        codec = Codec.from_dict({"name": name, **stated})
        wording = Wording.from_dict(values.get("wording") or {})
        base = values.get("inherits", None if name == _BASE else _BASE)
        if base is not None:
            wording = wording.over(cls.preset(base).wording)
        return cls(name, codec, wording, str(values.get("source") or ""))

    @classmethod
    def given(cls, value: Any) -> Dialect:
        """Return the dialect that a value stands for.

        Args:
            value: A `Dialect`, a `Codec`, the name of a preset, the path of a YAML file, or what ``to_dict`` of either gave.

        Raises:
            ValueError: It is none of these.

        >>> Dialect.given("qwen3-vl") is Dialect.given(Dialect.preset("qwen3-vl"))
        True
        """
        if isinstance(value, Dialect):
            return value
        if isinstance(value, (str, Path)):
            return cls.load(value)
        if isinstance(value, Mapping):
            return cls.from_dict(value) if {"codec", "wording"} & set(value) else cls.of(Codec.from_dict(value))
        return cls.of(value)

    @classmethod
    def of(cls, codec: Codec) -> Dialect:
        """Return the dialect of a codec: the words of the preset of its name, or of ``rscovlm-v1`` if there is none."""
        preset = _preset(codec.name if codec.name in presets() else _BASE)
        return replace(preset, name=codec.name, codec=codec)

    def to_dict(self) -> dict[str, Any]:
        """Return the dialect as plain JSON values, complete in themselves."""
        head = {"name": self.name, "source": self.source, "inherits": None}
        return {**head, "codec": self.codec.to_dict(), "wording": self.wording.to_dict()}

    @property
    def fingerprint(self) -> str:
        """Twelve characters that differ where codec or wording do.

        >>> len(Dialect.preset("rscovlm-v1").fingerprint)
        12
        """
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def form(self, task: str, kind: Kind | None = None, style: Style | None = None) -> tuple[Kind, Style]:
        """Return the box kind and style of a task's answers: those given, else the task's own, else the codec's.

        Raises:
            ValueError: The dialect answers with points, of which a task makes no boxes.
        """
        what, lines = self._form(task, kind, style)
        if what == "point":
            raise ValueError(
                f"dialect {self.name!r} answers {task!r} with points; decode its answers for `Decoded.points`"
            )
        return what, lines

    def ask(self, task: str, *, kind: BoxKind | None = None, style: Style | None = None, **options: Any) -> Prompt:
        """Return what is asked for a task; see `Wording.ask`."""
        what, lines = self._form(task, kind, style)
        return self.wording.ask(task, kind=what, style=lines, **options)

    def _form(self, task: str, kind: BoxKind | None, style: Style | None) -> tuple[BoxKind, Style]:
        own_kind, own_style = self.wording.form(task)
        return kind or own_kind or self.codec.kind, style or own_style or self.codec.style

    def saved(self) -> Any:
        """Return what a processor saves: the name of a preset, or the values of the codec or of the whole dialect."""
        if self.name in presets() and self == _preset(self.name):
            return self.name
        return self.codec.to_dict() if self == Dialect.of(self.codec) else self.to_dict()

    def with_wording(self, wording: Wording) -> Dialect:
        """Return the dialect with other words for the tasks that a wording has."""
        return replace(self, wording=wording.over(self.wording))


_BASE = "rscovlm-v1"


@cache
def presets() -> tuple[str, ...]:
    """Return the names of the dialects that ship with the package.

    >>> "rscovlm-v1" in presets()
    True
    """
    folder = files("rscovlm.codec") / "dialects"
    return tuple(sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")))


@cache
def _preset(name: str) -> Dialect:
    with as_file(files("rscovlm.codec") / "dialects" / f"{name}.yaml") as path:
        return Dialect.from_dict(read_yaml(path))
