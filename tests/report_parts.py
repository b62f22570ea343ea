"""What the tests of the report share: a whole run, written without a model.

The replies are the references of the shipped test queries, some of them corrupted, each in
a way that has a name, so that every section of a report has something to show.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from registry_parts import make_card, moment

from tinr.catalogue.load import query_line
from tinr.chat.parse import parse
from tinr.chat.render import (
    as_text,
    render_calls,
    render_names,
    render_observations,
    render_response,
    render_thought,
)
from tinr.checkpoints.registry import Registry
from tinr.evaluation.metrics import outcome, summarise
from tinr.records import Call, Query
from tool_corpora.suites import test_suite

PHASES = ("base", "align", "sft", "grpo")
RATES = (1e-3, 3e-4, 1e-4, 5e-5)
PACKAGES = {"python": "3.11.9", "torch": "2.13.0", "transformers": "5.23.0"}
GATE = {
    "document_to_token": {"value": 0.996, "n": 228, "low": 0.976, "high": 0.999, "limit": 0.99,
                          "passed": True},
    "token_to_document": {"value": 0.842, "n": 228, "low": 0.789, "high": 0.884, "limit": None,
                          "passed": True},
}  # fmt: skip
HARDWARE = {"cpu": "a CPU", "cores": 2, "accelerators": [], "ram_gib": 15.6}


def whole_run(folder: Path, size: int = 24) -> Path:
    """A run with everything a report shows, in `folder`."""
    registry, parent = Registry(folder / "registry"), None
    history: dict[str, Any] = {}
    ids: dict[str, str] = {}
    for number, phase in enumerate(PHASES):
        card = make_card(
            phase, created=moment(number), parent=parent, seed=17, tokens=10**6 * number + 1,
            seconds=100.0 + number, git_commit="0123456789abcdef" * 2 + "01234567-dirty",
            gates=GATE if parent else {}, packages=PACKAGES, hardware=HARDWARE,
            catalogue_hash="c" * 64 if parent else None,
            config={"seed": 17, "optimiser": {"name": "muon", "learning_rate": RATES[number]}},
        )  # fmt: skip
        card = registry.publish(card, lambda place: (place / "model.bin").write_bytes(b"weights"))
        parent = ids[phase] = card.id
        write_log(folder / "logs" / f"{phase}.jsonl", phase)
        if phase == "grpo":
            write_lines(folder / "logs" / "grpo.conversations.jsonl", sampled())
        for mode in ("none", "on_select", "retrieved")[: (0, 1, 1, 3)[number]]:
            rows, rates = replies(size, number, mode)
            write_lines(folder / "eval" / card.id / f"replies.{mode}.jsonl", rows)
            for split, metrics in rates.items():
                history.setdefault(phase, {}).setdefault(split, {})[mode] = metrics
    (folder / "summary.json").write_text(json.dumps(summary_of(ids, history)))
    return folder


def summary_of(ids: Mapping[str, str], history: Mapping[str, Any]) -> dict[str, Any]:
    gate = {"document_to_token": 0.996, "token_to_document": 0.842, "token_to_schema": 0.989}
    phases = {
        phase: {"checkpoint": name, "seconds": 100.0 + n, "gate": gate if n else {}}
        for n, (phase, name) in enumerate(ids.items())
    }
    probe = {"value": 0.71, "low": 0.645, "high": 0.766, "n": 200, "chance": 0.25, "blind": 0.64}
    named = {"name_usual_among/unseen": probe | {"chance": 0.01, "blind": None}}
    tax = {"value": 2.31, "low": 2.2, "high": 2.42, "n": 400, "unit": "nats"}
    return {
        "phases": phases,
        "eval": history["grpo"],
        "history": history,
        "knowledge": {phase: {"which_tool_has_parameter": probe} | named for phase in PHASES[1:]},
        "tax": {phase: {"loss on held-out text": tax} for phase in PHASES},
        "comparison": {"metric": "call_em", "before": "sft", "after": "grpo", "n": 72,
                       "gained": 12, "lost": 3, "p": 0.0352},
        "seconds": 1238.4,
        "peak_rss_gib": 5.41,
        "seed": 17,
        "versions": PACKAGES,
        "cost": {"prompt_tokens": {"none": 61.4, "retrieved": 640.0, "in_prompt": 18214.0}},
    }  # fmt: skip


def replies(size: int, number: int, mode: str) -> tuple[list[dict], dict[str, dict]]:
    """Lines of a replies file, and split -> metric -> rate; later phases err less."""
    queries = [q for suite in ("in_domain", "out_of_domain") for q in test_suite(suite, size)]
    queries += [replace(q, split="bfcl simple_python", id=f"b{q.id}") for q in queries[:size]]  # type: ignore[arg-type]
    names = sorted({call.name for query in queries for call in query.calls})
    rows, outcomes = [], {}
    for index, query in enumerate(queries):
        pieces = render(corrupted(query, index % (4 + 2 * number + (mode != "none")), names))
        reply = parse(pieces)
        judged = outcome(reply, query)
        outcomes.setdefault(query.split or "no_tool", []).append(judged)
        said = as_text(pieces)
        cost = {"tokens": len(said) // 4, "prompt_tokens": 60 + index % 9, "seconds": 0.12}
        rows.append(
            query_line(query)
            | {"reply": said, "outcome": asdict(judged), "problems": list(reply.problems)}
            | cost
        )
    rates = {split: summarise(judged) for split, judged in outcomes.items()}
    return rows, {s: {m: asdict(r) for m, r in rates[s].items() if r.n} for s in rates}


def corrupted(query: Query, way: int, names: Sequence[str]) -> tuple[Query, int, list[Call]]:
    """The query with the calls a reply makes: the reference's, or wrong in one way."""
    calls = list(query.calls)
    if not calls:
        return query, way, [Call(names[way], {"value": 1})] if way in (1, 3) else []
    first = calls[0]
    arguments = dict(first.arguments)
    key = next(iter(arguments), "value")
    if way == 0:
        near = names[(names.index(first.name) // 5 * 5 + 2) % len(names)]
        calls[0] = Call(near, arguments)
    elif way == 1:
        calls[0] = Call(first.name, arguments | {key: "another"})
    elif way == 2:
        calls[0] = Call(first.name, {k: v for k, v in arguments.items() if k != key})
    elif way == 3:
        calls = calls[1:]
    elif way == 4:
        calls[0] = Call(first.name, arguments | {"unit": "<b>metre</b>"})
    return query, way, calls


def render(given: tuple[Query, int, list[Call]]) -> list[Any]:
    """The pieces of a reply that makes these calls; way 5 leaves the thought open."""
    query, way, calls = given
    thought = render_thought([f"The user wants this: {query.text}"])
    if way == 5:
        thought = thought[:-1]
    if not calls:
        return [*thought, *render_response("I cannot say.")]
    seen = render_observations(query.observations or ["12"])
    named = render_names(list(dict.fromkeys(call.name for call in calls)))
    said = render_response(query.answer or "Done.")
    return [*thought, *named, *render_calls(calls), *seen, *said]


def write_log(path: Path, phase: str) -> None:
    """A falling loss in every phase; rewards, lengths and entropy in grpo."""
    rows = []
    for step in range(1, 61):
        wave = math.sin(step / 3)
        loss = 4 * math.exp(-step / 15) + 0.05 + 0.02 * wave
        row = {"step": step, "seconds": step, "train/loss": loss,
               "train/grad_norm": 1 + 0.3 * wave, "train/tokens": 1000 * step}  # fmt: skip
        if phase == "grpo":
            rise = 1 - math.exp(-step / 20)
            row |= {"reward/total": 0.8 * rise, "reward/format": rise, "reward/tool": 0.7 * rise,
                    "reward/answer": 0.5 * rise, "rollout/flat_groups": 0.2 + 0.2 * rise,
                    "rollout/finished": 0.9, "rollout/length": 90 + 5 * wave,
                    "rollout/entropy": 0.4 - 0.2 * rise}  # fmt: skip
        rows.append(row)
    write_lines(path, rows)


def sampled() -> list[dict[str, Any]]:
    """What a policy's log keeps of its conversations: two at every tenth step of 200."""
    said = "<think>area</think><tool_call>{}</tool_call><obs>12</obs><response>12</response>"
    return [
        {"step": step, "query": f"q{n}", "prompt": "Area of 2?", "reply": said,
         "total": 0.5, "format": 1.0, "tool": 0.25, "answer": (None, 1.0)[n]}
        for step in range(0, 201, 10)
        for n in range(2)
    ]  # fmt: skip


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
