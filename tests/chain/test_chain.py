"""The whole job at its smallest, through the command line, twice; and what may go wrong."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from transformers.utils import logging

from tinr.chain.quickstart import PRESETS, Paths, _measured
from tinr.checkpoints.registry import Registry
from tinr.cli.main import app
from tinr.command import guarded
from tinr.evaluation.report.summary import read_summary
from tinr.run_log import read_log

pytestmark = pytest.mark.slow
SMOKE = PRESETS["smoke"]
PHASES = ("base", "align", "sft", "grpo")


def tinr(*words: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the program as a user would, in this process; the exit code is asserted."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch.dict(os.environ, COLUMNS="200"),
    ):
        found = guarded(lambda: app(words, standalone_mode=False))
    return checked(subprocess.CompletedProcess(words, found, out.getvalue(), err.getvalue()), code)


def tinr_alone(*words: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tinr.cli.main", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "200"},
    )
    return checked(done, code)


def checked(done: subprocess.CompletedProcess[str], code: int) -> subprocess.CompletedProcess[str]:
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module", autouse=True)
def without_bars_of_others():
    """As the program has it: the variable for that is read when transformers is imported."""
    logging.disable_progress_bar()
    yield
    logging.enable_progress_bar()


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A folder in which the smoke quickstart has run."""
    folder = tmp_path_factory.mktemp("work")
    tinr_alone("quickstart", "--preset", "smoke", "--out", "run", cwd=folder)
    return folder


def registry_of(work: Path) -> Registry:
    return Registry(work / "run" / "registry")


def test_the_summary_keeps_the_contract(work):
    summary = json.loads((work / "run" / "summary.json").read_text())
    assert tuple(summary["phases"]) == PHASES
    for phase in PHASES:
        assert set(summary["phases"][phase]) == {"checkpoint", "seconds", "gate"}
    gate = summary["phases"]["grpo"]["gate"]
    assert set(gate) == {"document_to_token", "token_to_document", "token_to_schema"}
    assert set(summary["eval"]) == {"seen", "unseen", "ood", "no_tool"}
    for split in ("seen", "unseen", "ood"):
        for documents in ("none", "on_select"):
            for metric in ("name_em", "call_em", "tool_acc", "param_acc", "format_ok"):
                rate = summary["eval"][split][documents][metric]
                assert 0 <= rate["low"] <= rate["value"] <= rate["high"] <= 1
                assert rate["n"] == 24
    assert summary["eval"]["no_tool"]["none"]["abstain_acc"]["n"] == 12
    assert {"seconds", "peak_rss_gib", "seed", "versions"} <= set(summary)


def test_the_lineage_goes_back_to_the_base(work):
    lineage = registry_of(work).lineage("grpo@latest")
    assert [card.phase for card in lineage] == list(PHASES)
    assert registry_of(work).verify() == []


def test_every_card_says_what_it_is(work):
    cards = registry_of(work).lineage("grpo@latest")
    assert len({card.catalogue_hash for card in cards[1:]}) == 1
    assert len({card.base_hash for card in cards}) == 1
    assert all(card.tokens > 0 and card.packages["torch"] for card in cards)
    assert cards[1].data_position["queried_tools"] == []
    assert len(cards[2].data_position["queried_tools"]) > 50


def test_no_tool_with_training_queries_is_called_unseen(work):
    """What the cards know of trained tools is disjoint from the unseen and ood splits."""
    from tool_corpora.suites import splits

    trained = {
        tool
        for card in registry_of(work).lineage("grpo@latest")
        for tool in card.data_position.get("queried_tools", ())
    }
    assert {splits()[tool] for tool in trained} == {"seen"}


def test_a_second_run_reuses_what_is_published(work):
    before = registry_of(work).ids()
    summary = (work / "run" / "summary.json").read_text()
    done = tinr("quickstart", "--preset", "smoke", "--out", "run", cwd=work)
    assert registry_of(work).ids() == before
    assert done.stdout.count("(reused") == 5 and "evaluation (reused" in done.stdout
    assert "unseen" in done.stdout and (work / "run" / "summary.json").read_text() == summary


def test_figures_of_other_checkpoints_or_queries_are_not_reused(work, tmp_path):
    paths = Paths(work / "run")
    cards = {card.phase: card for card in registry_of(work).lineage("grpo@latest")}
    summary = _measured(paths, cards, SMOKE)
    assert summary == read_summary(paths.summary)
    assert _measured(paths, cards, PRESETS["quickstart"]) is None
    assert _measured(paths, cards | {"grpo": cards["sft"]}, SMOKE) is None
    shutil.copy(paths.summary, tmp_path)
    assert _measured(Paths(tmp_path), cards, SMOKE) is None, "its replies are not there"
    (tmp_path / "summary.json").write_text("{")
    assert _measured(Paths(tmp_path), cards, SMOKE) is None


def test_the_logs_hold_each_phase_and_each_reward(work):
    for phase in PHASES:
        rows = read_log(work / "run" / "logs" / f"{phase}.jsonl")
        assert any("train/loss" in row for row in rows)
    rows = read_log(work / "run" / "logs" / "grpo.jsonl")
    assert any({"reward/format", "reward/tool", "rollout/flat_groups"} <= set(row) for row in rows)
    entropies = [row["rollout/entropy"] for row in rows if "rollout/entropy" in row]
    assert len(entropies) == sum("train/loss" in row for row in rows) and min(entropies) > 0
    gate = registry_of(work).resolve("grpo@latest").gates["token_to_schema"]
    assert rows[-1]["gate/token_to_schema_high"] == gate["high"]
    shown = read_log(work / "run" / "logs" / "grpo.conversations.jsonl")
    assert len(shown) == 4 and all(row["prompt"] and row["total"] is not None for row in shown)


def test_the_report_is_one_file(work):
    html = (work / "run" / "report.html").read_text()
    assert "<svg" in html and "src=" not in html
    assert "://" not in html.replace("http://www.w3.org", "")


def test_an_export_loads_with_nothing_of_ours(work):
    out = work / "exported"
    tinr("registry", "export", "grpo@latest", str(out),
         "--registry", "run/registry", cwd=work)  # fmt: skip
    code = (
        "import sys\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        f"model = AutoModelForCausalLM.from_pretrained({str(out)!r})\n"
        f"tokenizer = AutoTokenizer.from_pretrained({str(out)!r})\n"
        "ids = tokenizer('<<convert_length>>', add_special_tokens=False).input_ids\n"
        "assert len(ids) == 1 and ids[0] < model.get_input_embeddings().weight.shape[0]\n"
        "assert not any(name.split('.')[0] == 'tinr' for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")


def test_a_server_answers_openais_client(work):
    """In a process of its own, until it is interrupted."""
    from openai import BadRequestError, OpenAI

    words = ("serve", "--checkpoint", "grpo@latest", "--registry", "run/registry", "--port", "0")
    with subprocess.Popen(
        [sys.executable, "-m", "tinr.cli.main", *words],
        cwd=work, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as server:  # fmt: skip
        assert server.stdout and server.stderr
        said = next(line for line in server.stdout if "API at " in line)
        url = said.split("API at ")[1].split()[0]
        client = OpenAI(base_url=url, api_key="unused", max_retries=0)
        asked = {"role": "user", "content": "Convert 3 foot to metre."}
        whole = client.chat.completions.create(model="grpo@latest", messages=[asked])  # type: ignore[list-item]
        parts = list(client.chat.completions.create(model="", messages=[asked], stream=True))  # type: ignore[list-item]
        forced = client.chat.completions.create(
            model="",
            messages=[asked],
            n=2,
            tool_choice="required",
            parallel_tool_calls=False,  # type: ignore[list-item]
        )
        with pytest.raises(BadRequestError, match="'nosuch' is not in this checkpoint's"):
            tool = {"type": "function", "function": {"name": "nosuch"}}
            client.chat.completions.create(model="", messages=[asked], tools=[tool])  # type: ignore[list-item]
        server.send_signal(signal.SIGTERM)
        ended = server.wait(20)
        errors = server.stderr.read()
    assert ended == 0 and "Traceback" not in errors, errors
    assert whole.model == registry_of(work).resolve("grpo@latest").id
    for choice in forced.choices:
        assert choice.message.reasoning_content.startswith("<<")  # type: ignore[attr-defined]
    assert whole.usage and whole.usage.completion_tokens > 0
    assert whole.choices[0].finish_reason in ("stop", "length", "tool_calls")
    assert parts[-1].choices[0].finish_reason == whole.choices[0].finish_reason


def test_commands_on_a_checkpoint(work):
    shelf = ("--registry", "run/registry")
    one = ("--checkpoint", "sft@latest", *shelf)
    probed = json.loads(tinr("probe", *one, "--json", cwd=work).stdout)
    assert probed["probe"]["document_to_token"]["n"] == 228
    full = json.loads(tinr("probe", *one, "--full", "--json", cwd=work).stdout)["knowledge"]
    assert full["choose_token"]["n"] == 228 and full["choose_token"]["chance"] == 0.25
    assert full["name_vague/unseen"]["n"] == 54
    (work / "own.txt").write_text("It rained all day.\n\nNobody minded, for once.\n")
    taxed = json.loads(tinr("tax", *one, "--text", "own.txt", "--json", cwd=work).stdout)
    assert taxed["base"].startswith("base-") and taxed["tax"]["perplexity"]["n"] == 2
    assert taxed["tax"]["total_variation"]["low"] > 0
    suite = ("--suite", "out_of_domain", "--size", "5", "--json", "--out", "judged")
    judged = json.loads(tinr("eval", *one, *suite, cwd=work).stdout)
    assert judged["eval"]["ood"]["call_em"]["n"] == 5 and judged["earlier"] == 0
    behind = json.loads(tinr("eval", *one, *suite[:-2], "--earlier", "2", cwd=work).stdout)
    assert behind["earlier"] == 2 and behind["eval"]["ood"]["call_em"]["n"] == 5
    assert behind["cost"]["prompt_tokens"] > judged["cost"]["prompt_tokens"] + 20
    replies = (work / "judged" / "replies.none.jsonl").read_text().splitlines()
    assert len(replies) == 5 and "reply" in json.loads(replies[0])
    said = json.loads(tinr("call", "Convert 3 foot to metre.", *one, "--json", cwd=work).stdout)
    assert set(said) == {"text", "calls", "response", "problems"}
    turns = tinr("call", "Convert 3 foot to metre.", "And 4?", *one, "--json", cwd=work).stdout
    first, second = map(json.loads, turns.splitlines())
    assert first == said and set(second) == set(said)


def test_two_checkpoints_are_compared_on_the_same_queries(work):
    words = ("compare", "sft@latest", "grpo@latest", "grpo@latest=on_select",
             "--suite", "out_of_domain", "--size", "6", "--registry", "run/registry",
             "--out", "kept", "--json")  # fmt: skip
    found = json.loads(tinr(*words, cwd=work).stdout)
    assert list(found["cells"]) == ["sft@latest", "grpo@latest", "grpo@latest=on_select"]
    assert found["cells"]["sft@latest"]["ood"]["call_em"]["n"] == 6
    assert {d["split"] for d in found["differences"]} == {"ood"}  # the only one that calls
    calls = [d for d in found["differences"] if (d["metric"], d["split"]) == ("call_em", "ood")]
    assert [d["other"] for d in calls] == ["grpo@latest", "grpo@latest=on_select"]
    assert all(d["first"] == "sft@latest" and d["p"] <= d["p_holm"] <= 1 for d in calls)
    kept = {path: path.stat().st_mtime_ns for path in (work / "kept").iterdir()}
    assert len(kept) == 3
    several = json.loads(tinr(*words, "--several", cwd=work).stdout)
    assert 0 < several["cells"]["sft@latest"]["ood"]["call_em"]["n"] < 6
    assert json.loads(tinr(*words, cwd=work).stdout) == found  # from what was kept
    assert kept == {path: path.stat().st_mtime_ns for path in (work / "kept").iterdir()}


def test_an_arm_with_documents_in_the_prompt_is_trained_and_measured(work):
    """No alignment; tools are written as names; a whole catalogue does not fit the context."""
    shutil.copytree(work / "run", work / "arms")
    words = ("study", "arms", "retrieved", "--preset", "smoke", "--out", "arms", "--json")
    said = json.loads(tinr(*words, "--change", "sft.size=60", cwd=work).stdout)
    registry = Registry(work / "arms" / "registry")
    assert said == {"retrieved": registry.resolve("arm-retrieved").id}
    assert registry.resolve("sft@latest").config["size"] == 60
    card = registry.resolve("arm-retrieved")
    assert [c.phase for c in registry.lineage(card.id)] == ["base", "sft", "grpo"]
    assert card.gates == {} and card.config["policy"]["documents"] == ["retrieved"]
    judge = ("eval", "--checkpoint", "arm-retrieved", "--suite", "out_of_domain", "--size", "5",
             "--registry", "arms/registry", "--json")  # fmt: skip
    judged = json.loads(tinr(*judge, "--documents", "retrieved", cwd=work).stdout)
    assert (
        judged["eval"]["ood"]["call_em"]["n"] == judged["eval"]["ood"]["documents_found"]["n"] == 5
    )
    assert judged["prompt"]["top_k"] == 3 and judged["unscorable"] == {}
    two = json.loads(tinr(*judge, "--documents", "retrieved", "--top-k", "2", cwd=work).stdout)
    assert two["cost"]["prompt_tokens"] < judged["cost"]["prompt_tokens"]
    alone = tinr(*judge, "--documents", "none", cwd=work)
    assert "trained with documents retrieved, never none" in alone.stderr
    full = tinr(*judge, "--documents", "in_prompt", cwd=work, code=2)
    assert (
        "never in_prompt" in full.stderr
        and "no prompt fits" in full.stderr
        and "context of 2,048" in full.stderr
    )


def test_what_calibration_gains_is_trained_and_compared(work):
    """One search for two losses; replies drawn as the search drew them, for as many tokens."""
    shutil.copytree(work / "run", work / "gained")
    words = ("study", "calibration", "sft", "simpo", "dpo", "rejection",
             "--preset", "smoke", "--out", "gained", "--json")  # fmt: skip
    found = json.loads(tinr(*words, cwd=work).stdout)
    assert list(found["arms"]) == ["sft", "simpo", "dpo", "rejection"] and not found["failed"]
    registry = Registry(work / "gained" / "registry")
    simpo, dpo, rejected = (
        registry.resolve(f"calibration-{name}") for name in ("simpo", "dpo", "rejection")
    )
    assert simpo.parent == dpo.parent == rejected.parent
    searched, again = (
        {k: v for k, v in card.metrics["rounds"][0].items() if k != "steps"}
        for card in (simpo, dpo)
    )
    assert searched == again
    sampling, search = rejected.config["sampling"], simpo.config["search"]
    assert sampling["budget"] == searched["tokens"] <= rejected.metrics["sampled"]["tokens"]
    assert (sampling["temperature"], sampling["max_tokens"]) == (
        search["temperature"],
        search["completion"],
    )
    assert (
        found["all"]["faults"]["sft"]["poor"]["n"]
        == 84
        > found["several"]["faults"]["sft"]["poor"]["n"]
    )
    assert {d["other"] for d in found["all"]["differences"]} == {"simpo", "dpo", "rejection"}
    assert {d["first"] for d in found["several"]["same_tokens"]} == {"rejection"}
    page = (work / "gained" / "study.md").read_text()
    assert "| grade: poor |" in page and "Queries that expect several calls" in page
    before = registry.ids()
    assert json.loads(tinr(*words, cwd=work).stdout) == found
    assert registry.ids() == before


BAD = {
    "unknown reference": (("probe", "--checkpoint", "nosuch"), "nosuch"),
    "unknown suite": (("eval", "--checkpoint", "sft@latest", "--suite", "nosuch"), "nosuch"),
    "documents": (
        ("eval", "--checkpoint", "sft@latest", "--suite", "in_domain", "--documents", "all"),
        "on_select",
    ),
    "tax of nothing": (("tax", "--checkpoint", "nosuch"), "nosuch"),
    "no base of it": (
        ("tax", "--checkpoint", "base@latest", "--base", "sft@latest"),
        "grown from",
    ),
    "an option of another mode": (
        ("eval", "--checkpoint", "sft@latest", "--suite", "in_domain", "--top-k", "3"),
        "--top-k has no meaning with --documents none",
    ),
    "nothing to ask": (("call", " "), "QUERY is empty"),
    "no text": (("tax", "--checkpoint", "sft@latest", "--text", "nosuch.txt"), "nosuch.txt"),
    "a place that is a file": (
        ("compare", "sft@latest", "grpo@latest", "--out", "empty.txt"),
        "empty.txt: cannot create the folder",
    ),
    "a second checkpoint that is not there": (("compare", "sft@latest", "nosuch"), "nosuch"),
    "an empty text": (("tax", "--checkpoint", "sft@latest", "--text", "empty.txt"), "empty.txt"),
    "a base knows no tools": (("probe", "--checkpoint", "base@latest"), "align it first"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_use_of_a_checkpoint_is_one_line_and_code_2(case, work):
    words, says = BAD[case]
    (work / "empty.txt").write_text("\n")
    done = tinr(*words, "--registry", "run/registry", cwd=work, code=2)
    assert says in done.stderr and len(done.stderr.strip().splitlines()) == 1


BAD_PHASES = {
    "unknown key": (("align", "epoch=3"), "epochs"),
    "wrong type": (("sft", "size=many"), "size"),
    "wrong phase of the parent": (("grpo", "parent=align@latest"), "align"),
    "parent of no tools": (("sft", "parent=base@latest"), "base"),
    "a catalogue for an aligned parent": (
        ("sft", "parent=align@latest", "catalogue=[toolbox]"),
        "omit the key",
    ),
    "missing file": (("sft", "queries=nosuch.jsonl"), "nosuch.jsonl"),
    "missing catalogue": (("align", "catalogue=[nosuch]"), "nosuch"),
    "missing configuration": (("align", "--config", "nosuch.yaml"), "nosuch.yaml"),
    "a number below its range": (("align", "training.accumulate=0"), "training.accumulate"),
    "a gate that is none": (("align", "least.nosuch=0.5"), "document_to_token"),
    "a gate that is none, accepted": (("sft", "accept=[nosuch]"), "document_to_token"),
}


@pytest.mark.parametrize("case", BAD_PHASES)
def test_wrong_use_of_a_phase_leaves_nothing_behind(case, work):
    words, says = BAD_PHASES[case]
    before = registry_of(work).ids()
    done = tinr(words[0], *words[1:], "registry=run/registry", "run=elsewhere", cwd=work, code=2)
    assert says in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert registry_of(work).ids() == before


def test_an_unknown_tool_in_a_query_is_refused(work):
    (work / "bad.jsonl").write_text(
        '{"id": 1, "query": "x", "calls": [{"name": "nosuch_tool", "arguments": {}}]}\n'
    )
    done = tinr("sft", "queries=bad.jsonl", "registry=run/registry", cwd=work, code=2)
    assert "bad.jsonl:1" in done.stderr and "nosuch_tool" in done.stderr


def test_a_missed_gate_fails_by_name_and_can_be_accepted_by_name(work):
    """The smoke model knows little: a gate of 100 % is missed, exit code 1, nothing published."""
    quick = ("epochs=1", "replay=0", "mix={memorise: 1, recall: 0, schema: 0, pseudo: 0, "
             "naming: 0, blind: 0}", "registry=run/registry", "run=elsewhere")  # fmt: skip
    gate = "min_recall={document_to_token: 1.0}"
    before = registry_of(work).ids()
    done = tinr("align", gate, *quick, cwd=work, code=1)
    assert "document_to_token" in done.stderr and registry_of(work).ids() == before
    assert read_log(work / "elsewhere" / "align.jsonl")[-1]["gate/document_to_token_limit"] == 1.0
    tinr("align", gate, "accept=[document_to_token]", *quick, cwd=work)
    card = registry_of(work).resolve("align@latest")
    assert any("document_to_token" in note for note in card.notes)
    done = tinr("align", gate, *quick, cwd=work, code=1)
    assert f"{card.id} was accepted earlier; accept it by name" in done.stderr
    done = tinr("align", gate, "accept=[document_to_token]", *quick, cwd=work)
    assert card.id in done.stdout
