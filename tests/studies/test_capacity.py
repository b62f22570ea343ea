"""The capacity planner: bits, load, advice, what align does with it, and the study behind it."""

import copy
import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

from phases.align import AlignConfig
from phases.align import run as align
from tinr.catalogue.load import Catalogue, load_catalogue, write_jsonl
from tinr.catalogue.render import describe
from tinr.chat.codec import Codec
from tinr.checkpoints.model import grow
from tinr.cli.main import app
from tinr.command import guarded
from tinr.config import TrainableConfig
from tinr.data.alignment_examples import PairMix
from tinr.planning.capacity.bits import Bits, count_bits, nats, packed_bits
from tinr.planning.capacity.check import foresee, moving_of
from tinr.planning.capacity.curve import (
    PUBLISHED,
    SHIPPED,
    Calibration,
    calibration_text,
    read_calibration,
)
from tinr.planning.capacity.inquiry import inquire
from tinr.planning.capacity.plan import Moving, Practice, make_plan
from tinr.records import BadInput, RunFailed, ToolDoc
from tinr.studies.capacity import study as study_module
from tinr.studies.capacity.cells import ASKED, AlignmentCell, read_cells
from tinr.studies.capacity.fit import calibrate, crossings, curves_of, held_out, practised
from tinr.studies.capacity.presets import PRESETS, Point, Preset
from tinr.studies.capacity.study import run_study
from tinr.studies.cells import write_lines

DATA = Path(__file__).parents[3] / "shared" / "data" / "bfcl"


def flat_model(vocabulary: int) -> LlamaForCausalLM:
    """Every weight 0: every next id is equally likely."""
    config = LlamaConfig(vocab_size=vocabulary, hidden_size=32, intermediate_size=64,
                         num_hidden_layers=2, num_attention_heads=2,
                         tie_word_embeddings=True, pad_token_id=0)  # fmt: skip
    model = LlamaForCausalLM(config)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    return model


def bits(total: float = 8000.0, tools: int = 10, same: int = 0) -> Bits:
    """So many bits in all, without a base; the tokens among them."""
    tokens = tools * math.log2(tools)
    return Bits(tools, same, 0, None, None, None, total - tokens, tokens)


@pytest.fixture
def base(tmp_path, tiny_tokenizer) -> Path:
    """A random model of hidden 32 with its tokenizer, as a folder."""
    torch.manual_seed(0)
    model = flat_model(len(tiny_tokenizer))
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.02)
    model.save_pretrained(tmp_path / "base")
    tiny_tokenizer.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def tools_folder(place: Path, docs) -> str:
    write_jsonl(place / "tools.jsonl", (asdict(doc) for doc in docs))
    return str(place)


# bits


def test_a_base_that_knows_nothing_needs_log2_of_its_vocabulary_for_each_piece(
    tiny_tokenizer, catalogue
):
    model, codec = flat_model(len(tiny_tokenizer)), Codec(tiny_tokenizer)
    pieces = sum(len(codec.encode_plain(describe(doc))) for doc in catalogue.tools)
    found = count_bits(catalogue, model, codec)
    assert found.likelihood == pytest.approx(pieces * math.log2(len(tiny_tokenizer)), rel=1e-4)
    assert found.likelihood_low == found.likelihood == found.likelihood_high  # all were read
    assert found.tokens == pytest.approx(3 * math.log2(3))
    assert found.packed == packed_bits(catalogue.tools)
    assert found.total == min(found.likelihood, found.packed) + found.tokens


def test_documents_that_say_the_same_count_once(tiny_tokenizer, catalogue):
    model, codec = flat_model(len(tiny_tokenizer)), Codec(tiny_tokenizer)
    twin = replace(catalogue.tools[0], name="circle_again")
    twice = count_bits(Catalogue((*catalogue.tools, twin)), model, codec)
    once = count_bits(catalogue, model, codec)
    assert (twice.same, once.same) == (1, 0)
    assert twice.likelihood == pytest.approx(once.likelihood) and twice.packed == once.packed
    assert twice.tokens == pytest.approx(4 * 2)
    plan = make_plan(twice, Moving(10**6), read_calibration())
    assert any("1 documents are equal to another one" in note for note in plan.notes)


def test_two_documents_that_say_the_same_are_read_as_one(tiny_tokenizer, catalogue):
    """One document has no interval; it needs none where it is all there is."""
    model, codec = flat_model(len(tiny_tokenizer)), Codec(tiny_tokenizer)
    twin = replace(catalogue.tools[0], name="circle_again")
    found = count_bits(Catalogue((catalogue.tools[0], twin)), model, codec, read=128)
    assert (found.same, found.read) == (1, 1)
    assert found.likelihood_low == found.likelihood == found.likelihood_high > 0
    with pytest.raises(BadInput, match="one document gives no interval"):
        count_bits(catalogue, model, codec, read=1)


def test_a_base_reads_documents_as_its_tokenizer_starts_a_text(marked, catalogue, monkeypatch):
    from tinr.planning.capacity import bits as module

    asked = []
    monkeypatch.setattr(
        module, "likelihoods", lambda model, codec, choices: asked.extend(choices) or []
    )
    with pytest.raises(ValueError):  # nothing was answered
        nats(flat_model(8), marked, catalogue.tools)
    assert [marked.encode(one.prompt)[0][:1] for one in asked] == [marked.start] * 3


def test_a_sample_of_documents_stands_for_all_with_an_interval(tiny_tokenizer):
    toolbox = load_catalogue("toolbox")
    model, codec = flat_model(len(tiny_tokenizer)), Codec(tiny_tokenizer)
    every, some = (count_bits(toolbox, model, codec, read) for read in (0, 60))
    assert every.read == 178 and some.read == 60
    assert some.likelihood_low < every.likelihood < some.likelihood_high
    assert some.likelihood == pytest.approx(every.likelihood, rel=0.2)


def test_a_long_document_is_read_in_parts(tiny_tokenizer):
    """As many pieces as the whole, but for those that a cut parts."""
    doc = ToolDoc("long", "word " * 2000, {"type": "object", "properties": {}})
    [found] = nats(flat_model(len(tiny_tokenizer)), Codec(tiny_tokenizer), [doc])
    whole = len(Codec(tiny_tokenizer).encode_plain(describe(doc)))
    assert found == pytest.approx(whole * math.log(len(tiny_tokenizer)), rel=0.01)


# the plan


def test_the_load_decides_verdict_recall_and_advice():
    """8,000 bits: 20,000 parameters are a load of 0.4, 8,000 of 1, 7,000 of 1.14, 4,000 of 2."""
    known = read_calibration(PUBLISHED)
    safe, marginal, over, lost = (
        make_plan(bits(), Moving(n), known, 0.95) for n in (20_000, 8_000, 7_000, 4_000)
    )
    assert [p.verdict for p in (safe, marginal, over, lost)] == [
        "safe", "marginal", "over", "refuse",
    ]  # fmt: skip
    assert safe.load == pytest.approx(0.4) and safe.recall["facts"].value == 1.0
    assert safe.advice == ("all in weights",)
    assert marginal.recall["facts"].low == 0.94
    assert lost.recall["facts"].value == 0.35
    assert "documents on selection" in lost.advice[0] and "names alone" in lost.advice[2]
    assert safe.needed == lost.needed == pytest.approx(8000 / 1.118, rel=0.01)
    assert f"{lost.needed:,} trainable parameters" in lost.advice[1]


def test_safe_is_only_a_load_at_which_the_wanted_recall_was_reached():
    """The published curve has 1.0 at .5, .94 at 1: .99 is reached up to a load between."""
    known = read_calibration(PUBLISHED)
    assert known.reaches(0.99) < 8000 / 8200 < known.reaches(0.95)
    eased = replace(known, safe=1.1)
    verdicts = [make_plan(bits(), Moving(8200), eased, r).verdict for r in (0.9, 0.95, 0.99)]
    assert verdicts == ["safe", "safe", "marginal"]
    asked = make_plan(bits(), Moving(8200), eased, 0.99)
    assert asked.needed > 8200 and f"{asked.needed:,} trainable parameters" in asked.advice[1]


def test_practice_is_counted_as_it_was_when_calibrated():
    """Align's default mix has 2, 1 and 1 of the three kinds: one of each counts, 8 times over."""
    plan = foresee(bits(), Moving(10**6), PairMix(), 8, {})
    assert plan.exposures == 24


def test_what_no_model_reached_is_said_and_not_extrapolated():
    weak = replace(
        read_calibration(PUBLISHED), recall={"facts": ((0.1, 0.9, 0.8, 1.0), (2, 0.1, 0, 0.2))}
    )
    plan = make_plan(bits(), Moving(20_000), weak, 0.95)
    assert plan.needed is None and "reached a recall of 0.95 (best" in " ".join(plan.notes)
    beyond = make_plan(bits(), Moving(1000), weak)
    assert "above the calibrated range (up to 2)" in " ".join(beyond.notes)
    assert beyond.recall["facts"].value == 0.1
    below = make_plan(bits(), Moving(10**6), weak)
    assert "below the calibrated range (from 0.1)" in " ".join(below.notes)
    assert below.recall["facts"].value == 0.9
    assert "calibrated on 2,612 to 220,626 parameters; this model trains 1,000,000" in below.notes


def test_the_needed_recall_is_read_off_the_curve():
    """0.9 to 0.1 from load 0.1 to 10: 0.5 is half way in log load, at 1."""
    curve = {"a": ((0.1, 0.9, 0.9, 0.9), (10.0, 0.1, 0.1, 0.1))}
    known = replace(read_calibration(PUBLISHED), recall=curve)
    assert known.reaches(0.5) == pytest.approx(1.0)
    assert known.reaches(0.05) == 10.0 and known.reaches(0.91) is None
    assert known.expected(1.0)["a"].value == pytest.approx(0.5)


def test_exposures_steps_and_a_rank_are_worked_out():
    """100 exposures of 10 tools at 50 tokens in steps of 1,000 tokens: 50 steps. Rank 4 has 500
    parameters a rank and 100 rows beside: 7,156 are reached from 2,100 by 11 more."""
    adapters = Moving(2100, "adapters of rank 4", 4, 500)
    known = read_calibration(PUBLISHED)
    plan = make_plan(bits(), adapters, known, 0.95, Practice(20, 50, 1000))
    assert plan.steps == 50 and "each tool has 20 examples of the" in " ".join(plan.notes)
    assert any("--lora 15" in advice for advice in plan.advice)
    assert "calibrated only on models whose weights were all trained" in plan.notes


def test_thousands_of_tools_are_told_to_look_up():
    many = make_plan(bits(800_000, 4000), Moving(10**8), read_calibration(PUBLISHED))
    assert any("4,000 tools: looking documents up" in advice for advice in many.advice)


@pytest.mark.parametrize("tied", [True, False])
def test_what_moves_is_counted_as_it_is_trained(tiny_tokenizer, catalogue, tied):
    tokenizer = copy.deepcopy(tiny_tokenizer)
    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64,
                         num_hidden_layers=2, num_attention_heads=2,
                         tie_word_embeddings=tied, pad_token_id=0)  # fmt: skip
    model = LlamaForCausalLM(config)
    grow(model, tokenizer, catalogue)
    rows = list(Codec(tokenizer).markup.values())
    every, alone, adapters = (
        moving_of(model, TrainableConfig(what, rank=4), rows) for what in ("all", "rows", "lora")
    )
    known = (len(tokenizer) - len(rows)) * 32 * (1 if tied else 2)
    assert every.parameters == model.num_parameters() - known
    assert alone.parameters == len(rows) * 32 * (1 if tied else 2)
    # a rank of each layer: 4 x (32 + 32) in attention, 3 x (32 + 64) outside of it
    assert adapters.each_rank == 2 * (4 * 64 + 3 * 96)
    assert adapters.parameters == alone.parameters + 4 * adapters.each_rank


# the command


def run(*words: str, code: int = 0, capsys=None) -> str:
    """`tinr capacity` in this process; its exit code is asserted."""
    out: list[str] = []

    def program() -> None:
        out.append(CliRunner().invoke(app, ["capacity", *words], catch_exceptions=False).stdout)

    assert guarded(program) == code
    return out[0] if out else capsys.readouterr().err


def test_the_command_says_load_recall_and_on_what_it_was_calibrated(base, catalogue, tmp_path):
    words = ("--catalogue", tools_folder(tmp_path / "tools", catalogue.tools), "--base", str(base))
    said = run(*words)
    assert f"calibrated on {read_calibration().words}" in said and "all in weights" in said
    published = run(*words, "--calibration", str(PUBLISHED))
    assert "calibrated on published: arXiv 2508.20755" in published
    whole, rows = (json.loads(run(*words, *more, "--json")) for more in ((), ("--rows-only",)))
    assert whole["bits"] == rows["bits"] and whole["load"] < rows["load"]
    assert whole["total_bits"] / whole["moving"]["parameters"] == pytest.approx(whole["load"])
    assert whole["steps"] > 0 and whole["exposures_needed"] == read_calibration().exposures


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--lora", "0"), "--lora 0: no parameter would be trained"),
        (("--lora", "4", "--rows-only"), "give only one of them"),
        (("--recall", "1.5"), "--recall 1.5: not a recall"),
        (("--read", "-1"), "-1 is below 0"),
        (("--calibration", "nowhere.json"), "nowhere.json: cannot be read"),
        (("--base", "no/such/model"), "cannot load"),
    ],
)
def test_bad_options_are_one_line(base, catalogue, tmp_path, capsys, words, said):
    tools = tools_folder(tmp_path / "tools", catalogue.tools)
    err = run("--catalogue", tools, "--base", str(base), *words, code=2, capsys=capsys)
    assert said in err and err.count("\n") == 1


def test_one_tool_is_refused(base, catalogue, tmp_path):
    tools = tools_folder(tmp_path / "tools", catalogue.tools[:1])
    with pytest.raises(BadInput, match="the catalogue has 1 tool"):
        inquire([tools], str(base))
    with pytest.raises(BadInput, match="no parameter would be trained"):
        make_plan(bits(), Moving(0, "new rows"), read_calibration())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "guessed"}, "kind 'guessed'"),
        ({"recall": {}}, "no curve"),
        ({"recall": {"a": [[1, 0.5, 0.4, 0.6], [0.5, 0.5, 0.4, 0.6]]}}, "do not increase"),
        ({"recall": {"a": [[1, 0.5, 0.6, 0.7]]}}, "outside its interval"),
        ({"safe": "much"}, "safe"),
    ],
)
def test_a_broken_calibration_is_named(tmp_path, change, said):
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(json.loads(SHIPPED.read_text()) | change))
    with pytest.raises(BadInput, match=said):
        read_calibration(path)


def test_the_shipped_calibrations_say_where_they_are_from():
    measured, published = read_calibration(), read_calibration(PUBLISHED)
    assert measured.kind == "measured" and measured.safe and measured.refuse
    assert all(measured.source[key] for key in ("cells", "machine", "date", "commit"))
    # a study's own files say it of each cell instead
    assert published.kind == "published" and "2508.20755" in published.about
    assert (published.safe, published.marginal, published.refuse) == (0.8, 1.1, 1.25)


# align and preflight


def overloaded(base: Path, tools: str, tmp_path: Path, **more) -> AlignConfig:
    """The new rows of hidden 32 for documents of a thousand bits each."""
    return AlignConfig(
        base=str(base), catalogue=(tools,), registry=str(tmp_path / "registry"),
        run=str(tmp_path / "run"), epochs=1, replay=0.0, mix=PairMix(1, 0, 1, 0, 0, 0, 0),
        trainable=TrainableConfig("rows"), **more,
    )  # fmt: skip


@pytest.fixture
def long_tools(tmp_path) -> str:
    """Twelve documents of random letters: 300 each, which nothing shortens."""
    from random import Random

    rng = Random(0)
    docs = [
        ToolDoc(f"tool{n}", "".join(rng.choices("abcdefghijklmnopqrstuvwxyz ", k=300)),
                {"type": "object", "properties": {}})
        for n in range(12)
    ]  # fmt: skip
    return tools_folder(tmp_path / "long", docs)


def test_align_refuses_what_is_hopeless_before_it_trains(base, long_tools, tmp_path):
    with pytest.raises(RunFailed, match=r"load .*refuse.*Nothing was trained.*capacity=warn"):
        align(overloaded(base, long_tools, tmp_path, min_recall={"document_to_token": 0.9}))


@pytest.mark.parametrize(
    ("more", "warned"),
    [({"min_recall": {}}, True), ({"capacity": "warn"}, True), ({"capacity": "ignore"}, False)],
)
def test_align_goes_on_where_no_gate_asks_or_the_switch_says_so(
    base, long_tools, tmp_path, capsys, more, warned
):
    gates = {"accept": ("document_to_token", "token_to_schema")}
    card = align(overloaded(base, long_tools, tmp_path, **(gates | more)))
    said = capsys.readouterr().err
    assert card.phase == "align" and ("warning: capacity:" in said) == warned


def test_the_switch_does_not_make_another_checkpoint(base, catalogue, tmp_path):
    tools = tools_folder(tmp_path / "tools", catalogue.tools)
    config = overloaded(base, tools, tmp_path, min_recall={})
    assert align(config).id == align(replace(config, capacity="ignore")).id


def test_one_tool_is_aligned_without_a_load(base, catalogue, tmp_path, capsys):
    tools = tools_folder(tmp_path / "tools", catalogue.tools[:1])
    assert align(overloaded(base, tools, tmp_path, min_recall={})).phase == "align"
    assert "capacity" not in capsys.readouterr().err


def test_preflight_says_the_load_without_weights_and_warns(base, long_tools, catalogue, tmp_path):
    (base / "model.safetensors").unlink()
    (tmp_path / "align.yaml").write_text("epochs: 1\n")

    def lines(tools: str, *more: str) -> tuple[dict[str, float], list[str]]:
        words = ["preflight", str(tmp_path / "align.yaml"), f"base={base}", f"catalogue=[{tools}]",
                 "--flops", "1", "--json", *more]  # fmt: skip
        out = json.loads(CliRunner().invoke(app, words, catch_exceptions=False).stdout)
        found = {one["name"]: one["value"] for one in out["lines"] if one["part"] == "capacity"}
        return found, out["warnings"]

    found, warnings = lines(long_tools, "trainable.what=rows")
    assert found["load"] > 1.25 and any("upper bound" in warning for warning in warnings)
    easy, quiet = lines(tools_folder(tmp_path / "tools", catalogue.tools))
    assert easy["load"] < 0.8 and not any("capacity" in warning for warning in quiet)
    assert lines(long_tools, "capacity=ignore")[0] == {}


# cells, fit and study


def cell(documents: int = 100, load: float = 0.5, right: float = 1.0, **more) -> AlignmentCell:
    shares = {name: round(200 * right) for name in ASKED}
    given = {
        "documents": documents, "hidden": 32, "layers": 2, "epochs": 64, "seed": 0,
        "settings": "x", "made": "here", "parameters": 150_000, "holding": 100_000,
        "likelihood": 1.0,
        "packed": 1.0, "bits": load * 100_000, "exposures": 192, "steps": 10, "tokens": 10,
        "loss": 0.1, "asked": 200, "seconds": 1.0,
    }  # fmt: skip
    return AlignmentCell(**(given | shares | more))


def logistic_cells() -> list[AlignmentCell]:
    """Recall 1 / (1 + load^4): a half at load 1, a slope of 4; three sizes of catalogues."""
    loads = [0.2, 0.35, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 5.0]
    return [cell(50 * (1 + n % 3), load, 1 / (1 + load**4), seed=n) for n, load in enumerate(loads)]


def test_cells_are_read_back_and_a_broken_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "cells.jsonl"
    write_lines(path, [cell(), cell(seed=1)])
    assert read_cells(path) == [cell(), cell(seed=1)]
    whole = asdict(cell())
    for line in (whole | {"more": 1}, whole | {"asked": 0}, whole | {"token_to_schema": 201},
                 whole | {"load": "1"}):  # fmt: skip
        path.write_text(json.dumps(whole) + "\n" + json.dumps(line) + "\n")
        with pytest.raises(BadInput, match=r"cells.jsonl:2: not a valid cell"):
            read_cells(path)


def test_the_fit_finds_the_curve_that_made_the_cells():
    curve = curves_of(logistic_cells())["token_to_schema"]
    assert curve.at(1.0).value == pytest.approx(0.5, abs=0.03)
    assert curve.at(0.5).value == pytest.approx(16 / 17, abs=0.03)
    assert curve.at(1.0).low <= 0.5 <= curve.at(1.0).high
    assert curves_of(logistic_cells())["token_to_schema"].at(0.8) == curve.at(0.8)  # no chance


def test_cells_without_noise_are_foretold_from_the_other_sizes():
    foreseen = held_out(logistic_cells())
    assert foreseen is not None and len(foreseen) == 12
    for one in logistic_cells():
        said = foreseen[one.key]["document_to_token"]
        assert abs(said.value - one.recall("document_to_token")) < 0.1
    assert held_out(logistic_cells()[:7]) is None


def test_a_measured_recall_is_foreseen_with_the_chance_of_its_questions():
    """Few tools say less: the interval of a share of 10 holds that of a share of 1,000."""
    curve = curves_of(logistic_cells())["token_to_schema"]
    few, many = curve.at(0.8, 10), curve.at(0.8, 1000)
    assert few.low < many.low <= many.value <= many.high < few.high
    assert curve.at(0.01, 10).high == 1.0  # all right is never a surprise at a tiny load


def test_the_size_at_which_recall_crosses_is_foretold_from_the_other_catalogues():
    """1 / (1 + x^4) is 0.95 at 0.479: so many bits a parameter is the size that is looked for."""
    cells = [
        cell(documents, bits / size, 1 / (1 + (bits / size) ** 4), bits=bits, holding=size)
        for documents, bits in ((50, 25_000), (100, 50_000), (200, 100_000))
        for size in (16_000, 32_000, 64_000, 128_000, 256_000)
    ]
    found = crossings(cells)
    assert [one.documents for one in found] == [50, 100, 200]
    for one, bits in zip(found, (25_000, 50_000, 100_000), strict=True):
        assert one.below < bits / 0.479 < one.above
        assert one.foreseen == pytest.approx(bits / 0.479, rel=0.1)
        assert one.apart < 0.05
    assert crossings([c for c in cells if c.load < 0.4]) == []  # none fell short


def test_cells_that_part_cleanly_or_do_not_fall_give_a_finite_curve():
    clean = [cell(load=x, right=float(x < 1), seed=n) for n, x in enumerate((0.2, 0.4, 0.8, 2, 3))]
    ends = [curves_of(clean)["token_to_schema"].at(load).value for load in (0.2, 3)]
    assert ends[0] > 0.9 and ends[1] < 0.1
    level = [cell(load=x, right=0.8 + x / 100, seed=n) for n, x in enumerate((0.2, 1, 2, 4))]
    values = [curves_of(level)["token_to_schema"].at(load).value for load in (0.2, 4)]
    assert values == pytest.approx([0.82, 0.82], abs=0.03)


def test_a_calibration_is_written_from_cells_and_read_back(tmp_path):
    """0.95 = 1 / (1 + x^4) at 0.479, 0.8 at 0.707, 0.5 at 1; other exposures are not fitted."""
    cells = [*logistic_cells(), cell(load=0.3, right=0.0, exposures=10, epochs=3, seed=50)]
    assert len(practised(cells)) == 12
    made = calibrate(cells, "made up", {"cells": 12})
    assert isinstance(made, Calibration) and made.kind == "measured"
    assert made.safe == pytest.approx(0.479, abs=0.06)
    assert made.marginal == pytest.approx(0.707, abs=0.06)
    assert made.refuse == pytest.approx(1.0, abs=0.06)
    assert made.span == (0.2, 5.0) and made.documents == (50, 150)
    path = tmp_path / "calibration.json"
    path.write_text(calibration_text(made))
    assert read_calibration(path).expected(0.9) == made.expected(0.9)
    assert calibrate(cells[:5], "made up", {}) is None


def test_exposures_count_as_enough_where_safe_cells_learned_with_these_and_more():
    cells = [
        *logistic_cells(),
        *(cell(load=0.3, right=share, exposures=e, seed=60 + e) for e, share in
          ((12, 0.4), (24, 1.0), (48, 0.97), (96, 1.0))),
        cell(load=0.4, right=0.6, exposures=24, seed=99),  # with it 24 is not enough
    ]  # fmt: skip
    made = calibrate(cells, "made up", {})
    assert made is not None and made.exposures == 48


TINY = Preset(
    tuple(Point(n, 16, 1, seed=s) for n in (4, 6, 8) for s in (0, 1, 2)),
    longest=240, asked=4, base_tokens=2000, vocabulary=1024, batch_tokens=2048, rate=0.01,
    minutes=5,
)  # fmt: skip


@pytest.mark.slow
def test_a_study_is_resumed_and_writes_a_calibration(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(PRESETS, "tiny", TINY)
    short = run_study("tiny", ["toolbox"], tmp_path, minutes=1e-9)
    assert not short["complete"] and short["calibration"] is None
    assert "nothing was fitted" in (tmp_path / "table.md").read_text()
    found = run_study("tiny", ["toolbox"], tmp_path)
    assert found["complete"] and len(found["cells"]) == 9 and found["errors"]
    assert "9 of 9 cells" in (tmp_path / "table.md").read_text()
    assert "catalogue size left out of the fit" in (tmp_path / "study.svg").read_text()
    made = read_calibration(tmp_path / "calibration.json")
    assert made.kind == "measured" and made.documents == (4, 8)
    cells = [json.loads(line) for line in (tmp_path / "cells.jsonl").read_text().splitlines()]
    assert made.source["made"] == cells[0]["made"] and "threads" in made.words
    assert str(tmp_path) not in (tmp_path / "calibration.json").read_text()

    def refuse(*_, **__):
        raise AssertionError("a finished cell was trained again")

    monkeypatch.setattr(study_module, "align_one", refuse)
    again = run_study("tiny", ["toolbox"], tmp_path)
    assert again["cells"] == found["cells"]
    monkeypatch.setitem(PRESETS, "tiny", replace(TINY, rate=0.02))
    with pytest.raises(AssertionError, match="again"):  # another recipe: other cells
        run_study("tiny", ["toolbox"], tmp_path)
    monkeypatch.setitem(PRESETS, "tiny", TINY)
    monkeypatch.setattr("tinr.__version__", "another")
    with pytest.raises(AssertionError, match="again"):  # another version may train otherwise
        run_study("tiny", ["toolbox"], tmp_path)
    monkeypatch.setitem(PRESETS, "tiny", replace(TINY, rate=0.02))
    left = run_study("tiny", ["toolbox"], tmp_path, minutes=1e-9)
    assert left["calibration"] is None and not (tmp_path / "calibration.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--preset", "huge"], "no 'huge'; give one of smoke, cpu, full"),
        (["--minutes", "0"], "--minutes: 0"),
        (["--preset", "full"], "the preset needs"),
        (["--catalogue", "nowhere"], "no such catalogue"),
    ],
)
def test_bad_study_options_are_one_line(words, said, tmp_path, capsys):
    def program():
        CliRunner().invoke(app, ["study", "capacity", "--out", str(tmp_path / "o"), *words],
                           catch_exceptions=False)  # fmt: skip

    assert guarded(program) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_presets_leave_a_size_out_and_have_a_usual_practice():
    for preset in PRESETS.values():
        counts = [point.epochs for point in preset.points]
        usual = max(set(counts), key=counts.count)
        kept = [point for point in preset.points if point.epochs == usual]
        assert len(set(preset.points)) == len(preset.points) and len(kept) >= 6
    cpu = PRESETS["cpu"].points
    assert 12 <= len(cpu) <= 24 and max(p.documents for p in PRESETS["full"].points) == 2400
    # about 218 tokens of a document's three examples: half an hour at 20,000 a second
    assert sum(point.documents * point.epochs * 218 for point in cpu) < 60e6


@pytest.mark.shared
@pytest.mark.skipif(not DATA.is_dir(), reason="no shared/data/bfcl beside the repository")
def test_real_documents_that_say_the_same_are_found():
    real = load_catalogue(str(DATA))
    found = count_bits(real)
    assert found.tools > 2000 and found.same > 0 and found.likelihood is None
    apart = sum(packed_bits([doc]) for doc in real.tools[:50])
    together = packed_bits(real.tools[:50])
    assert together < 0.8 * apart  # what documents share counts once
