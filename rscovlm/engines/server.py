"""Answers from any OpenAI-compatible server, or from several replicas of one."""

from __future__ import annotations

import base64
import io
import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any, Literal, TypeAlias, get_args

import httpx2
from PIL import Image

from rscovlm.codec.dialect import Dialect
from rscovlm.codec.grammar import Grammar
from rscovlm.engines.answers import Unreadable, read_reply, retry_after, told
from rscovlm.engines.engine import Conversation, Reply
from rscovlm.processing.resolution import PixelBudget, plan_size

# A replica that refused a connection is left alone for this long, in seconds.
_REST = 5.0
# Bytes of an answer; with log-probabilities a token takes some hundreds.
_LARGEST = 2**26
Structured: TypeAlias = Literal["grammar", "regex", "json", "json_schema"]

_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class ServerError(RuntimeError):
    """No server gave an answer, though all tries were used."""


class Server:
    """Answers conversations through ``/v1/chat/completions``, many at a time.

    Images go as data URIs, resized here to exactly the size the budget plans, so that the server's own resize leaves
    them alone. Each request goes to the replica with the fewest requests in flight; on a time-out, a broken connection,
    429 or 5xx it is sent again, to another replica where there is one, after a growing pause (``Retry-After`` is
    obeyed). A conversation has one answer: nothing is lost or doubled when a replica dies.

    Args:
        endpoints: Base address such as ``"http://127.0.0.1:8000/v1"``, or one for each replica.
        model: Name of the model at the server.
        dialect: How the model writes boxes and what it is asked: name of a preset, YAML file, `Dialect` or `Codec`.
        budget: What the server's processor lets the model see of an image.
        api_key: Sent as a bearer token; never shown.
        concurrency: Requests in flight at most.
        timeout: Seconds in which one answer must be there, whole.
        tries: Times a request is sent before :class:`ServerError` is raised.
        pause: Seconds before the second try; doubled for each further one.
        options: Further fields of the request, such as ``{"temperature": 0.7}``; a field given as ``None`` is left out.
            By default ``temperature`` and ``frequency_penalty`` are 0: greedy, and `transformers serve` then drops a
            checkpoint's own repetition penalty, which harms lists of boxes. ``vllm serve`` does so with
            ``{"repetition_penalty": 1.0}``, a field that other servers refuse.
        grammar: What answers must look like where a conversation says nothing itself.
        max_objects: Objects of an answer at most, with a grammar; fewer where ``max_new_tokens`` may end inside one.
        structured: How a grammar is sent: as ``"grammar"`` (EBNF), ``"regex"`` or ``"json"`` in the field
            ``structured_outputs`` of ``vllm serve``, or as ``"json_schema"`` in ``response_format``, which most other
            servers know; the last two for grammars of style JSON only, whose answers then come without their fence.

    Raises:
        ValueError: An address is not http or https, or a number has no meaning.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str],
        model: str,
        *,
        dialect: Any = "rscovlm-v1",
        budget: PixelBudget | None = None,
        api_key: str | None = None,
        concurrency: int = 32,
        timeout: float = 300.0,
        tries: int = 6,
        pause: float = 0.5,
        options: Mapping[str, Any] | None = None,
        grammar: Grammar | None = None,
        max_objects: int = 200,
        structured: Structured = "grammar",
    ) -> None:
        if concurrency < 1 or tries < 1 or timeout <= 0 or pause < 0:
            raise ValueError(
                f"concurrency {concurrency}, tries {tries}, timeout {timeout}, pause {pause}: "
                "give at least 1, 1, more than 0 and at least 0"
            )
        listed = [endpoints] if isinstance(endpoints, str) else list(endpoints)
        if not listed:
            raise ValueError("there is no endpoint; give at least one address such as http://127.0.0.1:8000/v1")
        self.dialect = Dialect.given(dialect)
        self.codec = self.dialect.codec
        self.budget = budget or PixelBudget()
        self.model, self.concurrency, self.timeout = model, concurrency, timeout
        self._tries, self._pause = tries, pause
        fields = {"temperature": 0, "frequency_penalty": 0, **(options or {})}
        self._options = {name: value for name, value in fields.items() if value is not None}
        if structured not in get_args(Structured):
            raise ValueError(f"structured is {structured!r}; choose one of {', '.join(get_args(Structured))}")
        self.grammar, self.max_objects, self.structured = grammar, max_objects, structured
        pool = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        # A redirect is not followed: the key and the images go where they were sent.
        self._client = httpx2.Client(timeout=timeout, limits=pool, headers={"Content-Type": "application/json"})
        if api_key:
            if not (api_key.isascii() and api_key.isprintable() and " " not in api_key):
                raise ValueError("api_key holds a space, a line break or letters beyond ASCII; copy the key alone")
            self._client.headers["Authorization"] = f"Bearer {api_key}"
        self._replicas = _Replicas([_Replica(address) for address in listed])

    def generate(
        self, conversations: Sequence[Conversation], *, max_new_tokens: int = 1024, logprobs: bool = False
    ) -> list[Reply]:
        """Answer each conversation; see :class:`~rscovlm.engines.Engine`.

        Raises:
            ServerError: A conversation got no answer in all its tries.
            ValueError: The server refused a request for good (another 4xx); its words are in the message.
        """
        if not conversations:
            return []
        pool = ThreadPoolExecutor(min(self.concurrency, len(conversations)))
        call = _Call()
        try:
            waiting = [pool.submit(self._answer, one, max_new_tokens, logprobs, call) for one in conversations]
            wait(waiting, return_when=FIRST_EXCEPTION)
            if call.failure is not None:
                raise call.failure
            return [one.result() for one in waiting]
        finally:
            call.over.set()  # after a failure or Ctrl-C nothing is tried again, and nobody waits for what is in flight
            pool.shutdown(wait=False, cancel_futures=True)

    def _answer(self, conversation: Conversation, max_new_tokens: int, logprobs: bool, call: _Call) -> Reply:
        request: dict[str, Any] = {
            "model": self.model,
            "messages": to_openai(conversation.messages, self.budget),
            "max_tokens": max_new_tokens,
            **self._options,
        }
        if conversation.tools:
            request["tools"] = conversation.tools
        if logprobs:
            request["logprobs"] = True
        grammar = conversation.grammar or self.grammar
        if grammar is not None:
            request.update(_structured(grammar, grammar.most(max_new_tokens, self.max_objects), self.structured))
        start = time.perf_counter()
        try:
            answer = self._post(json.dumps(request).encode(), logprobs, call)
        except BaseException as error:
            call.fail(error)
            raise
        return replace(answer, seconds=time.perf_counter() - start)

    def _post(self, body: bytes, logprobs: bool, call: _Call) -> Reply:
        """Send a request until there is an answer."""
        last = ""
        for attempt in range(self._tries):
            if call.over.is_set():
                raise ServerError(f"given up because another request failed; the last try: {last or 'none'}")
            replica = self._replicas.take()
            pause = self._pause * 2**attempt * random.uniform(0.5, 1.0)
            try:
                status, asked, words = self._exchange(replica.address, body)
            except httpx2.RequestError as error:  # refused, reset, timed out, half an answer, or one without end
                last = f"{replica.name}: {type(error).__name__}: {told(str(error), self._key())}"
                others = self._replicas.rest(replica)
                pause = 0.0 if others else pause
            else:
                last = f"{replica.name}: status {status}: {told(words, self._key())}"
                if status == 200:
                    try:
                        return read_reply(words, 0.0, logprobs=logprobs)
                    except Unreadable as error:
                        last = f"{last} ({error})"
                elif status not in _RETRIED:
                    raise ValueError(f"the server refused the request for good: {last}")
                pause = max(pause, retry_after(asked))
            finally:
                self._replicas.give(replica)
            if attempt + 1 < self._tries:
                call.over.wait(pause)
        raise ServerError(f"no answer in {self._tries} tries; the last: {last}")

    def _key(self) -> str:
        return str(self._client.headers.get("Authorization", "")).removeprefix("Bearer ")

    def _exchange(self, address: str, body: bytes) -> tuple[int, str | None, bytes]:
        """Return status, ``Retry-After`` and body of an answer, which must be whole in time and of a size to be held."""
        end = time.monotonic() + self.timeout
        whole = bytearray()
        with self._client.stream("POST", address, content=body) as answer:
            for piece in answer.iter_bytes():
                whole += piece
                if len(whole) > _LARGEST:
                    raise httpx2.ReadError(f"the answer has more than {_LARGEST:,} bytes")
                if time.monotonic() > end:
                    raise httpx2.ReadTimeout(f"the answer was not whole after {self.timeout:g} seconds")
            return answer.status_code, answer.headers.get("Retry-After"), bytes(whole)


class _Call:
    """What the requests of one call of `Server.generate` share: whether it is over, and what failed first."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.failure: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        self.failure = self.failure or error
        self.over.set()


class _Replica:
    """One address, and how it is doing."""

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
        self.address = f"{self.name}{url.path.rstrip('/')}/chat/completions"
        self.in_flight = 0
        self.resting_until = 0.0


class _Replicas:
    """Chooses who gets the next request."""

    def __init__(self, replicas: Sequence[_Replica]) -> None:
        self._all = replicas
        self._lock = threading.Lock()

    def take(self) -> _Replica:
        """Return the least loaded replica, those that rest last."""
        with self._lock:
            now = time.monotonic()
            chosen = min(self._all, key=lambda one: (max(0.0, one.resting_until - now) > 0, one.in_flight))
            chosen.in_flight += 1
            return chosen

    def give(self, replica: _Replica) -> None:
        with self._lock:
            replica.in_flight -= 1

    def rest(self, replica: _Replica) -> bool:
        """Leave a replica alone for a while, and return whether another is up."""
        with self._lock:
            now = time.monotonic()
            replica.resting_until = now + _REST
            return any(one.resting_until <= now for one in self._all)


def to_openai(messages: Sequence[Mapping[str, Any]], budget: PixelBudget) -> list[dict[str, Any]]:
    """Return messages in the form of the chat completions API: images as data URIs of their planned size.

    Tool calls get identifiers and their arguments become JSON text; a tool turn names the call it answers.

    >>> to_openai([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}], PixelBudget())
    [{'role': 'user', 'content': [{'type': 'text', 'text': 'Hi'}]}]
    """
    turns: list[dict[str, Any]] = []
    open_calls: list[str] = []
    for number, message in enumerate(messages):
        content = message["content"]
        turn: dict[str, Any] = {"role": message["role"]}
        turn["content"] = content if isinstance(content, str) else [_block(block, budget) for block in content]
        if message.get("tool_calls"):
            turn["tool_calls"] = [_named(call, f"call_{number}_{k}") for k, call in enumerate(message["tool_calls"])]
            turn["content"] = turn["content"] or None  # vLLM makes a block of an empty text
            open_calls = [call["id"] for call in turn["tool_calls"]]
        elif message["role"] == "tool":
            turn["tool_call_id"] = open_calls.pop(0) if open_calls else f"call_{number}"
        turns.append(turn)
    return turns


def _structured(grammar: Grammar, most: int, form: Structured) -> dict[str, Any]:
    """Return the field of a request that holds the answer to a grammar."""
    if form == "regex":
        return {"structured_outputs": {"regex": grammar.regex(most)}}
    if form == "grammar":
        return {"structured_outputs": {"grammar": grammar.ebnf(most)}}
    schema = grammar.json_schema(most)
    if form == "json":
        return {"structured_outputs": {"json": schema}}
    # OpenAI's own wants an object at the top; the codec reads the list wherever it stands.
    whole = {
        "type": "object",
        "properties": {"objects": schema},
        "required": ["objects"],
        "additionalProperties": False,
    }
    return {
        "response_format": {"type": "json_schema", "json_schema": {"name": "objects", "strict": True, "schema": whole}}
    }


def _named(call: Mapping[str, Any], name: str) -> dict[str, Any]:
    function = call["function"]
    arguments = function["arguments"]
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": name, "type": "function", "function": {"name": function["name"], "arguments": text}}


def _block(block: Mapping[str, Any], budget: PixelBudget) -> dict[str, Any]:
    if block["type"] != "image":
        return {"type": "text", "text": block["text"]}
    image: Image.Image = block["image"].convert("RGB")
    size = plan_size(image.width, image.height, budget)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    data = base64.b64encode(buffer.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
