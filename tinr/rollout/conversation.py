"""Run conversations between a policy and an environment that executes tools."""

import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from transformers import PreTrainedModel

from tinr import distributed
from tinr.catalogue.failures import refusal
from tinr.catalogue.load import Catalogue
from tinr.catalogue.retrieval import Library
from tinr.chat.codec import Codec, Piece, stop_ids
from tinr.chat.parse import last_calls, parse
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
from tinr.rollout.tools.executor import Executor

MOST_TURNS = 4  # turns with tool calls per conversation, unless its reference has more
REPLY_TOKENS = 384  # default token limit of a reply, including observations
ROWS = 128  # conversations per batch of the sampler


@dataclass(frozen=True)
class Conversation:
    """A finished rollout: its row of ids, and the parsed reply that the rewards score."""

    query: Query
    prompt: Sequence[int]
    row: Row
    reply: Reply
    pieces: tuple[Piece, ...]
    seconds: float = 0.0  # its share of the batch's time
    shown: int = 0  # tokens of the documents that the environment showed to the model


@dataclass
class Environment:
    """Responds at the stops of one conversation and collects the pieces of the reply.

    After `</tool_token>` it shows documents (on_select) or nothing (none). After `</tool_call>` it
    runs the calls. `</response>` and the end of a turn end the conversation. For a tool that has no
    code here, it returns the recorded result of the matching reference call, or an error if no call
    matches, so that the conversation continues after right and wrong calls alike. If no results are
    recorded, a call of such a tool ends the conversation.
    """

    codec: Codec
    catalogue: Catalogue
    executor: Executor
    documents: DocumentsMode
    recorded: Sequence[tuple[Call, str]] = ()  # reference calls with their results
    most: int = MOST_TURNS  # turns of calls that get a response
    spoken: list[Piece] = field(default_factory=list)  # reply with observations
    read: int = 0  # number of ids of the row that are already in `spoken`
    turns: int = 0
    shown: int = 0  # tokens of the documents shown

    def respond(self, ids: Sequence[int]) -> Sequence[int] | None:
        """Return what the environment adds after the ids so far; None ends the conversation.

        Ending the conversation also ends its executor session.
        """
        addition = self.answer(ids)
        if addition is None:
            self.executor.end()
        return addition

    def answer(self, ids: Sequence[int]) -> Sequence[int] | None:
        """Return what the environment adds after the ids so far; None ends the conversation."""
        pieces = self.codec.decode(ids[self.read :])
        self.spoken += pieces
        self.read = len(ids)
        stop = pieces[-1].text
        if stop == "</tool_token>":
            return self._show(parse(self.spoken).named) if self.documents == "on_select" else []
        if stop != "</tool_call>" or self.turns == self.most:
            return None
        self.turns += 1
        calls = last_calls(pieces)
        if not self.recorded and not all(map(self.executor.runs, calls)):
            return None  # whoever runs one of them runs all
        results = [self._return(call) for call in calls]
        texts = [text for text in results if text is not None]
        if not texts or len(texts) < len(results):
            return None
        observations = render_observations(texts)
        self.spoken += observations
        return self._say(observations)

    def _return(self, call: Call) -> str | None:
        """Return the result of a call; None if its tool has no code and no result is recorded."""
        if self.executor.runs(call):
            return self.executor.run(call)
        if not self.recorded:
            return None
        schema = self.catalogue.by_name[call.name].parameters
        for reference, text in self.recorded:
            is_same_tool = reference.name == call.name
            if is_same_tool and alike(dict(call.arguments), dict(reference.arguments), schema):
                return text
        return refusal(f"no result of {call.name} is recorded for these arguments")

    def finish(self, ids: Sequence[int]) -> None:
        """Add the pieces that were written after the last stop."""
        self.spoken += self.codec.decode(ids[self.read :])
        self.read = len(ids)

    def _show(self, names: Sequence[str]) -> Sequence[int]:
        documents = [
            self.catalogue.by_name[n] for n in dict.fromkeys(names) if n in self.catalogue.by_name
        ]
        ids = self._say(render_documents(documents))
        self.shown += len(ids)
        return ids

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
    offered: Sequence[Sequence[str]] = (),
) -> list[Conversation]:
    """Run `group` conversations per query; return them in the order of the queries.

    title: of the progress bar ("": no bar). prompts: one per query, including documents (None: made
    without documents). engine: the local sampler, or a substitute. grammars: constrain the replies
    (None: no constraint). named: for each query, the tools that the start of a reply at the end of
    its prompt already names. offered: for each query, the only tools that the grammars allow it to
    name (default: all). Raises BadInput for a prompt that does not fit the model's context.
    """
    prompts = prompts or make_prompts(codec, queries, [()] * len(queries))
    for number, reason in too_long(model, prompts, max_tokens).items():
        raise BadInput(f"query {queries[number].id!r}: {reason}")
    reachable_queries = [reachable(query, executor) for query in queries]
    order = sorted(range(len(queries)), key=lambda i: len(prompts[i]))
    size = max(1, ROWS // group)
    conversations: dict[int, list[Conversation]] = {}
    with progress_bar(len(order) * group, title, "reply") as bar:
        for start in range(0, len(order), size):
            chunk = order[start : start + size]
            rooms = [
                environment_of(reachable_queries[i], codec, catalogue, executor, documents)
                for i in chunk
                for _ in range(group)
            ]
            options: dict[str, Any] = {"top_p": top_p} if top_p < 1 else {}
            if grammars is not None:
                of_rows = [
                    [own[i] for i in chunk for _ in range(group)] if own else ()
                    for own in (named, offered)
                ]
                options["constraint"] = grammars.start(len(rooms), *of_rows)
            start_time = time.perf_counter()
            with part_of(bar, len(rooms)) as move, ExitStack() as sessions:
                for room in rooms:
                    sessions.callback(room.executor.end)
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
                    **options,
                )
            seconds = (time.perf_counter() - start_time) / len(rows)
            for row_number, (row, room) in enumerate(zip(rows, rooms, strict=True)):
                index = chunk[row_number // group]
                room.finish(row.ids)
                reply = parse(room.spoken)
                conversations.setdefault(index, []).append(
                    Conversation(
                        reachable_queries[index],
                        prompts[index],
                        row,
                        reply,
                        tuple(room.spoken),
                        seconds,
                        room.shown,
                    )
                )
    return [conversation for i in range(len(queries)) for conversation in conversations[i]]


def environment_of(
    query: Query,
    codec: Codec,
    catalogue: Catalogue,
    executor: Executor,
    documents: DocumentsMode = "none",
) -> Environment:
    """Make the environment for a conversation about a query that `reachable` returned."""
    turn_limit = max(MOST_TURNS, len(query.turns))
    session = executor.session()
    return Environment(codec, catalogue, session, documents, recorded(query), turn_limit)


def recorded(query: Query) -> list[tuple[Call, str]]:
    """Return the reference calls with their results as shown; [] unless all are known."""
    if len(query.observations) != len(query.calls):
        return []
    return list(zip(query.calls, map(cut, query.observations), strict=True))


def reachable(query: Query, executor: Executor) -> Query:
    """Truncate a query to what a conversation can reach: the first call of a tool without code.

    A query with such a tool keeps the turns up to and including that call, but not its answer. It
    stays complete if the results of its calls are recorded.
    """
    if all(map(executor.runs, query.calls)) or recorded(query):
        return query
    last_turn = next(n for n, turn in enumerate(query.turns) if not all(map(executor.runs, turn)))
    turns = query.turns[: last_turn + 1]
    count = sum(map(len, turns))
    return replace(query, turns=turns, answer=None, accept=query.accept[:count], observations=())


def make_prompts(
    codec: Codec, queries: Sequence[Query], documents: Sequence[Sequence[ToolDoc]]
) -> list[list[int]]:
    """Encode each query's prompt with its documents."""
    return [
        codec.encode(render_prompt(q.text, codec.frame, history=q.history, documents=docs))[0]
        for q, docs in zip(queries, documents, strict=True)
    ]


def too_long(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], max_tokens: int
) -> dict[int, str]:
    """Return the prompts that exceed the model's context with a reply: index -> reason."""
    limit = getattr(model.config, "max_position_embeddings", None) or float("inf")
    return {
        number: f"a prompt of {len(prompt):,} tokens and a reply of up to {max_tokens:,} do not "
        f"fit the model's context of {limit:,}; use fewer documents (--top-k, --candidates; in "
        "training prompt.top_k, prompt.candidates) or shorter replies (policy.max_tokens)"
        for number, prompt in enumerate(prompts)
        if len(prompt) + max_tokens >= limit  # the evidence for a call needs one more token
    }


def fitting_queries(
    model: PreTrainedModel,
    codec: Codec,
    library: Library,
    queries: Sequence[Query],
    modes: Sequence[DocumentsMode],
    max_tokens: int,
) -> list[Query]:
    """Return the queries whose prompts leave room for a reply in every documents mode.

    Warns with the number of excluded queries. Raises BadInput if no query remains.
    """
    reasons: dict[int, str] = {}
    for mode in dict.fromkeys(modes):
        prompts = make_prompts(codec, queries, library.shown(queries, mode))
        reasons |= too_long(model, prompts, max_tokens)
    if queries and len(reasons) == len(queries):
        raise BadInput(f"no query fits: {reasons[0]}")
    if reasons and distributed.rank() == 0:
        first_number = min(reasons)
        warnings.warn(
            f"{len(reasons)} of {len(queries)} queries are excluded: {queries[first_number].id!r}: "
            f"{reasons[first_number]}",
            stacklevel=2,
        )
    return [query for number, query in enumerate(queries) if number not in reasons]
