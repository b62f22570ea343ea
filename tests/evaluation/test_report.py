"""The report of a run: its numbers, what is missing, what is hostile, what is broken."""

import json
import re
import shutil
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from report_parts import whole_run, write_lines
from rich.console import Console
from typer.testing import CliRunner

from tinr.cli.main import app
from tinr.evaluation.report.lineage import of_other_runs, read_cards
from tinr.evaluation.report.measures import headline, phase_table, print_table
from tinr.evaluation.report.page import write_report
from tinr.evaluation.report.summary import read_summary
from tinr.records import BadInput

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
        "of new queries for tools with training queries and gets every call right for 80 %. "
        "Its calls are right for 66 % with "
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
    assert "86.0 81.6\u201389.5" in text and "documents none on selection" in text
    # (61 - 22) / 900 = 4.33 points
    assert "61 changed from wrong to right and 22 from right to wrong" in text
    assert "+4.3 points" in text
    assert "is distinguishable from chance (p < 0.0001" in text
    assert "align-20260102-00000002 400 30 s" in text  # tokens: the last of 100, 200, 400
    # 200 - (60 + 30 + 20 + 40) = 50 s, a quarter of it
    assert "rest: corpora, gates, evaluation 50 s 25.0" in text
    assert "3 min 20 s" in text and "3.8 GiB" in text and "torch 2.9.1" in text
    # 18,214 / 61.4 = 296.6
    assert "all in the prompt 18,214.0 296.6" in text
    missing = (
        "What goes wrong, Confusion between tools, Worst cases, Sampled conversations, Lineage"
    )
    assert f"Not in this run {missing}" in text


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
    assert 'style="--at:80.0%;--low:75.1%;--high:84.1%"' in html


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    """Each place gets a text of its own; all are read as text, none becomes markup."""
    content, marks = summary(), [f"{HOSTILE}{n}." for n in range(30)]
    mark = iter(marks)
    content["phases"][next(mark)] = {"gate": {"document_to_token": 0.5}}
    content["eval"] = {next(mark): {next(mark): {next(mark): rate(0.5, 0.4, 0.6)}}}
    content["comparison"] |= {"metric": next(mark), "before": next(mark), "after": next(mark)}
    content["versions"] = {next(mark): next(mark)}
    content["cost"]["prompt_tokens"][next(mark)] = 3
    content["knowledge"] = {"sft": {next(mark): rate(0.5, 0.4, 0.6)}}
    content["tax"] = {"sft": {next(mark): rate(0.5, 0.4, 0.6) | {"unit": next(mark)}}}
    run = write_run(tmp_path / "<b onclick=x>", content, {"<i src=x>": LOSSES})
    (run / "logs" / "sft.config.json").write_text(json.dumps({next(mark): {next(mark): 1}}))
    other = [{"name": next(mark), "arguments": {next(mark): 1}}]
    call = {"name": next(mark), "parameters": {"a": 1}}
    row = {
        "id": "1",
        "query": next(mark),
        "calls": other,
        "split": "seen",
        "problems": [next(mark)],
    }
    row |= {"reply": f"<tool_call>{json.dumps(call)}</tool_call>{next(mark)}"}
    write_lines(run / "eval" / "grpo-20260102-00000004" / "replies.none.jsonl", [row])
    html = shown(run)
    said = words(html)
    unused = set(mark)
    known = [m for m in marks if m in said or json.dumps(m)[1:-1] in said]
    assert known == [m for m in marks if m not in unused]
    assert not re.search(r"<(script|b onclick|i src)", html)
    assert "{{ 7*7 }}" in html and "{49" not in html


def test_nothing_is_fetched_from_elsewhere(tmp_path: Path) -> None:
    html = shown(write_run(tmp_path, summary(), {"align": LOSSES, "grpo": REWARDS}))
    assert not re.search(r"https?:|//|@import|<link|<script|\bsrc=", html)
    assert not re.search(r"""url\((?!#)|href=(?!["']#)""", html)
    assert "default-src 'none'" in html


@pytest.mark.parametrize("part", [*summary(), "all", "values"])
def test_any_part_may_be_missing(tmp_path: Path, part: str) -> None:
    content = summary()
    if part == "values":
        content = json.loads(re.sub(r": [\d.e-]+", ": null", json.dumps(content)))
    content = {} if part == "all" else {k: v for k, v in content.items() if k != part}
    html = shown(write_run(tmp_path, content))
    assert html.rstrip().endswith("</html>") and "None" not in words(html)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot read it"),
        ("{", "invalid JSON"),
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
        ("\udcff", "invalid JSON"),
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
    kept = ["logs", "report.json", "report.md", "summary.json"]
    assert sorted(p.name for p in run.iterdir()) == sorted([*kept, "report.html"])
    (run / "report.html").unlink()
    (run / "report.html").mkdir()
    with pytest.raises(BadInput, match="cannot write it"):
        write_report(run)
    assert sorted(p.name for p in run.iterdir() if p.name != "report.html") == kept


def test_a_page_that_cannot_be_written_leaves_the_other_two_as_they_were(tmp_path: Path) -> None:
    run = write_run(tmp_path, summary())
    write_report(run)
    old = (run / "report.json").read_bytes()
    write_run(run, summary() | {"seed": 18})
    (run / "report.md").unlink()
    (run / "report.md").mkdir()
    with pytest.raises(BadInput, match="cannot write it"):
        write_report(run)
    assert (run / "report.json").read_bytes() == old


def test_a_checked_summary_comes_back_unchanged(tmp_path: Path) -> None:
    assert read_summary(write_run(tmp_path, summary()) / "summary.json") == summary()


# -- the same tables three times ------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything in it, its report written."""
    run = whole_run(tmp_path_factory.mktemp("runs") / "whole")
    write_report(run, {"sft": {"seed": 0, "optimiser": {"name": "muon"}}})
    return run


def tables_of(run: Path) -> dict[str, dict[str, Any]]:
    data = json.loads((run / "report.json").read_text())
    return {table["key"]: table for section in data["sections"] for table in section["tables"]}


def test_page_markdown_and_json_hold_the_same_tables(whole: Path) -> None:
    html, markdown = (whole / "report.html").read_text(), (whole / "report.md").read_text()
    tables = tables_of(whole)
    assert len(tables) > 30
    assert html.count("<table") == len(tables) == markdown.count("\n|---")
    for table in tables.values():
        rows = len(table["rows"]) * f"{len(table['columns'])} cells "
        assert all(len(row["cells"]) == len(table["columns"]) for row in table["rows"]), rows
    sections = json.loads((whole / "report.json").read_text())["sections"]
    assert [s["title"] for s in sections] == [
        "Calls by phase", "Did grpo help after sft?", "Knowledge by phase",
        "With and without documents", "What goes wrong", "Confusion between tools",
        "Worst cases", "Training", "Sampled conversations", "What it cost", "Lineage",
        "Configuration",
    ]  # fmt: skip


def test_json_holds_rates_as_shares_and_what_is_missing_as_null(tmp_path: Path) -> None:
    write_report(write_run(tmp_path, summary()))
    tables = tables_of(tmp_path)
    calls = {(r["group"], r["label"]): r["cells"] for r in tables["calls"]["rows"]}
    assert tables["calls"]["columns"] == ["sft", "grpo"]
    sft, grpo = calls["Calls exactly right", "seen tools"]
    assert (sft["value"], sft["low"], sft["high"], sft["n"]) == (0.5, 0.44, 0.56, 300)
    assert grpo["value"] == 0.8
    # sft was not measured on unseen tools: null, not 0
    assert calls["Calls exactly right", "unseen tools"][0] is None
    assert "token to schema" not in {row["label"] for row in tables["recall"]["rows"]}
    assert tables["time"]["columns"] == ["checkpoint", "tokens trained on", "time", "% of the time"]
    cells = tables["time"]["rows"][-1]["cells"]
    assert cells[:3] == ["", "", 200.0] and cells[3]["value"] == 1.0  # "": does not apply


def test_knowledge_stands_beside_chance_and_tax_in_its_unit(whole: Path) -> None:
    tables = tables_of(whole)
    assert tables["knowledge"]["columns"] == ["align", "sft", "grpo", "chance", "blind"]
    row, named = tables["knowledge"]["rows"]
    assert row["label"] == "which tool has parameter" and row["cells"][3]["value"] == 0.25
    assert row["cells"][4]["value"] == 0.64
    assert named["label"] == "named on a usual request, only tools allowed: unseen tools"
    (row,) = tables["tax"]["rows"]
    assert row["cells"][0] == {"value": 2.31, "low": 2.2, "high": 2.42, "n": 400, "unit": "nats"}
    assert "2.31 nats 2.2\u20132.42" in words((whole / "report.html").read_text())


def test_unknown_splits_and_modes_are_shown_as_they_are_spelled(whole: Path) -> None:
    tables = tables_of(whole)
    assert tables["split-bfcl simple_python"]["columns"] == ["none", "on selection", "retrieved"]
    calls = [(row["group"], row["label"]) for row in tables["calls"]["rows"]]
    assert ("Calls exactly right", "bfcl simple_python") in calls


def test_strict_calls_stand_in_where_calls_are_split_in_two(tmp_path: Path) -> None:
    content = json.loads(json.dumps(summary()).replace("call_em", "call_em_strict"))
    lenient, auroc = rate(0.9, 0.8, 0.95), rate(0.7, 0.6, 0.8)
    content["eval"]["seen"]["none"] |= {"call_em_lenient": lenient, "auroc": auroc}
    text = words(shown(write_run(tmp_path, content)))
    assert "gets every call right for 80 %" in text.replace("\u00a0", " ")
    assert "exact calls, lenient n = 300 90.0" in text and "AUROC, \u00d7 100 n = 300 70.0" in text


def test_the_lineage_is_what_the_cards_say(whole: Path) -> None:
    tables = tables_of(whole)
    facts = {row["label"]: row["cells"] for row in tables["lineage"]["rows"]}
    assert tables["lineage"]["columns"] == ["base", "align", "sft", "grpo"]
    assert facts["parent"][0] is None and facts["parent"][1:] == facts["checkpoint"][:3]
    assert facts["git commit"][3].endswith("-dirty") and facts["catalogue"][0] is None
    text = words((whole / "report.html").read_text())
    assert "0123456789ab with changes" in text and "1 min 43 s" in text


def test_gates_stand_beside_the_least_that_passes(whole: Path) -> None:
    rows = {(r["group"], r["label"]): r["cells"] for r in tables_of(whole)["gates"]["rows"]}
    assert tables_of(whole)["gates"]["columns"] == ["align", "sft", "grpo"]  # a base has none
    measured = rows["measured", "document to token"][0]
    assert (measured["value"], measured["low"], measured["n"]) == (0.996, 0.976, 228)
    assert rows["minimum", "document to token"][2]["value"] == 0.99
    assert ("minimum", "token to document") not in rows


def test_configuration_marks_what_differs_from_the_default(whole: Path) -> None:
    rows = {row["label"]: row["cells"] for row in tables_of(whole)["config-sft"]["rows"]}
    # the default's seed is 0, the run's 17; a key that the default lacks is new
    assert rows["seed"] == ["17", "0"] and rows["optimiser.name"] == ['"muon"', ""]
    assert rows["optimiser.learning_rate"] == ["0.0001", "new"]
    assert tables_of(whole)["config-sft"]["note"] == "2 of 3 values differ from the default."
    assert tables_of(whole)["config-grpo"]["columns"] == ["value"]


def test_what_a_query_took_is_shown_where_it_was_counted(tmp_path: Path) -> None:
    rows = [{"id": str(n), "query": "x", "calls": [], "tokens": n} for n in (1, 2, 9)]
    run = write_run(tmp_path, summary())
    write_lines(run / "eval" / "grpo-20260102-00000004" / "replies.none.jsonl", rows)
    write_report(run)
    table = tables_of(run)["cost"]
    assert table["columns"] == ["queries", "generated tokens, mean", "generated tokens, median"]
    assert table["rows"][0]["cells"] == [3, 4.0, 2.0]


def test_markdown_takes_texts_literally(tmp_path: Path) -> None:
    content = summary()
    content["phases"]["a|b*c*"] = {"gate": {"document_to_token": 0.25}}
    write_report(write_run(tmp_path, content))
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert r"| measure | align | sft | grpo | a\|b\*c\* |" in lines
    row = next(line for line in lines if line.startswith("| Calls exactly right: seen tools"))
    assert "80.0 (75.1-84.1, n=300)" in row
    assert lines[-1].startswith("Not in this run: What goes wrong, Confusion between tools")


@pytest.mark.parametrize("text", ["{", '"x"', '{"calls": 3}', '{"calls": [{"name": "a"}]}'])
def test_broken_replies_stop_with_one_line(tmp_path: Path, text: str) -> None:
    run = write_run(tmp_path, summary())
    path = run / "eval" / "grpo-20260102-00000004" / "replies.none.jsonl"
    write_lines(path, [{"id": "1", "query": "x", "calls": []}])
    path.write_text(path.read_text() + text + "\n")
    with pytest.raises(BadInput, match=r"replies\.none\.jsonl:2: not a reply") as caught:
        write_report(run)
    assert "\n" not in str(caught.value)


def test_the_command_marks_what_differs_from_the_phases_own_defaults(tmp_path: Path) -> None:
    run = write_run(tmp_path, summary())
    config = {"seed": 0, "size": 7, "policy": {"temperature": 0.25}}
    (run / "logs" / "grpo.config.json").write_text(json.dumps(config))
    done = CliRunner().invoke(app, ["report", "--run", str(run)])
    assert done.exit_code == 0 and done.stdout.strip() == str(run / "report.html")
    rows = {row["label"]: row["cells"] for row in tables_of(run)["config-grpo"]["rows"]}
    # seed 0 is the default: no mark; the other two differ
    assert rows["seed"] == ["0", ""] and rows["size"][1] not in (None, "")
    assert rows["policy.temperature"] == ["0.25", "1.0"]


def test_tokens_are_the_cards_and_a_log_that_counted_none_is_missing(
    whole: Path, tmp_path: Path
) -> None:
    """The cards of the whole run say a million a phase, its logs 60,000."""
    rows = {row["label"]: row["cells"] for row in tables_of(whole)["time"]["rows"]}
    assert rows["grpo"][1] == 3_000_001
    logs = {"align": LOSSES, "grpo": [{"step": 1, "train/tokens": 0}]}
    write_report(write_run(tmp_path, summary(), logs))
    rows = {row["label"]: row["cells"] for row in tables_of(tmp_path)["time"]["rows"]}
    assert rows["align"][1] == 400 and rows["grpo"][1] is None


def test_the_log_of_another_run_is_no_curve_of_this_one(whole: Path, tmp_path: Path) -> None:
    """A reused checkpoint writes no log; what stands there was written with another seed."""
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    cards = read_cards(run / "registry", read_summary(run / "summary.json"))
    (card,) = [one for one in cards if one.phase == "grpo"]
    path = run / "logs" / "grpo.config.json"
    path.write_text(json.dumps({**card.config, "run": "elsewhere"}))
    assert of_other_runs(run / "logs", cards) == set()
    path.write_text(json.dumps({**card.config, "seed": 99}))
    write_report(run)
    page, before = ((one / "report.html").read_text() for one in (run, whole))
    assert "the log of grpo, which belongs to another run" in words(page)
    assert "plot-grpo" in before and "plot-grpo" not in page and "plot-sft" in page
    assert "<h3>grpo</h3>" in before and "<h3>grpo</h3>" not in page  # conversations
