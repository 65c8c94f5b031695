"""What the Hub or the line to it did wrong, as one sentence without secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{16,}")
"""Access tokens of the Hub: the prefix and 34 letters and digits today."""

_REPO = re.compile(r"[A-Za-z0-9_][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)


def redacted(text: str, token: str | None = None) -> str:
    """Return a text without access tokens of the Hub.

    Args:
        text: Any text.
        token: The token in use; others are known by their form.

    >>> redacted("Bearer hf_abcdefghijklmnopqrstuvwx")
    'Bearer <token>'
    """
    return _TOKEN.sub("<token>", text.replace(token, "<token>") if token else text)


def holds_token(data: bytes, token: str | None = None) -> bool:
    """Tell whether some bytes hold an access token of the Hub.

    Args:
        data: Content of a file.
        token: The token in use; others are known by their form.

    >>> holds_token(b"hub_token: hf_abcdefghijklmnopqrstuvwx")
    True
    """
    return bool(_TOKEN.search(data.decode("latin-1"))) or bool(token and token.encode() in data)


def is_repo(name: str) -> bool:
    """Tell whether a text can be the name of a repository.

    Args:
        name: Such as `<owner>/<name>`.

    >>> is_repo("Qwen/Qwen3-VL-4B"), is_repo("./nope")
    (True, False)
    """
    return bool(_REPO.fullmatch(name)) and ".." not in name and "--" not in name


def check_repo(repo: str) -> None:
    """Refuse what cannot be the name of a repository, before anything is read or sent.

    Args:
        repo: `<owner>/<name>`.

    Raises:
        ValueError: It is another thing, such as the path of a folder.

    >>> check_repo("./nope")
    Traceback (most recent call last):
    ValueError: './nope' is no repository of the Hub; give OWNER/NAME
    """
    if not is_repo(repo):
        raise ValueError(f"{repo!r} is no repository of the Hub; give OWNER/NAME")


@contextmanager
def hub_faults(action: str, repo: str, token: str | None) -> Iterator[None]:
    """Raise whatever the Hub's client raises as an error of one sentence, in which no token is.

    Args:
        action: What is done, such as "pushing".
        repo: `<owner>/<name>`.
        token: The token in use, or None for the stored one.

    Raises:
        FileNotFoundError: There is no such repository or revision, or the token does not show it.
        PermissionError: The token may not do this.
        ConnectionError: The Hub or the connection failed; the same call, made again, resumes.
    """
    from huggingface_hub import get_token
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    transport = next(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")  # of httpx or httpx2
    try:
        yield
    except (OSError, RuntimeError, json.JSONDecodeError, transport) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of this machine: a full disk, a file that is not there
        known = getattr(getattr(error, "response", None), "status_code", None)
        why = redacted(_words(error), token or get_token())
        made: OSError
        if isinstance(error, GatedRepoError) or known == 403:
            made = PermissionError(f"{action} {repo} is not allowed with this token ({why}); give one that may")
        elif isinstance(error, RevisionNotFoundError):
            made = FileNotFoundError(f"{repo} has no such revision ({why}); give a branch, tag or commit of it")
        elif known == 401 or isinstance(error, RepositoryNotFoundError):
            made = FileNotFoundError(f"{repo} is not there, or this token may not see it; check the name, or log in")
        elif known in (409, 412):
            made = ConnectionError(f"{repo} changed while {action} it, and nothing was committed; do the same again")
        elif isinstance(error, json.JSONDecodeError):
            made = ConnectionError(
                f"{action} {repo} stopped (an answer was no JSON: {why}); do the same again to resume"
            )
        elif isinstance(error, (HfHubHTTPError, LocalEntryNotFoundError)) or not isinstance(error, ValueError):
            made = ConnectionError(f"{action} {repo} stopped ({why}); do the same again to resume")
        else:
            raise
    else:
        return
    # Not chained: the first error's own text, which a traceback would show, may hold what is redacted here.
    raise made from None


def _words(error: BaseException) -> str:
    """Return the first line of an error and of what caused it."""
    found: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(found) < 3:
        line = next(iter(str(cause).strip().splitlines()), "")
        found.append(line[:300] or type(cause).__name__)
        cause = cause.__cause__
    return ": ".join(dict.fromkeys(found))
