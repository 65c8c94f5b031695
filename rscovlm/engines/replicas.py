"""The addresses of one model's servers: who is asked next, and what is known of each."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import httpx2

if TYPE_CHECKING:
    from rscovlm.engines.published import Published

# A replica that refused a connection is left alone for this long, in seconds.
_REST = 5.0


class Replica:
    """One address, how it is doing, and what is known of its model.

    Args:
        address: Base address such as ``"http://127.0.0.1:8000/v1"``.

    Raises:
        ValueError: It is not http or https, or holds a password.
    """

    def __init__(self, address: str) -> None:
        try:
            url = httpx2.URL(address)
        except httpx2.InvalidURL:
            url = httpx2.URL()
        if url.userinfo:
            raise ValueError(f"the endpoint at {url.host} has a password in its address; give the key as api_key")
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"endpoint {address!r} is no http(s) address; give one such as http://127.0.0.1:8000/v1")
        self.name = f"{url.scheme}://{url.netloc.decode()}"
        base = f"{self.name}{url.path.rstrip('/')}"
        self.address, self.models = f"{base}/chat/completions", f"{base}/models"
        self.lock = threading.Lock()  # of what follows: whether it was asked what it publishes, and checked
        self.asked = self.checked = False
        self.published: Published | None = None
        self.keeps = True  # it takes the field that keeps special tokens
        self.in_flight = 0
        self.resting_until = 0.0


class Replicas:
    """Chooses who gets the next request.

    Args:
        replicas: All there are.
    """

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self._all = replicas
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Replica]:
        return iter(self._all)

    def take(self) -> Replica:
        """Return the least loaded replica, those that rest last."""
        with self._lock:
            now = time.monotonic()
            chosen = min(self._all, key=lambda one: (max(0.0, one.resting_until - now) > 0, one.in_flight))
            chosen.in_flight += 1
            return chosen

    def give(self, replica: Replica) -> None:
        with self._lock:
            replica.in_flight -= 1

    def rest(self, replica: Replica) -> bool:
        """Leave a replica alone for a while, and return whether another is up."""
        with self._lock:
            now = time.monotonic()
            replica.resting_until = now + _REST
            return any(one.resting_until <= now for one in self._all)
