"""The worst replies: a few of every split and kind of error, with the whole conversation."""

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
    """What one side said, as it was said."""

    role: str  # system, user, model or tool
    text: str


@dataclass(frozen=True)
class Case:
    """A reply that is wrong: its conversation, what was expected, and what is wrong in words."""

    id: str
    turns: tuple[CaseTurn, ...]
    expected: tuple[str, ...]  # calls as JSON
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """The cases of one kind of error in one split, out of `count` replies of `of`."""

    split: str
    kind: str
    count: int
    of: int
    cases: tuple[Case, ...]


def worst_cases(evaluated: Replies) -> list[Kind]:
    """By split and kind of error the worst replies, the same ones every time.

    Those that met least of the reference come first, ties by id; of replies that confuse
    the same tools the first alone, as long as there are others.
    """
    kinds = []
    for split, group in splits_of(evaluated.replies).items():
        for kind in KINDS:
            replies = [reply for reply in group if reply.kind == kind]
            if replies:
                cases = tuple(_case(reply) for reply in _chosen(replies))
                kinds.append(Kind(split_title(split), kind, len(replies), len(group), cases))
    return kinds


def _chosen(replies: Sequence[Judged]) -> list[Judged]:
    replies = sorted(replies, key=lambda reply: (reply.share, reply.id))
    first: dict[Any, Judged] = {}
    for reply in replies:
        first.setdefault(reply.pairs or tuple(call.name for call in reply.expected), reply)
    different = list(first.values())
    others = [reply for reply in replies if not any(reply is one for one in different)]
    return [*different, *others][:MOST]


def _case(reply: Judged) -> Case:
    said = [CaseTurn(role, text) for role, text in reply.history]
    turns = (*said, CaseTurn("user", reply.query), *turns_of(reply.reply))
    return Case(reply.id, turns, tuple(map(_call_text, reply.expected)), reply.words)


def turns_of(reply: str) -> Iterator[CaseTurn]:
    """The model's words and, between them, what the tools returned; nothing is left out."""
    if not reply.strip():
        yield CaseTurn("model", "(nothing)")
    for part in OBSERVED.split(reply):
        if part.strip():
            yield CaseTurn("tool" if OBSERVED.fullmatch(part) else "model", part.strip("\n"))


def _call_text(call: Call) -> str:
    return f"{call.name} {json.dumps(dict(call.arguments), ensure_ascii=False)}"


def as_data(kinds: Sequence[Kind]) -> list[dict[str, Any]]:
    """The cases as plain JSON."""
    return [asdict(kind) for kind in kinds]
