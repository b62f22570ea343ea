"""Bars with the time left: where they show, that they move as work is done, and reach their end."""

import io
import re
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tqdm import std

from tinr import progress
from tinr.chat.codec import Piece
from tinr.chat.render import render_names, render_response, render_thought
from tinr.data.packing import Example
from tinr.evaluation import knowledge, recall
from tinr.evaluation.ability.divergence import sample_completions, shifts_of, text_nats
from tinr.evaluation.ability.tasks import load_tasks, right_replies
from tinr.evaluation.abstention import call_evidence
from tinr.evaluation.choices import Choice
from tinr.evaluation.likelihood import decode_among, hits
from tinr.evaluation.recall import probe_hits
from tinr.planning.capacity.bits import count_bits
from tinr.progress import counting_ends, counting_tokens, part_of, progress_bar
from tinr.records import Query
from tinr.rollout import conversation
from tinr.rollout.conversation import converse
from tinr.rollout.generate import Row, generate
from tinr.rollout.tools.executor import Executor
from tinr.training.preference.hard_queries import perplexities


class Screen(io.StringIO):
    """Stderr as a terminal, or as the file of a log."""

    def __init__(self, terminal: bool):
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture
def look(monkeypatch):
    """`look(terminal)`: stderr from here on, and a clock; `clock.now` is in seconds."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(std, "time", lambda: clock.now)

    def replace(terminal: bool) -> tuple[Screen, Any]:
        screen = Screen(terminal)
        monkeypatch.setattr(sys, "stderr", screen)
        return screen, clock

    return replace


@pytest.fixture
def bars(monkeypatch):
    """Every bar that shows, with the counts after each of its moves in `moves`."""
    shown: list[Any] = []

    class Listener(progress.Bar):
        def __init__(self, *words: Any, **more: Any):
            super().__init__(*words, **more)
            self.moves: list[float] = []
            if not self.disable:
                shown.append(self)

        def update(self, n: float | None = 1) -> bool | None:
            moved = super().update(n)
            self.moves.append(self.n)
            return moved

    monkeypatch.setattr(progress, "Bar", Listener)
    return shown


# -- where a bar shows ---------------------------------------------------------------------


def test_a_terminal_shows_a_bar_at_once_with_the_time_left(look):
    screen, clock = look(terminal=True)
    with progress_bar(4, "gate: document to token", "reply") as bar:
        assert "gate: document to token:   0%" in screen.getvalue()
        clock.now += 10
        bar.update(1)  # a quarter in 10 s: three quarters take 30
        assert "25%" in screen.getvalue() and "[00:10<00:30" in screen.getvalue()
        assert all(len(line) <= 90 for line in re.split(r"[\r\n]", screen.getvalue()))
    assert screen.getvalue().endswith("\n")  # what was long stays


def test_short_work_leaves_nothing_at_a_terminal(look):
    screen, clock = look(terminal=True)
    with progress_bar(4, "gate", "reply") as bar:
        clock.now += 1
        bar.update(4)
    assert "gate" in screen.getvalue()
    assert screen.getvalue().split("\r")[-2].strip() == ""  # drawn over with blanks
    assert "\n" not in screen.getvalue()


def test_a_log_has_no_bar_of_short_work_and_two_looks_a_minute_of_long(look):
    screen, clock = look(terminal=False)
    with progress_bar(4, "short", "reply") as bar:
        clock.now += 4
        bar.update(4)
    assert screen.getvalue() == ""
    with progress_bar(200, "long", "reply") as bar:
        for _ in range(120):
            clock.now += 1
            bar.update(1)
    looks = [part for part in screen.getvalue().split("\r") if part.startswith("long")]
    assert 4 <= len(looks) <= 6


@pytest.mark.parametrize("case", ["no title", "second rank"])
def test_a_bar_that_nobody_asks_for_shows_nothing(case, look, monkeypatch):
    screen, clock = look(terminal=True)
    if case == "second rank":
        monkeypatch.setenv("RANK", "1")
    with progress_bar(4, "" if case == "no title" else "gate", "reply") as bar:
        clock.now += 60
        bar.update(4)
    assert screen.getvalue() == ""


def test_the_bars_start_no_thread(look):
    """A thread that holds a lock would be in the way of a fork."""
    look(terminal=True)
    before = set(threading.enumerate())  # another library's bar may have started tqdm's
    with progress_bar(4, "gate", "reply") as bar:
        assert bar.monitor_interval == 0 and set(threading.enumerate()) <= before


def test_every_bar_has_this_look():
    """No module makes bars of its own; two do what is tqdm's own affair around a fork."""
    root = Path(progress.__file__).parent
    users = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if re.search(r"^\s*(from|import) tqdm", path.read_text("utf-8"), re.MULTILINE)
    }
    assert users == {"progress.py", "studies/benchmarks/kills.py", "cli/bench.py"}


# -- how it moves --------------------------------------------------------------------------


def test_a_part_moves_by_its_amount_whatever_is_counted(bars):
    with progress_bar(10, "x", "reply") as bar:
        with part_of(bar, 4) as move:
            move(1)
            move(9)  # more than there is
        with part_of(bar, 6) as move:
            move(2)  # less: the rest at the end
    assert bars[0].moves == [1, 4, 4, 6, 10]


def test_work_that_fails_moves_the_bar_no_further(bars):
    with progress_bar(4, "x", "reply") as bar:
        with pytest.raises(ValueError, match="broken"), part_of(bar, 4) as move:
            move(1)
            raise ValueError("broken")
        assert bar.n == 1


def test_ends_are_counted_and_answers_are_left_as_they_are():
    moved: list[int] = []
    answers: dict[int, list[int] | None] = {0: None, 1: [], 2: [7]}
    respond = counting_ends(lambda row, ids: answers[row], moved.append)
    assert [respond(row, [5]) for row in answers] == [None, [], [7]]
    assert moved == [1]


def test_tokens_are_counted_as_they_are_read_and_written(model):
    """Prompts of 3 and 2 ids and 4 steps of two rows; the replies are those without a bar."""
    moved: list[int] = []
    settings: Any = {"max_tokens": 4, "pad": 0}
    prompts, respond = [[5, 6, 7], [8, 9]], lambda row, ids: None
    rows = generate(
        model, prompts, respond, frozenset(), steer=counting_tokens(5, moved.append), **settings
    )
    assert moved == [7, 2, 2, 2]
    plain = generate(model, prompts, respond, frozenset(), **settings)
    assert [row.ids for row in rows] == [row.ids for row in plain]


# -- what has one --------------------------------------------------------------------------


def test_the_gate_moves_within_a_batch_and_says_what_it_asks(model, codec, catalogue, bars):
    probe_hits(model, codec, catalogue)
    assert [bar.desc for bar in bars] == [
        "gate: document to token", "gate: token to document", "gate: token to schema",
    ]  # fmt: skip
    for bar in bars:
        assert bar.n == bar.total and len(bar.moves) > 3  # one batch
    assert probe_hits(model, codec, catalogue, "") and len(bars) == 3


def test_the_gate_judges_alike_whatever_is_asked_together(codec, catalogue, monkeypatch, bars):
    """Scripted: of each probe the second longest answer is wrong."""
    sizes = []

    def answers(model, prompts, *words, steer, **more):
        sizes.append(len(prompts))
        texts = [next(script) for _ in prompts]
        steer(range(len(prompts)), (), ())
        return [Row([*codec.encode([piece])[0], codec.id(codec.frame.close)]) for piece in texts]

    monkeypatch.setattr(recall, "generate", answers)
    cpu: Any = SimpleNamespace(device=torch.device("cpu"))
    expected = [Piece("a a a a a"), Piece("a"), Piece("a a")]
    for rows in (1, 2, 32):
        monkeypatch.setattr(recall, "CPU_ROWS", rows)
        script = iter([Piece("a"), Piece("b"), Piece("a a a a a ")])
        assert recall._ask(cpu, codec, [[Piece("x")]] * 3, expected, "t") == [True, True, False]
    assert sizes == [1, 1, 1, 2, 1, 3] and all(bar.n == bar.total for bar in bars)


def test_an_accelerator_is_asked_more_at_once():
    devices = {name: SimpleNamespace(device=torch.device(name)) for name in ("cpu", "cuda")}
    rows: dict[str, int] = {name: recall.rows_at_once(one) for name, one in devices.items()}  # type: ignore[arg-type]
    assert rows == {"cpu": 32, "cuda": 256}


def test_conversations_are_counted_as_they_end_and_at_the_limit(
    codec, catalogue, bars, monkeypatch, capsys
):
    """Of four in two batches the second and the fourth are cut by the limit."""
    reply = codec.encode([*render_thought(["so"]), *render_response("Yes.")])[0]

    def engine(model, prompts, respond, stops, **_):
        assert respond(0, reply) is None
        return [Row(reply, finished=True), Row(reply[:2])]

    monkeypatch.setattr(conversation, "ROWS", 2)
    roomy: Any = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=10**6))
    queries = [Query("a", "Hello"), Query("b", "Good day to all of you")]
    words = (roomy, codec, queries, catalogue, Executor(catalogue, {}))
    converse(*words, engine=engine, group=2, title="seen", prompts=[[1] * 3, [1] * 9])
    assert bars[0].moves == [1, 2, 3, 4]  # an end, and what the limit cut, batch by batch
    assert (bars[0].desc, bars[0].n, bars[0].total) == ("seen", 4, 4)
    assert capsys.readouterr().out == ""


def asked(model, codec, catalogue, name: str) -> None:
    """Do the work that a bar of this title is of."""
    choices = [Choice((Piece("x"),), ((Piece("a b"),), (Piece("c"),)))] * 3
    rows = [[5, 6, 7], [8, 9]]
    done: list[Any] = [SimpleNamespace(prompt=[5, 6], row=Row([7])) for _ in range(3)]
    works: dict[str, Any] = {
        "choices": lambda: hits(model, codec, choices, name),
        "likeliest": lambda: decode_among(
            model, codec, [[Piece("x")]] * 3, {"a": [Piece("a")], "b": [Piece("c")]}, name
        ),
        "evidence": lambda: call_evidence(model, codec, done, name),
        "text": lambda: text_nats(model, codec, ["A text.", "Another one."], name),
        "sampled": lambda: sample_completions(model, codec, ["A text."], 4, 0, name),
        "requests": lambda: right_replies(model, codec, load_tasks()[:2], [[5, 6], [7, 8]], name),
        "shifts": lambda: shifts_of(model, codec, model, codec, rows, rows, name),
        "free": lambda: knowledge.name_freely(model, codec, ["a", "b", "c"], name),
        "hard": lambda: perplexities(model, [Example(row, row) for row in rows], 0, name),
        "likelihood of texts": lambda: count_bits(catalogue, model, codec),
    }
    works[name]()


TITLES = (
    "choices", "likeliest", "evidence", "text", "sampled", "requests", "shifts", "free", "hard",
    "likelihood of texts",
)  # fmt: skip


@pytest.mark.parametrize("name", TITLES)
def test_a_bar_reaches_its_end(name, model, codec, catalogue, bars, monkeypatch, capsys):
    monkeypatch.setattr(knowledge, "THOUGHT_TOKENS", 4)
    asked(model, codec, catalogue, name)
    (bar,) = bars
    assert bar.desc == name and 0 < bar.total == bar.n == bar.moves[-1]
    assert capsys.readouterr().out == ""  # --json has it alone


def test_a_reply_in_knowledge_is_counted_as_it_ends(codec, monkeypatch, bars):
    """The tool of a reply is the same with and without a bar."""
    ids = codec.encode([*render_thought([]), *render_names(["circle_area"])])[0]

    def write(model, prompts, respond, stops, **_):
        for row in range(len(prompts)):
            respond(row, ids)
        return [Row(ids) for _ in prompts]

    monkeypatch.setattr(knowledge, "generate", write)
    cpu: Any = SimpleNamespace(device=torch.device("cpu"))
    assert knowledge.name_freely(cpu, codec, ["a", "b"], "vague") == ["circle_area"] * 2
    assert bars[0].moves[:2] == [1, 2]
