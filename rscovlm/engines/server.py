"""Answers from any OpenAI-compatible server, or from several replicas of one."""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any, get_args

import httpx2
from PIL import Image

from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.grammar import Grammar
from rscovlm.engines.answers import Unreadable, read_reply, retry_after, told
from rscovlm.engines.chat_form import Structured, structured_outputs, to_openai
from rscovlm.engines.engine import Conversation, Reply
from rscovlm.engines.held_answers import check_spelt, special_tokens_of
from rscovlm.engines.probe import BudgetMismatch, probe_budget
from rscovlm.engines.published import FIELD, Agreement, Published, opened, stated_by
from rscovlm.engines.replicas import Replica, Replicas
from rscovlm.processing.resolution import PixelBudget

# Seconds in which a server must say what it publishes.
_PUBLISHING = 10.0
# Bytes of an answer; with log-probabilities a token takes some hundreds.
_LARGEST, _LARGEST_LIST = 2**26, 2**22

KEPT = "skip_special_tokens"
"""The field by which vLLM, SGLang and others keep special tokens in an answer."""

_logger = logging.getLogger(__name__)
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class ServerError(RuntimeError):
    """No server gave an answer, though all tries were used."""


class Server:
    """Answers conversations through ``/v1/chat/completions``, many at a time.

    Images go as data URIs, resized here to exactly the size the budget plans, so that the server's own resize leaves
    them alone. Each request goes to the replica with the fewest requests in flight; on a time-out, a broken connection,
    429 or 5xx it is sent again, to another replica where there is one, after a growing pause (``Retry-After`` is
    obeyed). A conversation has one answer: nothing is lost or doubled when a replica dies.

    Budget, dialect and layout must be those of the checkpoint that is served. ``rscovlm serve`` publishes them and they are
    adopted; for other servers the user states them, by ``processor`` or by ``dialect`` and ``budget``. Where nobody does,
    tasks with coordinates are refused and those in words are asked. A budget that is stated is checked before the first
    image is sent to a replica: two pictures of known size are, and must take the tokens planned for them.

    Args:
        endpoints: Base address such as ``"http://127.0.0.1:8000/v1"``, or one for each replica.
        model: Name of the model at the server.
        dialect: How the model writes boxes and what it is asked: name of a preset, YAML file, `Dialect` or `Codec`; None
            for what the server publishes.
        budget: What the server's processor lets the model see of an image; None for what the server publishes.
        processor: The processor of the checkpoint that is served, which states dialect and budget: an `RSCoVLMProcessor`, or
            the checkpoint's folder or name on the Hub.
        probe: False does not check the budget, for servers that count the tokens of images wrongly.
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
        ValueError: An address is not http or https, a number has no meaning, or the processor cannot be loaded.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str],
        model: str,
        *,
        dialect: Any = None,
        budget: PixelBudget | None = None,
        processor: Any = None,
        probe: bool = True,
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
        processor = opened(processor)
        self._agreement = Agreement(*stated_by(processor, dialect, budget))
        self._special = special_tokens_of(getattr(processor, "tokenizer", None))
        self._learnt, self._probe = False, probe
        self.model, self.concurrency, self.timeout = model, concurrency, timeout
        self._tries, self._pause = tries, pause
        fields = {"temperature": 0, "frequency_penalty": 0, **(options or {})}
        self._options = {name: value for name, value in fields.items() if value is not None}
        self._keep_tags = KEPT not in fields
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
        self._replicas = Replicas([Replica(address) for address in listed])

    @property
    def dialect(self) -> Dialect:
        """How the model is asked and writes: stated, or published by the server, which is asked for it once.

        Raises:
            ServerError: No server answers.
            ValueError: Replicas contradict each other.
        """
        if not self._agreement.worded:
            self._learn()
        return self._agreement.dialect

    @property
    def codec(self) -> Codec:
        """How the model writes boxes; errors as of `dialect`."""
        return self.dialect.codec

    @property
    def budget(self) -> PixelBudget:
        """How images are planned: stated, published, or the default where nobody knows; errors as of `dialect`."""
        self._learn()
        return self._agreement.budget or PixelBudget()

    @property
    def budget_known(self) -> bool:
        """Whether the budget is stated or published; errors as of `dialect`."""
        self._learn()
        return self._agreement.budget is not None

    @property
    def layout(self) -> str | None:
        """The layout of zoom conversations that the server publishes; None where it publishes none."""
        self._learn()
        return self._agreement.layout

    def _learn(self) -> None:
        """Ask the first replica that answers what it publishes, unless all is stated."""
        if self._learnt or self._agreement.stated:
            return
        last = ""
        for replica in self._replicas:
            try:
                self._read_published(replica)
            except httpx2.RequestError as error:
                last = f"{replica.name}: {type(error).__name__}: {told(str(error), self._key())}"
            else:
                self._learnt = True
                return
        raise ServerError(f"no server says how its model sees images, the last: {last}; start it, or state it")

    def _read_published(self, replica: Replica) -> None:
        """Adopt what a replica publishes; a server that has no such list or takes too long for it publishes nothing.

        Raises:
            httpx2.RequestError: It cannot be reached.
            ValueError: It contradicts what is known.
        """
        with replica.lock:
            if replica.asked:
                return
            try:
                status, _, body = self._exchange(
                    "GET", replica.models, b"", min(self.timeout, _PUBLISHING), _LARGEST_LIST
                )
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                raise
            except httpx2.RequestError:
                status, body = 404, b""
            published = Published.read(body, self.model) if status == 200 else None
            if status in (401, 403):
                _logger.warning(
                    "%s does not say what it serves: status %d; is the key right (api_key, RSCOVLM_API_KEY)?",
                    replica.name,
                    status,
                )
            if published is not None:
                self._agreement.adopt(published, replica.name)
            replica.published = published
            # A busy server is asked again; `transformers serve` fails with 500 where it has no cache of the Hub.
            replica.asked = status == 500 or status not in _RETRIED

    def _check(self, replica: Replica) -> None:
        """Check the budget at a replica that publishes none, with pictures of known size.

        Raises:
            httpx2.RequestError: There was no answer.
            BudgetMismatch: It does not show its model what is planned, or takes no picture of the budget.
        """
        budget = self._agreement.budget
        with replica.lock:
            if replica.checked or replica.published is not None or budget is None or not self._probe:
                return
            wrong = probe_budget(lambda image: self._prompt_tokens(replica, image, budget), budget)
            if wrong:
                raise BudgetMismatch(
                    f"{replica.name} does not show model {self.model!r} images as they are planned: {wrong}. Give the budget of "
                    "the checkpoint that it serves (--processor or --budget; budget= in Python), or start it with this one; "
                    "probe=False trusts yours"
                )
            if wrong is None:
                _logger.warning("%s does not count the tokens of images; the budget is not checked", replica.name)
            replica.checked = True

    def _prompt_tokens(self, replica: Replica, image: Image.Image | None, budget: PixelBudget) -> int:
        """Return how many tokens a prompt has at a replica; 0 where it does not say."""
        blocks = [{"type": "image", "image": image}] if image is not None else []
        messages = to_openai([{"role": "user", "content": [*blocks, {"type": "text", "text": "."}]}], budget)
        request = {**self._options, "model": self.model, "messages": messages, "max_tokens": 1}
        status, _, words = self._exchange("POST", replica.address, json.dumps(request).encode(), self.timeout, _LARGEST)
        if status in _RETRIED:
            raise httpx2.ReadError(f"status {status}: {told(words, self._key())}")
        if status != 200:
            what = "a text" if image is None else f"a picture of {image.width}x{image.height} pixels"
            raise BudgetMismatch(
                f"{replica.name} refused {what}, by which the budget is checked: status {status}: "
                f"{told(words, self._key())}"
            )
        try:
            return read_reply(words, 0.0, logprobs=False).prompt_tokens
        except Unreadable as error:
            raise httpx2.ReadError(str(error)) from error

    def generate(
        self, conversations: Sequence[Conversation], *, max_new_tokens: int = 1024, logprobs: bool = False
    ) -> list[Reply]:
        """Answer each conversation; see :class:`~rscovlm.engines.Engine`.

        Raises:
            ServerError: A conversation got no answer in all its tries.
            BudgetMismatch: It does not show its model images as they are planned.
            ValueError: The server refused a request for good (another 4xx), its words are in the message.
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
        images = bool(conversation.images())
        request: dict[str, Any] = {
            "model": self.model,
            "messages": to_openai(
                conversation.messages, self.budget if images else PixelBudget(), self._agreement.shows
            ),
            "max_tokens": max_new_tokens,
            **self._options,
        }
        if conversation.tools:
            request["tools"] = conversation.tools
        if logprobs:
            request["logprobs"] = True
        grammar = conversation.grammar or self.grammar
        if grammar is not None:
            check_spelt(grammar, self._agreement.dialect.codec, self._special)
            request.update(structured_outputs(grammar, grammar.most(max_new_tokens, self.max_objects), self.structured))
        start = time.perf_counter()
        try:
            answer = self._post(request, images, logprobs, call)
        except BaseException as error:
            call.fail(error)
            raise
        return replace(answer, seconds=time.perf_counter() - start)

    def _post(self, request: dict[str, Any], images: bool, logprobs: bool, call: _Call) -> Reply:
        """Send a request until there is an answer."""
        last, body = "", json.dumps(request).encode()
        for attempt in range(self._tries):
            if call.over.is_set():
                raise ServerError(f"given up because another request failed; the last try: {last or 'none'}")
            replica = self._replicas.take()
            pause = self._pause * 2**attempt * random.uniform(0.5, 1.0)
            try:
                self._read_published(replica)
                if images:
                    self._check(replica)
                more = self._more(replica)
                sent = json.dumps({**more, **request}).encode() if more else body
                status, asked, words = self._exchange("POST", replica.address, sent, self.timeout, _LARGEST)
                if status in (400, 422) and KEPT in more and KEPT.encode() in words:
                    _logger.warning("%s refuses %s; tags that are special tokens may be lost there", replica.name, KEPT)
                    replica.keeps = False
                    status, asked, words = self._exchange("POST", replica.address, body, self.timeout, _LARGEST)
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

    def _more(self, replica: Replica) -> dict[str, Any]:
        """Return the fields that a replica is sent besides those of every request."""
        if replica.published is not None:
            # Our own server would zoom, and write boxes anew, for a client that knows nothing of either.
            return {FIELD: {"raw": True}}
        # Tags such as <box> and <|box_start|> are special tokens of their models, which servers leave out by default.
        wanted = replica.keeps and self._keep_tags and self._agreement.dialect.codec.marked_up
        return {KEPT: False} if wanted else {}

    def _key(self) -> str:
        return str(self._client.headers.get("Authorization", "")).removeprefix("Bearer ")

    def _exchange(
        self, method: str, address: str, body: bytes, seconds: float, largest: int
    ) -> tuple[int, str | None, bytes]:
        """Return status, ``Retry-After`` and body of an answer, which must be whole in time and of a size to be held."""
        end = time.monotonic() + seconds
        whole = bytearray()
        # Servers hang up after a failure, so that what only may fail goes over a connection of its own.
        headers = {} if method == "POST" else {"Connection": "close"}
        with self._client.stream(method, address, content=body, timeout=seconds, headers=headers) as answer:
            for piece in answer.iter_bytes():
                whole += piece
                if len(whole) > largest:
                    raise httpx2.ReadError(f"the answer has more than {largest:,} bytes")
                if time.monotonic() > end:
                    raise httpx2.ReadTimeout(f"the answer was not whole after {seconds:g} seconds")
            return answer.status_code, answer.headers.get("Retry-After"), bytes(whole)


class _Call:
    """What the requests of one call of `Server.generate` share: whether it is over, and what failed first."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.failure: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        self.failure = self.failure or error
        self.over.set()
