"""The quickstart around its phases: presets, the part of the tools, its time, what it prints."""

import json
from dataclasses import replace
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from phases import align
from phases.align import AlignConfig, catalogue_of
from phases.sft import OWN_TIMES, SftConfig, draw_queries
from tinr.catalogue.load import load_catalogue
from tinr.chain.estimate import Amounts, ChainWork, Configs, MachineSpeed, Size, work_of
from tinr.chain.quickstart import (
    CHAIN,
    PRESETS,
    PRESETS_FOLDER,
    known_preset,
    run_quickstart,
)
from tinr.chat.codec import Piece
from tinr.cli.main import tool_count
from tinr.config_files import load_config
from tinr.evaluation.report.terminal import coloured, print_replies
from tinr.records import BadInput


def test_the_quickstart_teaches_a_part_of_the_tools_and_queries_in_proportion():
    quick = PRESETS["quickstart"]
    assert quick.overrides("align") == ("tools=64",)
    assert quick.overrides("sft") == ("size=2432",)  # 38 for each of 64
    assert quick.overrides("grpo") == ()
    assert quick.size(228) == Size(228, 3200, 105)  # at most so many; 30 a split, half without
    assert quick.size(3).queries == 400
    assert PRESETS["smoke"].overrides("align") == () == PRESETS["smoke"].overrides("sft")


def test_own_tools_are_taught_beside_the_shipped_ones(tmp_path):
    lines = [
        {"name": name, "description": name, "parameters": {"type": "object"}}
        for name in ("lend", "fine")
    ]
    (tmp_path / "tools.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    own = replace(PRESETS["quickstart"], tools=12, catalogues=(str(tmp_path),))
    assert own.own_tools == 2 and own.size(12).tools == 14
    config = load_config(AlignConfig, None, own.overrides("align"))
    names = {doc.name for doc in catalogue_of(config).tools}
    assert len(names) == 14 and {"lend", "fine"} <= names


QUERY = {"id": "1", "query": "Lend it", "calls": [{"name": "lend", "arguments": {}}]}


def own_files(folder, query):
    tool = {"name": "lend", "description": "lend", "parameters": {"type": "object"}}
    (folder / "tools").mkdir()
    (folder / "tools" / "tools.jsonl").write_text(json.dumps(tool) + "\n")
    (folder / "queries.jsonl").write_text(json.dumps(query) + "\n")
    return [str(folder / "tools")], str(folder / "queries.jsonl")


def test_own_queries_are_taught_beside_the_shipped_ones(tmp_path):
    catalogues, queries = own_files(tmp_path, QUERY)
    own = replace(PRESETS["quickstart"], catalogues=tuple(catalogues), own_queries=queries)
    assert own.own_traces == OWN_TIMES and own.size(64).queries == 2432 + OWN_TIMES
    config = load_config(SftConfig, None, own.overrides("sft"))
    assert (config.own_queries, config.size, config.queries) == (queries, 2432, "corpus")
    catalogue = load_catalogue(["toolbox", *catalogues])
    phase = SimpleNamespace(catalogue=catalogue, name="sft")
    known, taught = draw_queries(replace(config, size=400, pseudo=1), phase)
    assert [query.id for query in known].count("1") == 1 and len(known) == 401
    assert [query.id for query in taught].count("1") == OWN_TIMES
    assert not any(query.id.startswith("pseudo-lend-") for query in taught)  # it has a query


@pytest.mark.parametrize(
    ("query", "gives_tools", "words"),
    [
        (QUERY, False, "queries.jsonl: give the tools too, with --catalogue"),
        (QUERY | {"calls": [{"name": "add_days"}]}, True, "queries.jsonl:1"),
        (QUERY | {"calls": "lend"}, True, "queries.jsonl:1"),
    ],
)
def test_own_queries_that_cannot_be_taught_are_refused_at_once(tmp_path, query, gives_tools, words):
    catalogues, queries = own_files(tmp_path, query)
    with pytest.raises(BadInput, match=words):
        run_quickstart(
            "quickstart", 0, tmp_path / "out", catalogues=catalogues if gives_tools else (),
            own_queries=queries,
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_an_own_tool_with_the_name_of_a_shipped_one_is_refused_at_once(tmp_path):
    line = {"name": "add_days", "description": "x", "parameters": {"type": "object"}}
    (tmp_path / "tools.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(BadInput, match="'add_days' is already defined at"):
        run_quickstart("quickstart", 0, tmp_path / "out", catalogues=[str(tmp_path)])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("text", "count"), [("", None), ("all", 0), ("3", 3), ("228", 228)])
def test_how_many_tools_are_asked_for(text, count):
    assert tool_count(text) == count


@pytest.mark.parametrize("text", ["2", "0", "-4", "many", "3.5"])
def test_a_number_of_tools_that_is_none_is_refused(text):
    with pytest.raises(BadInput, match=r"--tools .*: give a number of at least 3, or all"):
        tool_count(text)


def test_an_unknown_preset_names_those_there_are():
    with pytest.raises(BadInput, match="--preset tiny: unknown; one of quickstart, smoke"):
        known_preset("tiny")


def test_a_part_of_the_corpora_has_every_split():
    from tool_corpora.suites import splits

    names = {doc.name for doc in catalogue_of(AlignConfig(tools=12)).tools}
    assert len(names) == 12 and {splits()[name] for name in names} == {"seen", "unseen", "ood"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tools": 2}, "tools=2: a subset has 3 to 228 tools"),
        ({"tools": 229}, "tools=229: a subset has 3 to 228 tools"),
        ({"tools": 40, "catalogue": ("fieldkit",)}, "draws from the shipped corpora"),
    ],
)
def test_a_part_that_cannot_be_drawn_is_refused(settings, words):
    with pytest.raises(BadInput, match=words):
        catalogue_of(AlignConfig(**settings))


# -- its time -----------------------------------------------------------------------------


def test_a_job_takes_what_its_tokens_and_its_steps_take():
    """60 fixed + 1,000 x 0.01 + 10 x (0.1 + 4 x 0.05) + 20 x (0.1 + 2 x 0.05)."""
    work = ChainWork(1000, ((10, 4), (20, 2)))
    assert work.seconds(MachineSpeed(0.01, 0.1, 0.05)) == pytest.approx(60 + 10 + 3 + 4)


def configs() -> Configs:
    return Configs(
        *(
            load_config(kind, PRESETS_FOLDER / "quickstart" / f"{name}.yaml")
            for name, _, kind in CHAIN
        )
    )


def test_twice_the_tools_are_twice_the_pairs():
    """Of align two epochs, of sft one replay: (2 x 100 + 30) tokens a tool."""
    amounts = Amounts(pairs=100, replayed=30, trace=0)
    few, many = (work_of(amounts, configs(), Size(n, 0, 105)).trained for n in (32, 64))
    assert many - few == pytest.approx(32 * (2 * 100 + 30))


def test_queries_cost_their_traces_with_what_is_replayed_beside_them():
    amounts = Amounts(pairs=0, replayed=0, trace=130)
    few, many = (work_of(amounts, configs(), Size(9, n, 105)).trained for n in (100, 200))
    share = configs().sft.replay  # of the base's own completions
    assert many - few == pytest.approx(100 * 130 * (1 + share))


# -- what it prints -----------------------------------------------------------------------


def written(tmp_path, rows) -> str:
    path, out = tmp_path / "replies.jsonl", StringIO()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print_replies(path, Console(file=out, width=100))
    return out.getvalue()


def row(split, query, **judged):
    return {"query": query, "split": split, "reply": "<think>so</think>", "outcome": judged}


def test_three_conversations_are_shown_one_of_each_split_first(tmp_path):
    text = written(
        tmp_path,
        [row("seen", "first", call_em=True), row("seen", "second", name_em=True),
         row("unseen", "third", name_em=True), row("no_tool", "fourth", abstain_acc=True),
         row("ood", "fifth")],
    )  # fmt: skip
    shown = [word for word in "first second third fourth fifth".split() if word in text]
    assert shown == ["first", "third", "fourth"]
    assert "seen: right call" in text and "unseen: right tool, wrong call" in text
    assert "no_tool: right: no call" in text


def test_what_a_query_or_a_reply_spells_is_printed_as_it_is(tmp_path):
    """Brackets are no markup of the terminal's."""
    text = written(tmp_path, [row("seen", "[red]a[/red]")])
    assert "[red]a[/red]" in text and "<think>so</think>" in text


def test_every_part_of_a_reply_has_its_colour():
    pieces = [Piece("<response>", token=True), Piece("5 <<b>>"), Piece("</response>", token=True),
              Piece("<<add>>", token=True)]  # fmt: skip
    text = coloured(pieces)
    assert text.plain == "<response>5 <<b>></response>\n<<add>>"
    styles = {text.plain[s.start : s.end]: str(s.style) for s in text.spans}
    assert styles["5 <<b>>"] == "bold green" and styles["<<add>>"] == "magenta"


def test_preflight_counts_the_part_of_the_tools_that_is_taught(tmp_path, qwen_tokenizer):
    from tests.phases.test_base import write_qwen
    from tinr.planning.preflight.work import open_run

    write_qwen(tmp_path / "qwen", qwen_tokenizer)
    run = open_run("align", align, AlignConfig(base=str(tmp_path / "qwen"), tools=12))
    assert len(run.catalogue.tools) == run.shape.growth.tools == 12
