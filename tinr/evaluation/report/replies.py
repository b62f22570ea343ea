"""What the model wrote, and what is wrong with it: the replies files of a run, judged.

The verdict of the evaluation (`outcome`) decides whether a reply is right; here it is only
said why one is wrong, as one kind of error and in words.
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
    "format": "no call could be read from it, or the form is broken around a right call",
    "missed call": "a call is expected, and it is not there",
    "false call": "a call too many, or one where none is expected",
    "wrong name": "another tool than the expected one is called",
    "missing parameter": "an expected argument is not given",
    "extra parameter": "an argument is given that is not expected",
    "wrong value": "an argument has another value than expected",
    "wrong answer": "the calls are right, at least leniently, the final answer is not",
    "other": "judged wrong for a reason that is not told here",
}
NOTHING = "no call"
FORM = ("strict JSON", "<tool_call>")  # in a problem: a call that could not be read
VERDICTS = ("call_em", "call_em_lenient", "call_em_strict", "abstain_acc")


@dataclass(frozen=True)
class Judged:
    """One query with the reply and what is wrong with it; nothing wrong: kind `right`."""

    id: str
    split: str
    query: str
    history: tuple[tuple[str, str], ...]  # role, text: what was said before
    reply: str
    expected: tuple[Call, ...]
    given: tuple[Call, ...]
    kind: str
    words: tuple[str, ...]
    problems: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]  # expected tool, called tool, where they differ
    share: float  # of the reference that was met
    cost: Mapping[str, Any]  # tokens, prompt_tokens, seconds, where they were counted


@dataclass(frozen=True)
class Replies:
    """All replies of one checkpoint in one documents mode."""

    phase: str
    mode: str
    replies: tuple[Judged, ...]


def read_evaluations(folder: Path, phases: Mapping[str, str]) -> list[Replies]:
    """The files `CHECKPOINT/**/replies.MODE.jsonl` below `folder`, by phase and mode.

    phases: checkpoint id -> phase, in the order of the phases; others are left out.
    """
    found = []
    for checkpoint, phase in phases.items():
        paths = sorted((folder / checkpoint).rglob("replies.*.jsonl"))
        modes = [path.name.removeprefix("replies.").removesuffix(".jsonl") for path in paths]
        for mode in sorted(dict.fromkeys(modes), key=lambda mode: (mode != "none", mode)):
            files = [p for p, m in zip(paths, modes, strict=True) if m == mode]
            rows = tuple(row for path in files for row in _rows(path))
            found.append(Replies(phase, mode, rows))
    return found


def _scored(row: Mapping[str, Any]) -> bool:
    """Whether the evaluation could judge it; what it could not is neither right nor wrong."""
    return not row.get("unscorable")


def _rows(path: Path) -> Iterator[Judged]:
    """The lines of a replies file that were scored; BadInput at the first that is none."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: unreadable ({error}); evaluate again") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            found = judged(row) if _scored(row) else None
        except (ValueError, RecursionError, AttributeError, TypeError, KeyError) as error:
            raise BadInput(f"{path}:{number}: no reply ({error!r}); evaluate again") from error
        if found is not None:
            yield found


def _calls(given: Any) -> tuple[Call, ...]:
    return tuple(Call(str(call["name"]), dict(call["arguments"])) for call in given or ())


def judged(row: Mapping[str, Any]) -> Judged:
    """A line of a replies file with the kind of its error and what is wrong in words."""
    reply = str(row.get("reply") or "")
    expected, given = _calls(row.get("calls")), parse_text(reply).calls
    problems = tuple(dict.fromkeys(str(problem) for problem in row.get("problems") or ()))
    accepted = [dict(at(one, "arguments") or {}) for one in row.get("accept") or ()]
    pairs = confused(expected, given)
    short = row.get("in_short")  # as they were compared, where a default is spelled out
    compared = (
        (_calls(at(short, "calls")), _calls(at(short, "called"))) if short else (expected, given)
    )
    faults = faults_of(*compared, accepted)
    kind = _kind(row.get("outcome"), expected, given, pairs, faults, problems)
    lenient = "; counts as the same leniently" if kind in ("wrong answer", "format") else ""
    said = [_pair_in_words(pair) for pair in pairs]
    said += [f"{words}{lenient}" for _, words in faults]
    if kind == "false call" and not pairs:
        said.append("a tool is named without need")
    if kind == "wrong answer":
        said.append(f"the answer is not {row.get('answer')!r}")
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
        given=given,
        kind=kind,
        words=() if kind == RIGHT else (*said, *(f"form: {problem}" for problem in problems)),
        problems=problems,
        pairs=pairs,
        share=float(share or 0.0),
        cost={key: row.get(key) for key in ("prompt_tokens", "tokens", "seconds")},
    )


def _kind(
    outcome: Any,
    expected: Sequence[Call],
    given: Sequence[Call],
    pairs: Sequence[tuple[str, str]],
    faults: Sequence[tuple[str, str]],
    problems: Sequence[str],
) -> str:
    """RIGHT, or the first of KINDS that fits; the outcome's verdict stands above our own."""
    verdicts = [v for name in VERDICTS if (v := at(outcome, name)) is not None]
    if any(verdicts) or not (verdicts or pairs or faults):
        if at(outcome, "format_ok") is False:
            return "format"
        return "wrong answer" if at(outcome, "answer_acc") is False else RIGHT
    if expected and not given and any(form in problem for problem in problems for form in FORM):
        return "format"
    if any(NOTHING not in pair for pair in pairs):
        return "wrong name"
    if pairs or not expected:  # names without calls are judged as a call as well
        return "false call" if not expected or pairs[0][0] == NOTHING else "missed call"
    kinds = [kind for kind in KINDS if any(kind == found for found, _ in faults)]
    return kinds[0] if kinds else "other"


def confused(expected: Sequence[Call], given: Sequence[Call]) -> tuple[tuple[str, str], ...]:
    """(expected tool, called tool) for every one that differs; NOTHING on a side that lacks one.

    What was expected and called as well is set aside; the rest is paired in order.
    """
    missing, extra = [call.name for call in expected], []
    for call in given:
        if call.name in missing:
            missing.remove(call.name)
        else:
            extra.append(call.name)
    length = max(len(missing), len(extra))
    pad = [NOTHING] * length
    return tuple(zip((missing + pad)[:length], (extra + pad)[:length], strict=True))


def _pair_in_words(pair: tuple[str, str]) -> str:
    expected, called = pair
    if called == NOTHING:
        return f"{expected} is not called"
    if expected == NOTHING:
        return f"{called} is called without need"
    return f"{called} is called, expected is {expected}"


def faults_of(
    expected: Sequence[Call], given: Sequence[Call], accepted: Sequence[Mapping[str, Any]] = ()
) -> list[tuple[str, str]]:
    """(kind, words) of every argument that is wrong in a call of the right tool.

    accepted: of each expected call the values that count as well; "" among them: it may lack.
    """
    faults = []
    for number, call in _matched(expected, given):
        want = expected[number]
        also = accepted[number] if number < len(accepted) else {}
        for key in dict.fromkeys([*want.arguments, *call.arguments]):
            faults += _argument_fault(key, want, call, also.get(key) or ())
    return faults


def _matched(expected: Sequence[Call], given: Sequence[Call]) -> Iterator[tuple[int, Call]]:
    """Index of an expected call and the call of the same tool that stands for it.

    One-to-one; of all ways to pair them that under which they are most alike.
    """
    if not expected or not given:
        return
    alike = [[(1 + call_similarity(g, e)) * (g.name == e.name) for g in given] for e in expected]
    for number, other in zip(*linear_sum_assignment(alike, maximize=True), strict=True):
        if alike[number][other]:
            yield int(number), given[other]


def _argument_fault(key: str, want: Call, call: Call, also: Sequence[Any]) -> list[tuple[str, str]]:
    if key not in call.arguments:
        lacking = (f"{want.name}: {key} is missing, expected is {_json(want.arguments[key])}",)
        return [] if "" in also else [("missing parameter", *lacking)]
    value = call.arguments[key]
    if any(same_value(value, one) for one in also):
        return []
    if key not in want.arguments:
        return [("extra parameter", f"{want.name}: {key} = {_json(value)} is not expected")]
    if same_value(value, want.arguments[key]):
        return []
    said = f"{want.name}: {key} is {_json(value)}, expected is {_json(want.arguments[key])}"
    return [("wrong value", said)]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
