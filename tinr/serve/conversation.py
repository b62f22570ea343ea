"""From a client's messages to the ids that the model goes on from.

What was said before the last message of the user stands as plain messages, as in training;
what the assistant has called since, and what came back, is the reply so far. Text stays text:
no message can spell a tool token or a tag.
"""

import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock

from tinr.catalogue.load import Catalogue
from tinr.catalogue.retrieval import Library
from tinr.chat.codec import Codec, Piece
from tinr.chat.parse import parse
from tinr.chat.render import (
    SYSTEM,
    cut,
    render_calls,
    render_documents,
    render_environment,
    render_observations,
    render_prompt,
)
from tinr.data.traces import plan
from tinr.files import whole_text
from tinr.records import BadInput, Call, DocumentsMode, Message, Query, ToolDoc
from tinr.rollout.tools.executor import refusal
from tinr.serve.schema import Called, Request, Said

KEPT = 4096  # calls of which it is known what the model wrote before them
LIBRARIES = 16  # sets of offered tools whose retrievers are kept


@dataclass(frozen=True)
class Spoken:
    """The reply so far, results included: its ids, and the pieces that `parse` reads."""

    ids: tuple[int, ...] = ()
    pieces: tuple[Piece, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """The tools that it has named."""
        return parse(self.pieces).named

    def add(
        self, codec: Codec, written: Sequence[Piece], read: Sequence[Piece] | None = None
    ) -> "Spoken":
        """With more pieces; read: what of them `parse` is given (None: all)."""
        ids = (*self.ids, *codec.encode(written)[0])
        return Spoken(ids, (*self.pieces, *(written if read is None else read)))


@dataclass(frozen=True)
class WrittenTurn:
    """What the model wrote up to its calls, and after which reply so far (a hash of its ids)."""

    after: int
    ids: tuple[int, ...]
    pieces: tuple[Piece, ...]
    calls: tuple[Call, ...]  # of the last part, those of unknown tools too


@dataclass
class Memory:
    """What the model wrote before its calls, its thought and all, by the id of each call.

    A client sends the calls back but not the thought; the reply goes on from the very ids.
    """

    _kept: OrderedDict[str, WrittenTurn] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def keep(self, ids: Sequence[str], turn: WrittenTurn) -> None:
        """Remember a turn under the ids of its calls; the oldest ones are let go."""
        with self._lock:
            self._kept |= dict.fromkeys(ids, turn)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    def find(
        self, ids: Sequence[str], calls: Sequence[Call], before: Spoken, known: Catalogue
    ) -> WrittenTurn | None:
        """The turn that ended with these very calls under these very ids, after this very reply."""
        with self._lock:
            found = [self._kept.get(one) for one in ids]
        turn = found[0] if found else None
        if turn is None or any(one is not turn for one in found):
            return None
        sent = [call for call in turn.calls if call.name in known.by_name]
        return turn if sent == list(calls) and turn.after == hash(before.ids) else None


@dataclass(frozen=True)
class Exchange:
    """What is asked: the query with what was said before it, its prompt, the reply so far."""

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
        """BadInput where the messages are no conversation that can go on."""
        said = request.messages
        asked = max((n for n, one in enumerate(said) if one.role == "user"), default=None)
        if asked is None:
            raise BadInput("messages: none of the user's; send what is asked")
        before, since = said[:asked], said[asked + 1 :]
        rules = [one.text for one in said if one.role in ("system", "developer")]
        turns = list(_turns([one for one in since if one.role not in ("system", "developer")]))
        query = Query(
            "served",
            whole_text(said[asked].text),
            history=tuple(_plain(before)),
            tools=self.offered(request),
        )
        pieces = render_prompt(
            query.text,
            self.codec.frame,
            system="\n".join([SYSTEM, *(whole_text(one) for one in rules if one != SYSTEM)]),
            history=query.history,
            documents=self.shown(query),
        )
        spoken = self._spoken(turns)
        return Exchange(query, (*self.codec.encode(pieces)[0], *spoken.ids), spoken)

    def offered(self, request: Request) -> tuple[str, ...]:
        """The tools that a request allows, sorted; (): all that the checkpoint knows."""
        if request.tools == []:
            raise BadInput("tools: none is offered; leave the key out, and all may be called")
        names = sorted({one.function.name for one in request.tools or ()})
        for name in names:
            self._known(name)
        return tuple(names)

    def shown(self, query: Query) -> tuple[ToolDoc, ...]:
        """The documents in a query's prompt, of the offered tools where some are."""
        library = self.library
        if query.tools and self.documents == "retrieved":
            if query.tools not in self._libraries:
                some = Catalogue(tuple(self.catalogue.by_name[name] for name in query.tools))
                self._libraries[query.tools] = Library(some, library.config)
                if len(self._libraries) > LIBRARIES:
                    self._libraries.popitem(last=False)
            library = self._libraries[query.tools]
        return library.shown([query], self.documents)[0]

    def _spoken(self, turns: Sequence[tuple[Said, Sequence[str]]]) -> Spoken:
        """WrittenTurn by turn what was called and what came back: remembered, else composed."""
        spoken = Spoken()
        called = [tuple(map(self._call, said.tool_calls or ())) for said, _ in turns]
        for calls, (said, results) in zip(called, turns, strict=True):
            ids = [one.id or "" for one in said.tool_calls or ()]
            turn = self.memory.find(ids, calls, spoken, self.catalogue)
            if turn is not None:
                spoken = Spoken((*spoken.ids, *turn.ids), (*spoken.pieces, *turn.pieces))
            else:
                spoken = spoken if spoken.ids else self._composed(called)
                spoken = spoken.add(self.codec, render_calls(calls))
            heard = self._heard(calls if turn is None else turn.calls, results)
            spoken = spoken.add(self.codec, render_environment(heard, self.codec.frame), heard)
        return spoken

    def _heard(self, written: Sequence[Call], results: Sequence[str]) -> list[Piece]:
        """One observation for each call: the client's result, or that nobody knows the tool."""
        left = iter(results)
        return render_observations(
            [
                cut(whole_text(next(left)))
                if call.name in self.catalogue.by_name
                else refusal(f"no tool {call.name}")
                for call in written
            ]
        )

    def _composed(self, called: Sequence[Sequence[Call]]) -> Spoken:
        """The thought and the names that lead to the calls of a conversation, as taught."""
        docs = [self.catalogue.by_name[call.name] for turn in called for call in turn]
        named = list({doc.name: doc for doc in docs}.values())
        spoken = Spoken().add(self.codec, plan(named))
        if self.documents != "on_select":
            return spoken
        shown = render_environment(render_documents(named), self.codec.frame)
        return spoken.add(self.codec, shown, ())

    def _call(self, called: Called) -> Call:
        name, text = called.function.name, called.function.arguments
        self._known(name)
        try:
            arguments = json.loads(text or "{}")
        except (ValueError, RecursionError) as error:
            raise BadInput(f"tool_calls: {name}: arguments are no JSON ({error})") from error
        if not isinstance(arguments, dict):
            raise BadInput(f"tool_calls: {name}: arguments are no JSON object; send one")
        return Call(name, arguments)

    def _known(self, name: str) -> None:
        if name not in self.catalogue.by_name:
            raise BadInput(
                f"tools: {name[:80]!r} is not in this checkpoint's catalogue; align the model with "
                "it, or leave it out"
            )


def last_calls(pieces: Sequence[Piece]) -> tuple[Call, ...]:
    """The calls of the last part of a reply that calls."""
    opened = [n for n, piece in enumerate(pieces) if piece == Piece("<tool_call>", token=True)]
    return parse(pieces[opened[-1] :]).calls if opened else ()


def turn_of(
    before: Spoken, ids: Sequence[int], pieces: Sequence[Piece], calls: Sequence[Call]
) -> WrittenTurn:
    """What a model has just written, to be remembered."""
    return WrittenTurn(hash(before.ids), tuple(ids), tuple(pieces), tuple(calls))


def with_candidates_of_requests(library: Library) -> Library:
    """The same, in_prompt showing what a request offers, else all: never documents drawn at
    random, among which nobody could put the right one."""
    return Library(library.catalogue, replace(library.config, candidates=0), library.seed)


def _plain(before: Sequence[Said]) -> Iterator[Message]:
    """Earlier messages as text; an assistant's that only calls says nothing."""
    for one in before:
        text = whole_text(one.text)
        if one.role in ("user", "assistant", "tool") and text:
            yield Message(one.role, text)


def _turns(since: Sequence[Said]) -> Iterator[tuple[Said, list[str]]]:
    """Each message that calls, with the result of each of its calls, in the order of the calls."""
    place = 0
    while place < len(since):
        said = since[place]
        calls = said.tool_calls or []
        if said.role != "assistant" or not calls:
            raise BadInput(
                f"messages: after the user's last one stands one of role {said.role} that calls "
                "no tool; end with the user's message, or with the results of calls"
            )
        given = since[place + 1 : place + 1 + len(calls)]
        if len(given) < len(calls) or any(one.role != "tool" for one in given):
            raise BadInput(
                f"messages: {len(calls)} calls, but not as many messages of role tool after them; "
                "send the result of each"
            )
        by_id = {one.tool_call_id: one.text for one in given}
        in_order = not all(call.id in by_id for call in calls) or len(by_id) < len(calls)
        yield said, [one.text if in_order else by_id[call.id]
                     for call, one in zip(calls, given, strict=True)]  # fmt: skip
        place += 1 + len(calls)
