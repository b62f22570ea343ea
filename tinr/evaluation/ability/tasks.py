"""Requests with checkable answers that need no tool: what a chat model is for.

Facts, words, arithmetic in words, reading, classification and short instructions, written for this
project (tasks.jsonl). None of them is about a tool, or among the prompts that training replays
(`tinr.data.plain_prompts`). No model judges: a reply is right if it has one of the accepted words,
none of the refused ones, and a length within its bounds.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel

from tinr.chat.codec import TAG_TOKENS, Codec
from tinr.chat.parse import parse
from tinr.chat.render import as_text, render_prompt
from tinr.data.own_completions import request_prompt
from tinr.evaluation.ability.replies import plain_replies

TASKS_FILE = Path(__file__).parent / "tasks.jsonl"
REPLY_TOKENS = 64


@dataclass(frozen=True)
class Task:
    """A request and what a right reply must contain."""

    ask: str
    any: tuple[str, ...]  # one of these words or phrases
    none: tuple[str, ...] = ()  # none of these
    words: tuple[int, int] = (1, 1000)  # minimum and maximum number of words


def load_tasks() -> list[Task]:
    """Read the tasks that ship with the package."""
    rows = map(json.loads, TASKS_FILE.read_text("utf-8").splitlines())
    return [Task(row.pop("ask"), **{k: tuple(v) for k, v in row.items()}) for row in rows]


def is_right(task: Task, reply: str) -> bool:
    """Whether a reply is right, by its words; case is ignored."""
    low, high = task.words
    return (
        low <= len(reply.split()) <= high
        and any(_has(reply, text) for text in task.any)
        and not any(_has(reply, text) for text in task.none)
    )


def _has(reply: str, text: str) -> bool:
    return bool(re.search(rf"(?<!\w){re.escape(text)}(?!\w)", reply, re.IGNORECASE))


def plain_prompts(base: Codec, tasks: Sequence[Task]) -> list[list[int]]:
    """Encode the tasks as prompts of the base's own chat template."""
    return [request_prompt(base, task.ask) for task in tasks]


def framed_prompts(codec: Codec, tasks: Sequence[Task]) -> list[list[int]]:
    """Encode the tasks as user messages of a tool conversation."""
    return [codec.encode(render_prompt(task.ask, codec.frame))[0] for task in tasks]


def right_replies(
    model: PreTrainedModel,
    codec: Codec,
    tasks: Sequence[Task],
    prompts: Sequence[Sequence[int]],
    title: str = "",
) -> list[bool]:
    """Whether the greedy reply to each task is right; if it has tags, only its response counts."""
    replies = plain_replies(model, codec, prompts, REPLY_TOKENS, title)
    return [is_right(task, _said(codec, ids)) for task, ids in zip(tasks, replies, strict=True)]


def _said(codec: Codec, ids: Sequence[int]) -> str:
    """Return what a user reads: the response, or the whole reply if it has no tags."""
    pieces = codec.decode(ids)
    if any(piece.token and piece.text in TAG_TOKENS for piece in pieces):
        return parse(pieces).response or ""
    return as_text(piece for piece in pieces if not piece.token)
