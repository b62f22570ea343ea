"""Turn a client's messages into the ids that the model continues.

Messages before the user's last message become plain messages, as in training. Later calls of the
assistant and their results are the reply so far. Text stays text: no message can spell a tool
token or a tag.
"""

import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock

from tinr.catalogue.failures import refusal
from tinr.catalogue.load import Catalogue
from tinr.catalogue.retrieval import Library
from tinr.chat.codec import Codec, Piece
from tinr.chat.parse import parse
from tinr.chat.render import (
    cut,
    render_calls,
    render_documents,
    render_environment,
    render_observations,
    render_prompt,
)
from tinr.data.traces import render_plan
from tinr.files import whole_text
from tinr.records import BadInput, Call, DocumentsMode, Message, Query, ToolDoc
from tinr.serve.schema import Called, Request, RequestMessage

KEPT = 4096  # calls whose turn is remembered
LIBRARIES = 16  # most cached retrievers, one per set of offered tools


@dataclass(frozen=True)
class Spoken:
    """The reply so far, including results: its ids, and the pieces for `parse`."""

    ids: tuple[int, ...] = ()
    pieces: tuple[Piece, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """The tools named so far."""
        return parse(self.pieces).named

    def add(
        self, codec: Codec, written: Sequence[Piece], read: Sequence[Piece] | None = None
    ) -> "Spoken":
        """Append pieces; read: the pieces for `parse` (None: all of them)."""
        ids = (*self.ids, *codec.encode(written)[0])
        return Spoken(ids, (*self.pieces, *(written if read is None else read)))


@dataclass(frozen=True)
class WrittenTurn:
    """The text of the model up to its calls; after: hash of the ids of the reply before it."""

    after: int
    ids: tuple[int, ...]
    pieces: tuple[Piece, ...]
    calls: tuple[Call, ...]  # of the last part, including calls of unknown tools


@dataclass
class Memory:
    """The model's turns, including the thought, by the id of each call.

    A client sends the calls back without the thought; the reply continues from the stored ids.
    """

    _kept: OrderedDict[str, WrittenTurn] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def keep(self, ids: Sequence[str], turn: WrittenTurn) -> None:
        """Remember a turn under the ids of its calls; the oldest turns are dropped."""
        with self._lock:
            self._kept |= dict.fromkeys(ids, turn)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    def find(
        self, ids: Sequence[str], calls: Sequence[Call], before: Spoken, known: Catalogue
    ) -> WrittenTurn | None:
        """Return the turn with exactly these calls and ids after exactly this reply, or None."""
        with self._lock:
            turns = [self._kept.get(key) for key in ids]
        turn = turns[0] if turns else None
        if turn is None or any(t is not turn for t in turns):
            return None
        known_calls = [call for call in turn.calls if call.name in known.by_name]
        return turn if known_calls == list(calls) and turn.after == hash(before.ids) else None


@dataclass(frozen=True)
class Exchange:
    """The query with its history, its prompt, and the reply so far."""

    query: Query
    prompt: tuple[int, ...]
    spoken: Spoken


@dataclass(frozen=True)
class Reader:
    """Reads the messages of requests to one checkpoint in one documents mode; one at a time."""

    codec: Codec
    library: Library
    documents: DocumentsMode
    memory: Memory = field(default_factory=Memory)
    _libraries: OrderedDict[tuple[str, ...], Library] = field(default_factory=OrderedDict)

    @property
    def catalogue(self) -> Catalogue:
        """The tools that the checkpoint knows."""
        return self.library.catalogue

    def read(self, request: Request) -> Exchange:
        """Read the messages of a request; BadInput if they are not a conversation to continue."""
        messages = request.messages
        last_user = max(
            (n for n, message in enumerate(messages) if message.role == "user"), default=None
        )
        if last_user is None:
            raise BadInput("messages: no user message; send the question")
        earlier_messages, later_messages = messages[:last_user], messages[last_user + 1 :]
        rules = [
            Message("system", whole_text(message.text))
            for message in messages
            if message.role in ("system", "developer")
        ]
        turns = list(
            _turns(
                [
                    message
                    for message in later_messages
                    if message.role not in ("system", "developer")
                ]
            )
        )
        query = Query(
            "served",
            whole_text(messages[last_user].text),
            history=(*rules, *_plain(earlier_messages)),
            tools=self.offered(request),
        )
        pieces = render_prompt(
            query.text,
            self.codec.frame,
            history=query.history,
            documents=self.shown(query),
        )
        spoken = self._spoken(turns)
        return Exchange(query, (*self.codec.encode(pieces)[0], *spoken.ids), spoken)

    def offered(self, request: Request) -> tuple[str, ...]:
        """Return the tools that a request allows, sorted; (): all tools of the checkpoint."""
        if request.tools == []:
            raise BadInput("tools: the list is empty; remove the key to allow all tools")
        names = sorted({tool.function.name for tool in request.chosen_tools or ()})
        for name in names:
            self._check_known(name)
        unoffered = {*names} - {tool.function.name for tool in request.tools or ()}
        if request.tools and unoffered:
            raise BadInput(f"tool_choice: {min(unoffered)!r} is not among the tools; add it")
        return tuple(names)

    def shown(self, query: Query) -> tuple[ToolDoc, ...]:
        """Return the documents in a query's prompt; if tools are offered, only theirs."""
        library = self.library
        if query.tools and self.documents == "retrieved":
            if query.tools not in self._libraries:
                offered_catalogue = Catalogue(
                    tuple(self.catalogue.by_name[name] for name in query.tools)
                )
                self._libraries[query.tools] = Library(offered_catalogue, library.config)
                if len(self._libraries) > LIBRARIES:
                    self._libraries.popitem(last=False)
            library = self._libraries[query.tools]
        return library.shown([query], self.documents)[0]

    def _spoken(self, turns: Sequence[tuple[RequestMessage, Sequence[str]]]) -> Spoken:
        """Return the calls and results of every turn: from memory, else composed."""
        spoken = Spoken()
        calls_by_turn = [tuple(map(self._call, message.tool_calls or ())) for message, _ in turns]
        for calls, (message, results) in zip(calls_by_turn, turns, strict=True):
            ids = [call.id or "" for call in message.tool_calls or ()]
            turn = self.memory.find(ids, calls, spoken, self.catalogue)
            if turn is not None:
                spoken = Spoken((*spoken.ids, *turn.ids), (*spoken.pieces, *turn.pieces))
            else:
                spoken = spoken if spoken.ids else self._composition(calls_by_turn)
                spoken = spoken.add(self.codec, render_calls(calls))
            observations = self._observations(calls if turn is None else turn.calls, results)
            spoken = spoken.add(
                self.codec, render_environment(observations, self.codec.frame), observations
            )
        return spoken

    def _observations(self, calls: Sequence[Call], results: Sequence[str]) -> list[Piece]:
        """Return one observation per call: the client's result, or an error for an unknown tool."""
        result_iterator = iter(results)
        return render_observations(
            [
                cut(whole_text(next(result_iterator)))
                if call.name in self.catalogue.by_name
                else refusal(f"no tool {call.name}")
                for call in calls
            ]
        )

    def _composition(self, turns: Sequence[Sequence[Call]]) -> Spoken:
        """Compose a thought and names before the calls of a conversation, as in training."""
        docs = [self.catalogue.by_name[call.name] for turn in turns for call in turn]
        tools = list({doc.name: doc for doc in docs}.values())
        spoken = Spoken().add(self.codec, render_plan(tools))
        if self.documents != "on_select":
            return spoken
        documents = render_environment(render_documents(tools), self.codec.frame)
        return spoken.add(self.codec, documents, ())

    def _call(self, message_call: Called) -> Call:
        name, text = message_call.function.name, message_call.function.arguments
        self._check_known(name)
        try:
            arguments = json.loads(text or "{}")
        except (ValueError, RecursionError) as error:
            raise BadInput(f"tool_calls: {name}: arguments are not valid JSON ({error})") from error
        if not isinstance(arguments, dict):
            raise BadInput(f"tool_calls: {name}: arguments are not a JSON object; send one")
        return Call(name, arguments)

    def _check_known(self, name: str) -> None:
        if name not in self.catalogue.by_name:
            raise BadInput(
                f"tools: {name[:80]!r} is not in this checkpoint's catalogue; align the model with "
                "it, or remove it"
            )


def turn_of(
    before: Spoken, ids: Sequence[int], pieces: Sequence[Piece], calls: Sequence[Call]
) -> WrittenTurn:
    """Return the turn that a model has just written, for `Memory`."""
    return WrittenTurn(hash(before.ids), tuple(ids), tuple(pieces), tuple(calls))


def with_candidates_of_requests(library: Library) -> Library:
    """Return a library whose in_prompt mode shows the tools that a request offers, else all.

    Random candidates are off: they might lack the right tool, which is unknown here.
    """
    return Library(library.catalogue, replace(library.config, candidates=0), library.seed)


def _plain(messages: Sequence[RequestMessage]) -> Iterator[Message]:
    """Yield earlier messages as text; skip messages without text."""
    for message in messages:
        text = whole_text(message.text)
        if message.role in ("user", "assistant", "tool") and text:
            yield Message(message.role, text)


def _turns(messages: Sequence[RequestMessage]) -> Iterator[tuple[RequestMessage, list[str]]]:
    """Yield each message with calls, with the results in the order of its calls."""
    index = 0
    while index < len(messages):
        message = messages[index]
        calls = message.tool_calls or []
        if message.role != "assistant" or not calls:
            raise BadInput(
                f"messages: after the user's last one comes one of role {message.role} that calls "
                "no tool; end with the user's message, or with the results of calls"
            )
        results = messages[index + 1 : index + 1 + len(calls)]
        if len(results) < len(calls) or any(result.role != "tool" for result in results):
            raise BadInput(
                f"messages: {len(calls)} calls, but fewer messages of role tool after them; "
                "send the result of each"
            )
        by_id = {result.tool_call_id: result.text for result in results}
        is_by_position = not all(call.id in by_id for call in calls) or len(by_id) < len(calls)
        yield message, [result.text if is_by_position else by_id[call.id]
                        for call, result in zip(calls, results, strict=True)]  # fmt: skip
        index += 1 + len(calls)
