"""The untuned base with documents in its prompt: the baseline without any training."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedModel

from tinr.catalogue.importing.queries.call_objects import written_calls
from tinr.catalogue.importing.queries.literals import Written
from tinr.catalogue.importing.queries.notations import read_text
from tinr.catalogue.importing.queries.references import typed_arguments
from tinr.catalogue.importing.queries.tool_names import ToolNames, key_of, spellings
from tinr.catalogue.load import Catalogue
from tinr.catalogue.retrieval import DocumentsConfig, Library, all_shown
from tinr.chat.codec import Codec, Piece
from tinr.data.own_completions import request_prompt
from tinr.evaluation.ability.replies import plain_replies
from tinr.evaluation.evaluate import REPLY_TOKENS, SuiteResult
from tinr.evaluation.metrics import families_of, outcome
from tinr.records import Call, Query, Reply, ToolDoc
from tinr.rollout.conversation import Conversation, too_long
from tinr.rollout.generate import Row

ROWS = 16  # replies per batch
REQUEST = (
    "You can call these functions:\n{documents}\n\nAnswer with the calls that the request needs "
    'and nothing else, as a JSON list: [{{"name": "...", "arguments": {{...}}}}]\n\nRequest: {text}'
)


def ask_untuned(
    model: PreTrainedModel,
    codec: Codec,
    queries: Sequence[Query],
    catalogue: Catalogue,
    prompt: DocumentsConfig,
) -> SuiteResult:
    """Ask a base that was never trained on tools, in its own chat template, greedily.

    The prompts have the documents of mode in_prompt. Calls are read in any notation that the
    importers know; a text without calls is an answer. A query whose prompt does not fit the model's
    context counts as an empty reply.
    """
    shown = Library(catalogue, prompt).shown(queries, "in_prompt")
    prompts = [
        request_prompt(codec, request_text(query, docs))
        for query, docs in zip(queries, shown, strict=True)
    ]
    overlong = too_long(model, prompts, REPLY_TOKENS["in_prompt"])
    order = sorted(
        (place for place in range(len(queries)) if place not in overlong),
        key=lambda place: len(prompts[place]),
    )
    done = {
        place: Conversation(queries[place], prompts[place], Row(), Reply(), ())
        for place in overlong
    }
    for start in range(0, len(order), ROWS):
        chunk = order[start : start + ROWS]
        begun = time.perf_counter()
        title = f"base, {start + len(chunk)} of {len(order)}"
        chunk_prompts = [prompts[place] for place in chunk]
        replies = plain_replies(model, codec, chunk_prompts, REPLY_TOKENS["in_prompt"], title)
        seconds = (time.perf_counter() - begun) / len(chunk)
        for place, ids in zip(chunk, replies, strict=True):
            text = str(codec.tokenizer.decode(ids, skip_special_tokens=True))
            row = Row(ids, [1] * len(ids))
            done[place] = Conversation(
                queries[place], prompts[place], row, read_reply(text, shown[place]),
                (Piece(text),), seconds,
            )  # fmt: skip
    conversations = [done[place] for place in range(len(queries))]
    families = families_of(catalogue.tools)
    outcomes = [outcome(c.reply, c.query, catalogue.by_name, None, families) for c in conversations]
    found = all_shown(shown, queries)
    nothing = [None] * len(queries)
    unasked = {queries[place].id: reason for place, reason in overlong.items()}
    return SuiteResult("in_prompt", conversations, outcomes, nothing, {}, unasked, found)


def request_text(query: Query, docs: Sequence[ToolDoc]) -> str:
    """The user's message: documents, what to answer, and the query."""
    documents = "\n".join(
        json.dumps(
            {"name": doc.name, "description": doc.description, "parameters": doc.parameters},
            ensure_ascii=False,
        )
        for doc in docs
    )
    return REQUEST.format(documents=documents, text=query.text)


def read_reply(text: str, docs: Sequence[ToolDoc]) -> Reply:
    """The calls of a text in any known notation; a text without calls is the answer.

    If other text follows a JSON value of calls, only that value is read.
    """
    names = ToolNames((doc.name, doc.parameters.get("properties", {})) for doc in docs)
    try:
        written = read_text(text, names).calls
    except (ValueError, LookupError, RecursionError) as error:
        written = _first_value(text, names)
        if not written:
            return Reply(problems=(str(error),))
    calls = tuple(_as_documented(name, arguments, docs) for name, arguments in written)
    if not calls:
        return Reply(response=text)
    return Reply(named=tuple(dict.fromkeys(call.name for call in calls)), calls=calls)


def _first_value(text: str, names: ToolNames) -> Sequence[Written]:
    """The calls of the first JSON value in a text; empty if it has none."""
    start = min((place for sign in "[{" if (place := text.find(sign)) >= 0), default=len(text))
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start)
        return written_calls(value, names)
    except (ValueError, LookupError, TypeError, RecursionError):
        return ()


def _as_documented(name: str, arguments: Mapping[str, Any], docs: Sequence[ToolDoc]) -> Call:
    """A call with its tool's documented name, and unquoted values typed as the document says."""
    keys = [key_of(spelling) for spelling in spellings(name)]
    doc = next((doc for key in keys for doc in docs if key_of(doc.name) == key), None)
    if doc is None:
        return Call(name, dict(arguments))
    return Call(doc.name, typed_arguments(arguments, doc.parameters))
