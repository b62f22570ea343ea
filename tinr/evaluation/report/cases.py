"""Choose the worst replies of every split and kind of error, with the whole conversation."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tinr.evaluation.report.errors import splits_of
from tinr.evaluation.report.rates import split_title
from tinr.evaluation.report.replies import KINDS, Judged, Replies
from tinr.records import Call

MOST = 3  # cases of one kind in one split
OBSERVED = re.compile(r"(<obs>.*?</obs>)", re.DOTALL)


@dataclass(frozen=True)
class CaseTurn:
    """The unchanged text of one turn."""

    role: str  # system, user, model or tool
    text: str


@dataclass(frozen=True)
class Case:
    """A wrong reply: its conversation, the expected calls, and its faults in words."""

    id: str
    turns: tuple[CaseTurn, ...]
    expected: tuple[str, ...]  # calls as JSON
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """The cases of one kind of error in one split: `count` of `of` replies have it."""

    split: str
    kind: str
    count: int
    of: int
    cases: tuple[Case, ...]


def worst_cases(evaluated: Replies) -> list[Kind]:
    """The worst replies by split and kind of error; the choice is deterministic.

    Replies are sorted by the share of the reference that they match, then by id. Only the first
    reply of each confusion between tools is taken, as long as there are other confusions.
    """
    kinds = []
    for split, group in splits_of(evaluated.replies).items():
        for kind in KINDS:
            replies = [reply for reply in group if reply.kind == kind]
            if replies:
                cases = tuple(_case(reply) for reply in _worst(replies))
                kinds.append(Kind(split_title(split), kind, len(replies), len(group), cases))
    return kinds


def _worst(replies: Sequence[Judged]) -> list[Judged]:
    replies = sorted(replies, key=lambda reply: (reply.share, reply.id))
    first_of_confusion: dict[Any, Judged] = {}
    for reply in replies:
        first_of_confusion.setdefault(
            reply.pairs or tuple(call.name for call in reply.expected), reply
        )
    distinct = list(first_of_confusion.values())
    other_replies = [
        reply for reply in replies if not any(reply is first_reply for first_reply in distinct)
    ]
    return [*distinct, *other_replies][:MOST]


def _case(reply: Judged) -> Case:
    earlier_turns = [CaseTurn(role, text) for role, text in reply.history]
    turns = (*earlier_turns, CaseTurn("user", reply.query), *turns_of(reply.reply))
    return Case(reply.id, turns, tuple(map(_call_text, reply.expected)), reply.words)


def turns_of(reply: str) -> Iterator[CaseTurn]:
    """Split a reply into the model's turns and the tool results between them, without loss."""
    if not reply.strip():
        yield CaseTurn("model", "(nothing)")
    for segment in OBSERVED.split(reply):
        if segment.strip():
            yield CaseTurn("tool" if OBSERVED.fullmatch(segment) else "model", segment.strip("\n"))


def _call_text(call: Call) -> str:
    return f"{call.name} {json.dumps(dict(call.arguments), ensure_ascii=False)}"


def as_data(kinds: Sequence[Kind]) -> list[dict[str, Any]]:
    """The cases as plain JSON."""
    return [asdict(kind) for kind in kinds]
