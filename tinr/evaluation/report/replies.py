"""Read the replies files of a run, and find what is wrong with each reply.

The verdict of the evaluation (`outcome`) decides whether a reply is right. This module only
explains why a reply is wrong: one kind of error, and words.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.optimize import linear_sum_assignment

from tinr.chat.parse import parse_text
from tinr.evaluation.report.summary import at
from tinr.records import BadInput, Call
from tinr.rollout.scoring.rewards import call_similarity, same_value

RIGHT = "right"
KINDS = {  # kind of error -> what it is; one reply has one kind, the first that fits
    "format": "no call could be parsed, or the format around a right call is broken",
    "missed call": "an expected call is missing",
    "false call": "an extra call, or a call although none is expected",
    "wrong name": "a different tool is called than expected",
    "missing parameter": "an expected argument is missing",
    "extra parameter": "an argument is not expected",
    "wrong value": "an argument has a different value than expected",
    "wrong answer": "the calls are right (at least leniently), the final answer is not",
    "other": "judged wrong for a reason not listed here",
}
NOTHING = "no call"
FORM = ("strict JSON", "<tool_call>")  # in a problem: a call that could not be read
VERDICTS = ("call_em", "call_em_lenient", "call_em_strict", "abstain_acc")


@dataclass(frozen=True)
class Judged:
    """One query with its reply and the faults of the reply; without faults the kind is `right`."""

    id: str
    split: str
    query: str
    history: tuple[tuple[str, str], ...]  # (role, text) of the earlier messages
    reply: str
    expected: tuple[Call, ...]
    given: tuple[Call, ...]
    kind: str
    words: tuple[str, ...]
    problems: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]  # (expected tool, called tool) where they differ
    share: float  # share of the reference that the reply matches
    cost: Mapping[str, Any]  # tokens, prompt_tokens, seconds, if they were counted


@dataclass(frozen=True)
class Replies:
    """All replies of one checkpoint in one documents mode."""

    phase: str
    mode: str
    replies: tuple[Judged, ...]


def read_evaluations(folder: Path, phases: Mapping[str, str]) -> list[Replies]:
    """Read the files `CHECKPOINT/**/replies.MODE.jsonl` below `folder`, by phase and mode.

    phases: checkpoint id -> phase, in the order of the phases; other checkpoints are left out.
    """
    evaluations = []
    for checkpoint, phase in phases.items():
        paths = sorted((folder / checkpoint).rglob("replies.*.jsonl"))
        modes = [path.name.removeprefix("replies.").removesuffix(".jsonl") for path in paths]
        for mode in sorted(dict.fromkeys(modes), key=lambda mode: (mode != "none", mode)):
            files = [p for p, m in zip(paths, modes, strict=True) if m == mode]
            rows = tuple(row for path in files for row in _rows(path))
            evaluations.append(Replies(phase, mode, rows))
    return evaluations


def _is_scored(row: Mapping[str, Any]) -> bool:
    """Whether the evaluation could score a row; unscorable replies are neither right nor wrong."""
    return not row.get("unscorable")


def _rows(path: Path) -> Iterator[Judged]:
    """The scored lines of a replies file; BadInput at the first invalid line."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: unreadable ({error}); evaluate again") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            reply = judged(row) if _is_scored(row) else None
        except (ValueError, RecursionError, AttributeError, TypeError, KeyError) as error:
            raise BadInput(f"{path}:{number}: not a reply ({error!r}); evaluate again") from error
        if reply is not None:
            yield reply


def _calls(items: Any) -> tuple[Call, ...]:
    return tuple(Call(str(call["name"]), dict(call["arguments"])) for call in items or ())


def judged(row: Mapping[str, Any]) -> Judged:
    """Read a line of a replies file and add the kind of its error and its faults in words."""
    reply = str(row.get("reply") or "")
    expected, calls = _calls(row.get("calls")), parse_text(reply).calls
    problems = tuple(dict.fromkeys(str(problem) for problem in row.get("problems") or ()))
    accepted_arguments = [dict(at(call, "arguments") or {}) for call in row.get("accept") or ()]
    pairs = confused(expected, calls)
    short_calls = row.get("in_short")  # as they were compared, if a default was written out
    compared_calls = (
        (_calls(at(short_calls, "calls")), _calls(at(short_calls, "called")))
        if short_calls
        else (expected, calls)
    )
    faults = faults_of(*compared_calls, accepted_arguments)
    kind = _kind(row.get("outcome"), expected, calls, pairs, faults, problems)
    suffix = "; accepted by lenient matching" if kind in ("wrong answer", "format") else ""
    phrases = [_pair_in_words(pair) for pair in pairs]
    phrases += [f"{words}{suffix}" for _, words in faults]
    if kind == "false call" and not pairs:
        phrases.append("a tool is named but not needed")
    if kind == "wrong answer":
        phrases.append(f"the answer is not {row.get('answer')!r}")
    share = at(row.get("outcome"), "param_acc")
    return Judged(
        id=str(row.get("id", "")),
        split=str(row.get("group") or row.get("split") or ("all" if expected else "no_tool")),
        query=str(row.get("query", "")),
        history=tuple(
            (str(at(m, "role")), str(at(m, "content"))) for m in (row.get("messages") or ())[:-1]
        ),
        reply=reply,
        expected=expected,
        given=calls,
        kind=kind,
        words=() if kind == RIGHT else (*phrases, *(f"form: {problem}" for problem in problems)),
        problems=problems,
        pairs=pairs,
        share=float(share or 0.0),
        cost={key: row.get(key) for key in ("prompt_tokens", "tokens", "seconds")},
    )


def _kind(
    outcome: Any,
    expected: Sequence[Call],
    calls: Sequence[Call],
    pairs: Sequence[tuple[str, str]],
    faults: Sequence[tuple[str, str]],
    problems: Sequence[str],
) -> str:
    """RIGHT, or the first of KINDS that fits; the outcome's verdict overrides our own."""
    verdicts = [v for name in VERDICTS if (v := at(outcome, name)) is not None]
    if any(verdicts) or not (verdicts or pairs or faults):
        if at(outcome, "format_ok") is False:
            return "format"
        return "wrong answer" if at(outcome, "answer_acc") is False else RIGHT
    if expected and not calls and any(form in problem for problem in problems for form in FORM):
        return "format"
    if any(NOTHING not in pair for pair in pairs):
        return "wrong name"
    if pairs or not expected:  # names without calls count as a call too
        return "false call" if not expected or pairs[0][0] == NOTHING else "missed call"
    kinds = [kind for kind in KINDS if any(kind == fault_kind for fault_kind, _ in faults)]
    return kinds[0] if kinds else "other"


def confused(expected: Sequence[Call], calls: Sequence[Call]) -> tuple[tuple[str, str], ...]:
    """(expected tool, called tool) for every difference; NOTHING if one side has no tool left.

    Tools that are both expected and called are removed; the others are paired in order.
    """
    missing_names, extra_names = [call.name for call in expected], []
    for call in calls:
        if call.name in missing_names:
            missing_names.remove(call.name)
        else:
            extra_names.append(call.name)
    length = max(len(missing_names), len(extra_names))
    padding = [NOTHING] * length
    return tuple(
        zip((missing_names + padding)[:length], (extra_names + padding)[:length], strict=True)
    )


def _pair_in_words(pair: tuple[str, str]) -> str:
    expected_name, called_name = pair
    if called_name == NOTHING:
        return f"{expected_name} is not called"
    if expected_name == NOTHING:
        return f"{called_name} is called but not needed"
    return f"{called_name} is called, expected {expected_name}"


def faults_of(
    expected: Sequence[Call], calls: Sequence[Call], accepted: Sequence[Mapping[str, Any]] = ()
) -> list[tuple[str, str]]:
    """(kind, words) of every argument that is wrong in a call of the right tool.

    accepted: the values accepted for each expected call; "" means that it may be left out.
    """
    faults = []
    for number, call in _matches(expected, calls):
        reference = expected[number]
        alternatives = accepted[number] if number < len(accepted) else {}
        for key in dict.fromkeys([*reference.arguments, *call.arguments]):
            faults += _argument_fault(key, reference, call, alternatives.get(key) or ())
    return faults


def _matches(expected: Sequence[Call], calls: Sequence[Call]) -> Iterator[tuple[int, Call]]:
    """Yield the index of an expected call and the matched call of the same tool.

    The matching is one-to-one and has the largest total similarity.
    """
    if not expected or not calls:
        return
    similarity = [
        [(1 + call_similarity(g, e)) * (g.name == e.name) for g in calls] for e in expected
    ]
    for number, column in zip(*linear_sum_assignment(similarity, maximize=True), strict=True):
        if similarity[number][column]:
            yield int(number), calls[column]


def _argument_fault(
    key: str, reference: Call, call: Call, alternatives: Sequence[Any]
) -> list[tuple[str, str]]:
    if key not in call.arguments:
        lack = (f"{reference.name}: {key} is missing, expected {_json(reference.arguments[key])}",)
        return [] if "" in alternatives else [("missing parameter", *lack)]
    value = call.arguments[key]
    if any(same_value(value, alternative) for alternative in alternatives):
        return []
    if key not in reference.arguments:
        return [("extra parameter", f"{reference.name}: {key} = {_json(value)} is not expected")]
    if same_value(value, reference.arguments[key]):
        return []
    message = (
        f"{reference.name}: {key} is {_json(value)}, expected {_json(reference.arguments[key])}"
    )
    return [("wrong value", message)]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
