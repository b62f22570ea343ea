"""The report of a run: its numbers, what is missing, what is hostile, what is broken."""

import json
import re
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tinr.records import BadInput
from tinr.report import (
    binned,
    charts,
    headline,
    phase_table,
    print_table,
    read_summary,
    smoothed,
    ticks,
    write_report,
)

HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}"


def rate(value: float | None, low: float | None, high: float | None, n: int = 300) -> dict:
    return {"value": value, "n": n, "low": low, "high": high}


def summary() -> dict[str, Any]:
    """A whole run in which grpo improved on sft; each figure is told apart by its value."""
    sft = {"seen": {"none": {"name_em": rate(0.89, 0.85, 0.92), "call_em": rate(0.5, 0.44, 0.56)}}}
    last = {
        "seen": {
            "none": {"name_em": rate(0.932, 0.901, 0.954), "call_em": rate(0.8, 0.751, 0.841)},
            "on_select": {"call_em": rate(0.86, 0.816, 0.895)},
        },
        "unseen": {"none": {"call_em": rate(0.66, 0.6, 0.71)}},
        "ood": {
            "none": {"call_em": rate(0.4, 0.35, 0.456), "answer_acc": rate(None, None, None, 0)}
        },
        "no_tool": {"none": {"abstain_acc": rate(0.98, 0.943, 0.993, 150)}},
    }
    gate = {"document_to_token": 0.996, "token_to_document": 0.972, "token_to_schema": None}
    return {
        "phases": {
            "base": {"checkpoint": "base-20260102-00000001", "seconds": 60.0, "gate": {}},
            "align": {"checkpoint": "align-20260102-00000002", "seconds": 30.0, "gate": gate},
            "sft": {"checkpoint": "sft-20260102-00000003", "seconds": 20.0, "gate": gate},
            "grpo": {"checkpoint": "grpo-20260102-00000004", "seconds": 40.0, "gate": gate},
        },
        "eval": last,
        "history": {"sft": sft, "grpo": last},
        "comparison": {
            "metric": "call_em",
            "before": "sft",
            "after": "grpo",
            "n": 900,
            "gained": 61,
            "lost": 22,
            "p": 0.000022,
        },
        "seconds": 200.0,
        "peak_rss_gib": 3.84,
        "seed": 17,
        "versions": {"torch": "2.9.1"},
        "cost": {"prompt_tokens": {"none": 61.4, "in_prompt": 18214.0}},
    }


def write_run(run: Path, content: Any, logs: dict[str, list[dict]] | None = None) -> Path:
    (run / "logs").mkdir(parents=True, exist_ok=True)
    (run / "summary.json").write_text(json.dumps(content))
    for phase, rows in (logs or {}).items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (run / "logs" / f"{phase}.jsonl").write_text(lines)
    return run


def shown(run: Path) -> str:
    return write_report(run).read_text(encoding="utf-8")


def words(html: str) -> str:
    """What a reader sees, in one line: the text without the style sheet."""
    parts: list[str] = []
    parser = HTMLParser()
    parser.handle_data = parts.append  # type: ignore[method-assign]
    parser.feed(re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL))
    return " ".join(" ".join(parts).split())


LOSSES = [
    {"step": s, "seconds": s, "train/loss": 4.0 / s, "train/tokens": 100 * s} for s in (1, 2, 4)
]
REWARDS = [
    {"step": s, "reward/total": 0.5, "reward/format": 1.0, "rollout/flat_groups": s / 4}
    for s in (1, 2, 3)
]


def test_the_phase_table_holds_every_figure_in_percent() -> None:
    head, *rows = phase_table(summary())
    assert [row[0] for row in rows] == ["base", "align", "sft", "grpo"]
    by_phase = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert by_phase["align"]["doc -> token"] == "99.6"
    assert by_phase["align"]["token -> schema"] == "-"  # null: unscored, not 0
    assert by_phase["sft"]["call seen"] == "50.0 (44.0-56.0, n=300)"
    assert by_phase["grpo"]["name seen"] == "93.2 (90.1-95.4, n=300)"
    assert by_phase["grpo"]["call ood"] == "40.0 (35.0-45.6, n=300)"
    assert by_phase["grpo"]["no-tool abstention"] == "98.0 (94.3-99.3, n=150)"
    assert by_phase["grpo"]["name unseen"] == "-"
    assert set(rows[0][1:]) == {"-"}  # base was not measured


def test_the_last_phase_takes_eval_where_history_lacks_it() -> None:
    without = summary()
    del without["history"]
    without["phases"]["other"] = {}  # a phase we do not know never takes another's figures
    head, *rows = phase_table(without)
    column = head.index("call seen")
    assert [row[column] for row in rows] == ["-", "-", "-", "80.0 (75.1-84.1, n=300)", "-"]


def test_the_printed_table_fits_100_columns_and_takes_names_literally() -> None:
    odd = summary()
    odd["phases"]["[red]x"] = {"gate": {"document_to_token": 0.25}}
    console = Console(width=100, record=True, file=StringIO())
    print_table(odd, console)
    lines = console.export_text().splitlines()
    assert max(len(line) for line in lines) <= 100
    assert any("[red]x" in line for line in lines)
    row = next(line for line in lines if line.startswith("call seen"))
    assert "50.0 (44.0-56.0, n=300)" in row and "80.0 (75.1-84.1, n=300)" in row


def test_the_headline_gives_the_evidence() -> None:
    assert headline(summary()) == (
        "Without any documentation in the prompt the model names exactly the right tools for 93 % "
        "of new queries and gets every call right for 80 %. Its calls are right for 66 % with "
        "tools it knows only from their documents and 40 % with tools of another domain; it makes "
        "no call for 98 % of queries that need none."
    )
    only = {"eval": {"no_tool": {"none": {"abstain_acc": {"value": 0.5}}}}}
    assert headline(only) == "It makes no call for 50 % of queries that need none."
    assert headline({}) == "Nothing was evaluated without documents in this run."


def test_the_page_says_what_the_run_was(tmp_path: Path) -> None:
    logs = {"align": LOSSES, "grpo": REWARDS}
    text = words(shown(write_run(tmp_path / "run", summary(), logs)))
    assert "93.2 90.1\u201395.4" in text  # a value beside its interval
    assert "86.0 81.6\u201389.5" in text and "documents on selection" in text
    # (61 - 22) / 900 = 4.33 points
    assert "61 came right" in text and "22 went wrong" in text and "+4.3 points" in text
    assert "is distinguishable from chance (p < 0.0001" in text
    assert "align-20260102-00000002 400 30 s" in text  # tokens: the last of 100, 200, 400
    assert "rest corpora, gates, evaluation \u2013 50 s" in text  # 200 - (60 + 30 + 20 + 40)
    assert "3 min 20 s" in text and "3.84 GiB" in text and "torch 2.9.1" in text
    # 18,214 / 61.4 = 296.6
    assert "18,153 tokens a query: with all documents the prompt is 297 times as long" in text


@pytest.mark.parametrize(
    ("p", "said"),
    [
        (0.0499, "is distinguishable from chance (p = 0.0499"),
        (
            0.05,
            "is not distinguishable from chance, so neither can be called better (p = 0.05",
        ),
        (None, "The difference was not tested."),
    ],
)
def test_a_change_counts_below_p_005(tmp_path: Path, p: float | None, said: str) -> None:
    content = summary()
    content["comparison"]["p"] = p
    assert said in words(shown(write_run(tmp_path, content)))


def test_a_bar_stands_where_its_interval_is(tmp_path: Path) -> None:
    html = " ".join(shown(write_run(tmp_path, summary())).split())
    # 75.1 to 84.1: starts at 75.10, 9.00 wide
    assert 'class="interval" x="75.10" y="1" height="6" width="9.00"' in html


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    content = summary()
    content["phases"][HOSTILE] = {"checkpoint": HOSTILE, "gate": {"document_to_token": 0.5}}
    content["eval"] = {HOSTILE: {HOSTILE: {HOSTILE: rate(0.5, 0.4, 0.6)}}}
    content["comparison"] |= {"metric": HOSTILE, "before": HOSTILE, "after": HOSTILE}
    content["versions"] = {HOSTILE: HOSTILE}
    content["cost"]["prompt_tokens"][HOSTILE] = 3
    run = write_run(tmp_path / "<b onclick=x>", content, {"<i src=x>": LOSSES})
    html = shown(run)
    # phase name twice, its id, split, mode, metric, comparison thrice, version twice, cost once
    assert words(html).count(HOSTILE) == 12
    assert not re.search(r"<(script|b onclick|i src)", html)
    assert "{{ 7*7 }}" in html and "{49" not in html


def test_nothing_is_fetched_from_elsewhere(tmp_path: Path) -> None:
    html = shown(write_run(tmp_path, summary(), {"align": LOSSES, "grpo": REWARDS}))
    assert not re.search(r"https?:|//|url\(|@import|<link|<script|\bsrc=|\bhref=", html)
    assert "default-src 'none'" in html


@pytest.mark.parametrize("part", [*summary(), "all", "values"])
def test_any_part_may_be_missing(tmp_path: Path, part: str) -> None:
    content = summary()
    if part == "values":
        content = json.loads(re.sub(r": [\d.e-]+", ": null", json.dumps(content)))
    content = {} if part == "all" else {k: v for k, v in content.items() if k != part}
    html = shown(write_run(tmp_path, content))
    assert html.rstrip().endswith("</html>") and "None" not in words(html)


def test_curves_in_a_page_are_those_that_were_logged() -> None:
    drawn = charts({"align": LOSSES, "sft": [], "grpo": REWARDS})
    kinds = [(c["phase"], c["kind"]) for c in drawn]
    assert kinds == [("align", "loss"), ("grpo", "rewards"), ("grpo", "flat groups")]
    assert [line["name"] for line in drawn[1]["lines"]] == ["total", "format"]
    # steps 1, 2, 3 over x 40..332; 0.25, 0.5, 0.75 of y 168..10: 168 - 158 / 4 = 128.5
    assert drawn[2]["lines"][0]["raw"] == "M40.0 128.5L186.0 89.0L332.0 49.5"


def test_rows_without_a_finite_number_are_left_out() -> None:
    rows = [
        {"step": 1, "train/loss": 2.0},
        {"step": 2, "train/loss": float("nan")},
        {"step": True, "train/loss": 1.0},
        {"step": 3, "train/loss": "<b>"},
        {"step": 10**400, "train/loss": 1.0},
        ["no row"],
    ]
    (chart,) = charts({"sft": rows})
    # a single point, 2.0 of an axis from 0 to 3: 168 - 158 * 2 / 3 = 62.7
    assert chart["lines"][0]["raw"] == "M40.0 62.7"


def test_a_loss_over_orders_of_magnitude_has_a_log_axis() -> None:
    (chart,) = charts({"sft": [{"step": s, "train/loss": 100.0 / 10**s} for s in (1, 2, 3)]})
    # 10, 1, 0.1 are equally far apart: the middle one at (10 + 168) / 2
    assert chart["log"] and chart["y_ticks"] == [(168.0, "0.1"), (89.0, "1"), (10.0, "10")]


def test_ticks_smoothing_and_bins() -> None:
    assert ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(1, 1500) == [500, 1000, 1500]
    assert ticks(0.03, 5, log=True) == pytest.approx([0.1, 1.0])
    # 20 points: one neighbour to each side; a single 6 at index 10 spreads into 2, 2, 2
    points = [(float(i), 6.0 * (i == 10)) for i in range(20)]
    assert [y for _, y in smoothed(points)] == [2.0 * (9 <= i <= 11) for i in range(20)]
    # 5 rows in at most 2 bins: three and two of them, named by their last steps
    assert binned([(1, 1), (2, 2), (3, 6), (4, 4), (5, 5)], most=2) == [(3, 3.0), (5, 4.5)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot read it"),
        ("{", "no valid JSON"),
        ("[]", "/ is [], not an object"),
        ('{"phases": 3}', "/phases is 3, not an object"),
        (
            '{"eval": {"seen": {"none": {"call_em": {"value": 93.2}}}}}',
            "/eval/seen/none/call_em/value",
        ),
        ('{"history": {"sft": {"seen": {"none": {"call_em": {"n": -1}}}}}}', "call_em/n is -1"),
        ('{"phases": {"sft": {"gate": {"token_to_schema": true}}}}', "is True, not a share"),
        ('{"seconds": NaN}', "/seconds is nan, not a finite number"),
        ('{"seed": "x\\ny"}', "not a whole number"),
        ('{"versions": {"a\\nb": 3}}', r"/versions/a\nb is 3, not text"),
        ("\udcff", "no valid JSON"),
    ],
)
def test_a_broken_summary_stops_with_one_line(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "summary.json"
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadInput) as caught:
        write_report(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and said in message and "\n" not in message
    assert "; " in message and not (tmp_path / "report.html").exists()


def test_a_broken_log_stops_with_one_line(tmp_path: Path) -> None:
    run = write_run(tmp_path, summary())
    (run / "logs" / "sft.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match=r"sft\.jsonl: unreadable log"):
        write_report(run)


def test_writing_replaces_the_old_report_and_leaves_nothing_beside(tmp_path: Path) -> None:
    run = write_run(tmp_path, summary())
    (run / "report.html").write_text("old")
    assert write_report(run) == run / "report.html"
    assert (run / "report.html").read_text().startswith("<!doctype html>")
    assert sorted(p.name for p in run.iterdir()) == ["logs", "report.html", "summary.json"]
    (run / "report.html").unlink()
    (run / "report.html").mkdir()
    with pytest.raises(BadInput, match="cannot write it"):
        write_report(run)
    assert sorted(p.name for p in run.iterdir()) == ["logs", "report.html", "summary.json"]


def test_a_checked_summary_comes_back_unchanged(tmp_path: Path) -> None:
    assert read_summary(write_run(tmp_path, summary()) / "summary.json") == summary()
