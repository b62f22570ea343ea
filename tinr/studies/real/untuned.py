"""The untuned base with documents in its prompt: what tools cost without any training."""

import json
import time
from collections.abc import Sequence

from transformers import PreTrainedModel

from tinr.catalogue.importing.queries.notations import read_text
from tinr.catalogue.importing.queries.tool_names import ToolNames
from tinr.catalogue.load import Catalogue
from tinr.catalogue.retrieval import DocumentsConfig, Library, all_shown
from tinr.chat.codec import Codec, Piece
from tinr.data.own_completions import request_prompt
from tinr.evaluation.ability.replies import plain_replies
from tinr.evaluation.evaluate import SuiteResult
from tinr.evaluation.metrics import families_of, outcome
from tinr.records import Call, Query, Reply, ToolDoc
from tinr.rollout.conversation import Conversation
from tinr.rollout.generate import Row

TOKENS = 160  # most tokens of a reply
ROWS = 16  # replies that are written side by side
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

    The documents of each prompt are those of the mode in_prompt. Calls are read in any notation
    that the importers know; a text in which none can be read is an answer.
    """
    shown = Library(catalogue, prompt).shown(queries, "in_prompt")
    prompts = [
        request_prompt(codec, request_text(query, docs))
        for query, docs in zip(queries, shown, strict=True)
    ]
    order = sorted(range(len(queries)), key=lambda place: len(prompts[place]))
    done: dict[int, Conversation] = {}
    for start in range(0, len(order), ROWS):
        chunk = order[start : start + ROWS]
        begun = time.perf_counter()
        title = f"base, {start + len(chunk)} of {len(order)}"
        replies = plain_replies(model, codec, [prompts[place] for place in chunk], TOKENS, title)
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
    return SuiteResult("in_prompt", conversations, outcomes, nothing, {}, {}, found)


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
    """The calls of a text in any known notation; without one the text is the answer."""
    names = ToolNames((doc.name, doc.parameters.get("properties", {})) for doc in docs)
    try:
        calls = tuple(Call(name, arguments) for name, arguments in read_text(text, names).calls)
    except ValueError as error:
        return Reply(problems=(str(error),))
    if not calls:
        return Reply(response=text)
    return Reply(named=tuple(dict.fromkeys(call.name for call in calls)), calls=calls)
