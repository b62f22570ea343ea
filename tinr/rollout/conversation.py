"""Conversations between a policy and an environment in which tools really run."""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from transformers import PreTrainedModel

from tinr import distributed
from tinr.catalogue.load import Catalogue
from tinr.catalogue.retrieval import Library
from tinr.chat.codec import Codec, Piece, stop_ids
from tinr.chat.parse import parse
from tinr.chat.render import (
    cut,
    render_documents,
    render_environment,
    render_observations,
    render_prompt,
)
from tinr.progress import counting_ends, part_of, progress_bar
from tinr.records import BadInput, Call, DocumentsMode, Query, Reply, ToolDoc
from tinr.rollout.generate import Row, generate
from tinr.rollout.grammar import Grammars
from tinr.rollout.scoring.matching import alike
from tinr.rollout.tools.executor import Executor, refusal

MOST_TURNS = 4  # of tool calls in one conversation, where its reference has no more
REPLY_TOKENS = 384  # tokens of a reply, observations included, where nothing else is asked for
ROWS = 128  # conversations in one batch of the sampler


@dataclass(frozen=True)
class Conversation:
    """One finished rollout: its row of ids and the reply the rewards read."""

    query: Query
    prompt: Sequence[int]
    row: Row
    reply: Reply
    pieces: tuple[Piece, ...]
    seconds: float = 0.0  # its share of the batch's time
    shown: int = 0  # tokens of the documents that the environment showed


@dataclass
class Environment:
    """Answers the stops of one conversation and keeps the reply's pieces.

    After `</tool_token>` it shows documents (on_select) or nothing (none); after
    `</tool_call>` it runs the calls; `</response>` and the end of a turn are the end. A tool
    without code here is answered from what the reference's calls returned: with the text of the
    call that it stands for, or that there is none, so that a right call and a wrong one are asked
    for the same. Where nothing was recorded its call is the end.
    """

    codec: Codec
    catalogue: Catalogue
    executor: Executor
    documents: DocumentsMode
    recorded: Sequence[tuple[Call, str]] = ()  # the reference's calls with what they returned
    most: int = MOST_TURNS  # of calls that are answered
    spoken: list[Piece] = field(default_factory=list)  # of the reply, observations included
    read: int = 0  # how many ids of the row are already in `spoken`
    turns: int = 0
    shown: int = 0  # tokens of documents

    def respond(self, ids: Sequence[int]) -> Sequence[int] | None:
        """What the environment adds after the ids so far; None: the conversation is over."""
        new = self.codec.decode(ids[self.read :])
        self.spoken += new
        self.read = len(ids)
        stop = new[-1].text
        if stop == "</tool_token>":
            return self._show(parse(self.spoken).named) if self.documents == "on_select" else []
        if stop != "</tool_call>" or self.turns == self.most:
            return None
        self.turns += 1
        begin = (
            max(i for i, piece in enumerate(self.spoken) if piece.text == "<tool_call>")
            if Piece("<tool_call>", token=True) in self.spoken
            else 0
        )
        returned = [self._return(call) for call in parse(self.spoken[begin:]).calls]
        texts = [text for text in returned if text is not None]
        if not texts or len(texts) < len(returned):
            return None
        observations = render_observations(texts)
        self.spoken += observations
        return self._say(observations)

    def _return(self, call: Call) -> str | None:
        """What a call returns; None where its tool has no code and nothing was recorded."""
        if self.executor.runs(call):
            return self.executor.run(call)
        if not self.recorded:
            return None
        schema = self.catalogue.by_name[call.name].parameters
        for meant, text in self.recorded:
            same = meant.name == call.name
            if same and alike(dict(call.arguments), dict(meant.arguments), schema):
                return text
        return refusal(f"no result of {call.name} is recorded for these arguments")

    def finish(self, ids: Sequence[int]) -> None:
        """Take in what was written after the last stop."""
        self.spoken += self.codec.decode(ids[self.read :])
        self.read = len(ids)

    def _show(self, names: Sequence[str]) -> Sequence[int]:
        known = [
            self.catalogue.by_name[n] for n in dict.fromkeys(names) if n in self.catalogue.by_name
        ]
        said = self._say(render_documents(known))
        self.shown += len(said)
        return said

    def _say(self, content: Sequence[Piece]) -> Sequence[int]:
        ids, _ = self.codec.encode(render_environment(content, self.codec.frame))
        self.read += len(ids)
        return ids


def converse(
    model: PreTrainedModel,
    codec: Codec,
    queries: Sequence[Query],
    catalogue: Catalogue,
    executor: Executor,
    documents: DocumentsMode = "none",
    *,
    group: int = 1,
    temperature: float = 0.0,
    max_tokens: int = REPLY_TOKENS,
    seed: int = 0,
    title: str = "",
    prompts: Sequence[Sequence[int]] | None = None,
    engine: Callable[..., list[Row]] = generate,
    top_p: float = 1.0,
    grammars: Grammars | None = None,
    named: Sequence[Sequence[str]] = (),
) -> list[Conversation]:
    """`group` conversations per query, in the order of the queries; a title shows progress.

    prompts: those of the queries, documents and all (None: without documents). engine: the
    local sampler, or what stands in for it. grammars: what the replies are held to (None:
    nothing); named: for each query the tools that its prompt's end, a reply begun, has named.
    BadInput for a prompt that does not fit the model's context.
    """
    prompts = prompts or make_prompts(codec, queries, [()] * len(queries))
    for number, reason in too_long(model, prompts, max_tokens).items():
        raise BadInput(f"query {queries[number].id!r}: {reason}")
    asked = [reachable(query, executor) for query in queries]
    order = sorted(range(len(queries)), key=lambda i: len(prompts[i]))
    size = max(1, ROWS // group)
    done: dict[int, list[Conversation]] = {}
    with progress_bar(len(order) * group, title, "reply") as bar:
        for start in range(0, len(order), size):
            chunk = order[start : start + size]
            rooms = [
                environment_of(asked[i], codec, catalogue, executor, documents)
                for i in chunk
                for _ in range(group)
            ]
            narrowed: dict[str, Any] = {"top_p": top_p} if top_p < 1 else {}
            if grammars is not None:
                before = [named[i] for i in chunk for _ in range(group)] if named else ()
                narrowed["constraint"] = grammars.start(len(rooms), before)
            began = time.perf_counter()
            with part_of(bar, len(rooms)) as move:
                rows = engine(
                    model,
                    [prompts[i] for i in chunk],
                    counting_ends(lambda index, ids, rooms=rooms: rooms[index].respond(ids), move),
                    stop_ids(codec),
                    max_tokens=max_tokens,
                    pad=codec.pad,
                    group=group,
                    temperature=temperature,
                    seed=seed + start,
                    **narrowed,
                )
            seconds = (time.perf_counter() - began) / len(rows)
            for place, (row, room) in enumerate(zip(rows, rooms, strict=True)):
                index = chunk[place // group]
                room.finish(row.ids)
                reply = parse(room.spoken)
                done.setdefault(index, []).append(
                    Conversation(
                        asked[index],
                        prompts[index],
                        row,
                        reply,
                        tuple(room.spoken),
                        seconds,
                        room.shown,
                    )
                )
    return [conversation for i in range(len(queries)) for conversation in done[i]]


def environment_of(
    query: Query,
    codec: Codec,
    catalogue: Catalogue,
    executor: Executor,
    documents: DocumentsMode = "none",
) -> Environment:
    """What answers a conversation about a query, of which all is reachable."""
    most = max(MOST_TURNS, len(query.turns))
    return Environment(codec, catalogue, executor, documents, recorded(query), most)


def recorded(query: Query) -> list[tuple[Call, str]]:
    """The reference calls of a query with what is shown of their results, where all are known."""
    if len(query.observations) != len(query.calls):
        return []
    return list(zip(query.calls, map(cut, query.observations), strict=True))


def reachable(query: Query, executor: Executor) -> Query:
    """What of a query a conversation can reach: it ends at the first call of a tool without code.

    Of a query with such a tool the turns up to that call are left, and no answer, unless what
    its calls returned is recorded.
    """
    if all(map(executor.runs, query.calls)) or recorded(query):
        return query
    last = next(n for n, turn in enumerate(query.turns) if not all(map(executor.runs, turn)))
    turns = query.turns[: last + 1]
    count = sum(map(len, turns))
    return replace(query, turns=turns, answer=None, accept=query.accept[:count], observations=())


def make_prompts(
    codec: Codec, queries: Sequence[Query], shown: Sequence[Sequence[ToolDoc]]
) -> list[list[int]]:
    """The ids of each query's prompt, with the documents that it carries."""
    return [
        codec.encode(render_prompt(q.text, codec.frame, history=q.history, documents=docs))[0]
        for q, docs in zip(queries, shown, strict=True)
    ]


def too_long(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], max_tokens: int
) -> dict[int, str]:
    """Number -> why, of each prompt that with a reply is more than the model's context."""
    limit = getattr(model.config, "max_position_embeddings", None) or float("inf")
    return {
        number: f"a prompt of {len(prompt):,} tokens and a reply of up to {max_tokens:,} do not "
        f"fit the model's context of {limit:,}; carry fewer documents (--top-k, --candidates; in "
        "training prompt.top_k, prompt.candidates) or ask for shorter replies (policy.max_tokens)"
        for number, prompt in enumerate(prompts)
        if len(prompt) + max_tokens >= limit  # one more is read to ask for the evidence of calling
    }


def fitting_queries(
    model: PreTrainedModel,
    codec: Codec,
    library: Library,
    queries: Sequence[Query],
    modes: Sequence[DocumentsMode],
    max_tokens: int,
) -> list[Query]:
    """The queries whose prompts, in every documents mode, leave room for a reply in the context.

    The others are counted in a UserWarning; BadInput where none is left.
    """
    beyond: dict[int, str] = {}
    for mode in dict.fromkeys(modes):
        prompts = make_prompts(codec, queries, library.shown(queries, mode))
        beyond |= too_long(model, prompts, max_tokens)
    if queries and len(beyond) == len(queries):
        raise BadInput(f"no query fits: {beyond[0]}")
    if beyond and distributed.rank() == 0:
        first = min(beyond)
        warnings.warn(
            f"{len(beyond)} of {len(queries)} queries are left out: {queries[first].id!r}: "
            f"{beyond[first]}",
            stacklevel=2,
        )
    return [query for number, query in enumerate(queries) if number not in beyond]
