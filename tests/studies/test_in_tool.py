"""In-tool against in-weight learning: people, the stack, training, bisection and the study."""

import itertools
import json
import math
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

from tinr.chat.codec import Codec
from tinr.chat.parse import split_text
from tinr.cli.main import app
from tinr.command import guarded
from tinr.records import BadInput
from tinr.studies.cells import write_lines
from tinr.studies.in_tool import retention as retention_module
from tinr.studies.in_tool import study as study_module
from tinr.studies.in_tool.answers import recalls, text_of, write
from tinr.studies.in_tool.cells import FitCell, read_cells
from tinr.studies.in_tool.curves import slope, summarise
from tinr.studies.in_tool.optimiser import StackOptimiser
from tinr.studies.in_tool.people import (
    ATTRIBUTES,
    BITS,
    FORMS,
    NOTHING,
    PHRASINGS,
    QUESTIONS,
    Person,
    Town,
    _shared_bits,
    ask,
    bits,
    facts_of,
    make_people,
    open_database,
)
from tinr.studies.in_tool.presets import PRESETS, Preset, Schedule
from tinr.studies.in_tool.recipe import Budget, OptimiserRecipe, TrainRecipe
from tinr.studies.in_tool.retention import conversation as conversation_of
from tinr.studies.in_tool.search import next_width, smallest
from tinr.studies.in_tool.stack import (
    ASSISTANT,
    END,
    HEADS,
    LAYERS,
    TOOL,
    USER,
    VOCABULARY,
    Shape,
    forward,
    losses,
    new_weights,
    unpack,
)
from tinr.studies.in_tool.study import run_study
from tinr.studies.in_tool.table import markdown
from tinr.studies.in_tool.texts import conversation, draws, stacked, tabulate
from tinr.studies.in_tool.train import train_stack

PERSON = Person("Bela Tonik", {"born": "1999-02-03", "country": "Zum", "city": "Fod", "job": "x"})


# people


def test_people_are_those_of_their_seed_and_unseen_first_names_are_others():
    people = make_people(Town(256, 3))
    assert people == make_people(Town(256, 3)) != make_people(Town(256, 4))
    assert len({person.name for person in people}) == 64
    firsts = {person.name.split()[0] for person in people}
    others = {person.name.split()[0] for person in make_people(Town(256, 3), unseen=True)}
    assert not firsts & others
    lasts = {person.name.split()[1] for person in people}
    assert {person.name.split()[1] for person in make_people(Town(256, 3), unseen=True)} <= lasts


def test_attributes_have_the_published_bits():
    assert {name: round(value, 2) for name, value in BITS.items()} == {
        "born": 14.06, "country": 2.81, "city": 7.73, "job": 6.64,
    }  # fmt: skip
    assert bits(Town(4096)) == pytest.approx(1024 * 31.24, abs=10)  # 1,024 people
    seen = {p.values["country"] for p in make_people(Town(8192))}
    assert len(seen) == 7


def test_dependence_lets_the_last_name_decide():
    def kinds(dependence):
        found = {}
        for person in make_people(Town(512, dependence=dependence)):
            found.setdefault(person.name.split()[1], set()).add(person.values["born"])
        return [len(dates) for dates in found.values()]

    assert set(kinds(1.0)) == {1}
    assert max(kinds(0.0)) > 3
    # 128 people of 32 last names: a quarter of the bits
    assert bits(Town(512, dependence=1.0)) == pytest.approx(bits(Town(512)) / 4)
    # between, never above independence, and falling
    some = [bits(Town(512, dependence=d)) for d in (0.0, 0.02, 0.25, 0.5, 0.75, 1.0)]
    assert some == sorted(some, reverse=True)


def test_the_entropy_of_a_family_is_that_of_all_its_outcomes():
    """Two people, two values, half of the time the last name's: agreeing pairs have 1/2 (9/16 +
    1/16) = 5/16 each, the others 3/16 each. Then every outcome of three people and three values."""
    by_hand = -2 * (5 / 16 * math.log2(5 / 16) + 3 / 16 * math.log2(3 / 16))
    assert _shared_bits(2, 2, 0.5) == pytest.approx(by_hand)
    other = 0.7 / 3
    chances = [
        sum(math.prod(other + 0.3 * (v == w) for w in row) for v in range(3)) / 3
        for row in itertools.product(range(3), repeat=3)
    ]
    assert sum(chances) == pytest.approx(1)
    expected = -sum(c * math.log2(c) for c in chances)
    assert _shared_bits(3, 3, 0.3) == pytest.approx(expected)


def test_a_real_database_answers_what_a_model_wrote():
    people = make_people(Town(64))
    base = open_database(people)
    for fact in facts_of(people):
        assert ask(base, fact.query) == fact.value
        assert fact.answer.endswith(fact.value)
        assert len({fact.question(p) for p in range(PHRASINGS)}) == PHRASINGS
    name = people[0].name
    assert list(QUESTIONS) == list(ATTRIBUTES)
    for bad in ("", "{", "[]", "3", "[" * 100_000, '{"city":"Nobody Here"}', '{"city":3}',
                f'{{"age":"{name}"}}', f'{{"city":"{name}","job":"{name}"}}', "{}",
                '{"city":"x\' OR 1=1 --"}'):  # fmt: skip
        assert ask(base, bad) == NOTHING, bad


@pytest.mark.parametrize(
    "wrong", [{"facts": 0}, {"facts": 63}, {"facts": 64, "dependence": 1.1},
              {"facts": 64, "dependence": float("nan")}, {"facts": 10**9},
              {"facts": 8, "family": 0}]
)  # fmt: skip
def test_an_impossible_town_is_refused(wrong):
    with pytest.raises(BadInput):
        Town(**wrong)


# texts


def test_only_the_assistants_symbols_carry_loss():
    fact = facts_of([PERSON])[2]
    ids, said = conversation(fact, 1, "in_tool")
    question, query, answer = b"Town of Bela Tonik?", b'{"city":"Bela Tonik"}', b"Lives in Fod"
    assert ids == [USER, *question, ASSISTANT, *query, END, TOOL, *b"Fod", ASSISTANT, *answer, END]
    kept = [one for one, is_said in zip(ids, said, strict=True) if is_said]
    assert kept == [*query, END, *answer, END]
    table = tabulate([fact], "in_weight")
    ids, said = conversation(fact, 0, "in_weight")
    row, at, targets = (part[0].tolist() for part in (table.ids_RT, table.at_RK, table.targets_RK))
    assert targets[: sum(said)] == [*answer, END]
    assert [row[place + 1] for place in at[: sum(said) - 1]] == targets[: sum(said) - 1]


def test_every_round_shows_every_fact_once():
    drawn = draws(10, 4, seed=1)
    rounds = np.concatenate([next(drawn) for _ in range(5)]).reshape(2, 10) // PHRASINGS
    assert [sorted(one) for one in rounds.tolist()] == [list(range(10))] * 2
    again = draws(10, 4, seed=1)
    assert next(again).tolist() != next(again).tolist()


# the stack


@pytest.mark.parametrize("width", [4, 16, 24])
def test_parameters_follow_the_formula(width):
    shape = Shape(width)
    assert shape.parameters == 32 * width**2 + 525 * width
    assert new_weights(shape, [0]).shape == (1, shape.parameters)


def batch(models, rows=6, length=20, labels=5):
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 256, (models, rows, length), generator=draw)
    at = torch.rand((models, rows, length), generator=draw).argsort(-1)[..., :labels]
    targets = torch.randint(-1, 256, (models, rows, labels), generator=draw)
    return ids, at.sort().values, targets


def test_a_model_in_a_stack_has_the_loss_it_has_alone():
    shape, (ids, at, targets) = Shape(12), batch(3)
    weights = new_weights(shape, [5, 6, 7])
    together = losses(forward(shape, weights, ids, at), targets)
    for row, seed in enumerate([5, 6, 7]):
        part = slice(row, row + 1)
        alone = losses(forward(shape, new_weights(shape, [seed]), ids[part], at[part]),
                       targets[part])  # fmt: skip
        assert alone.item() == pytest.approx(together[row].item(), abs=1e-5)
    assert len({round(one, 4) for one in together.tolist()}) == 3


def test_logits_at_places_are_those_of_the_whole():
    shape, (ids, at, _) = Shape(8), batch(2)
    weights = new_weights(shape, [0, 1])
    whole, some = forward(shape, weights, ids), forward(shape, weights, ids, at)
    wanted = whole.gather(2, at[..., None].expand(-1, -1, -1, whole.shape[-1]))
    assert torch.allclose(some, wanted, atol=1e-5)
    later = ids.clone()
    later[..., 10:] = 7  # causal: what comes later changes nothing before
    assert torch.allclose(forward(shape, weights, later)[:, :, :10], whole[:, :, :10], atol=1e-5)


def test_a_model_is_the_llama_of_transformers():
    shape, (ids, _, _) = Shape(12), batch(2)
    weights = new_weights(shape, [4, 5])
    parts = {name: part[1] for name, part in unpack(shape, weights).items()}
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=12, intermediate_size=48, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, rms_norm_eps=1e-6, tie_word_embeddings=False,
        pad_token_id=END, bos_token_id=USER, eos_token_id=END,
    )  # fmt: skip
    state = {"model.embed_tokens.weight": parts["embedding"], "model.norm.weight": parts["norm"],
             "lm_head.weight": parts["head"].T}  # fmt: skip
    for n in range(LAYERS):
        q, k, v = parts[f"{n}.qkv"].chunk(3, -1)
        gate, up = parts[f"{n}.gate_up"].chunk(2, -1)
        matrices = {"self_attn.q": q, "self_attn.k": k, "self_attn.v": v, "mlp.gate": gate,
                    "self_attn.o": parts[f"{n}.out"], "mlp.up": up,
                    "mlp.down": parts[f"{n}.down"]}  # fmt: skip
        state |= {f"model.layers.{n}.{name}_proj.weight": m.T for name, m in matrices.items()}
        state[f"model.layers.{n}.input_layernorm.weight"] = parts[f"{n}.norm"]
        state[f"model.layers.{n}.post_attention_layernorm.weight"] = parts[f"{n}.mlp_norm"]
    llama = LlamaForCausalLM(config)
    llama.load_state_dict({name: part.contiguous() for name, part in state.items()})
    with torch.no_grad():
        theirs = llama.eval()(ids[1]).logits
    assert torch.allclose(forward(shape, weights, ids)[1], theirs, atol=1e-4)


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_training_one_does_not_depend_on_its_neighbours(name):
    shape, recipe, (ids, at, targets) = Shape(8), OptimiserRecipe(name), batch(2)

    def trained(seeds, rows):
        weights = new_weights(shape, seeds).requires_grad_()
        optimiser = StackOptimiser(shape, weights, recipe)
        for step in range(8):
            loss = losses(forward(shape, weights, ids[rows], at[rows]), targets[rows]).sum()
            (gradient,) = torch.autograd.grad(loss, weights)
            optimiser.step(weights, gradient, recipe.rate_at(step + 40, 100))
        return weights.detach()

    alone, among = trained([3], [1]), trained([9, 3], [0, 1])
    assert torch.allclose(alone[0], among[1], atol=1e-5)
    assert (among[1] - new_weights(shape, [3])[0]).abs().max() > 0.01


def test_adamw_is_that_of_torch():
    shape, recipe = Shape(4), OptimiserRecipe("adamw", clip=1e9)
    ours = new_weights(shape, [0])
    theirs = torch.nn.Parameter(ours.clone())
    torchs = torch.optim.AdamW([theirs], lr=0.01, betas=recipe.betas, weight_decay=recipe.decay)
    optimiser = StackOptimiser(shape, ours, recipe)
    for step in range(4):
        theirs.grad = torch.sin(theirs.detach() * (step + 3))
        optimiser.step(ours, theirs.grad.clone(), 0.01)
        torchs.step()
    assert torch.allclose(ours, theirs.detach(), atol=1e-6)


def test_the_rate_warms_up_and_ends_at_nothing():
    recipe = OptimiserRecipe(rate=1.0, warmup=10)
    assert recipe.rate_at(0, 1000) == pytest.approx(0.1)
    assert recipe.rate_at(500, 1000) == pytest.approx(0.5)
    assert recipe.rate_at(999, 1000) < 1e-4


# replies


def test_greedy_replies_end_at_end_and_are_those_of_one_row_alone():
    shape = Shape(8)
    weights = new_weights(shape, [0, 1])
    given = [[[USER, 65, ASSISTANT], [USER, 66, 67, 68, ASSISTANT]], [[USER, 70, ASSISTANT]]]
    said = write(shape, weights, given, 12)
    assert [len(one) for one in said] == [2, 1]
    for row, start in enumerate(given[0]):
        ids = list(start)
        for _ in range(12):
            logits = forward(shape, weights[:1], torch.tensor([[ids]]))[0, 0, -1]
            ids.append(int(logits.argmax()))
        wanted = ids[len(start) :]
        assert said[0][row] == (wanted[: wanted.index(END)] if END in wanted else wanted)
    assert text_of([65, 300, 66]) == "A\0B"


def test_the_database_answers_in_the_middle_of_a_reply(monkeypatch):
    people = make_people(Town(8))
    facts, seen = facts_of(people), []

    def scripted(_shape, _weights, rows, longest):
        """Right queries but the last; the answer repeats what the tool returned."""
        if not seen:
            seen.append(1)
            return [[list(fact.query.encode()) for fact in facts[:-1]] + [list(b"{oops")]]
        seen.append(rows)
        tails = [row[len(row) - 1 - row[::-1].index(TOOL) + 1 : -1] for row in rows[0]]
        return [[[*b"It is ", *tail] for tail in tails]]

    monkeypatch.setattr("tinr.studies.in_tool.answers.write", scripted)
    right = recalls(Shape(4), torch.zeros(1, 1), "in_tool", [facts], [open_database(people)], [0])
    assert right == [[True] * (len(facts) - 1) + [False]]
    assert bytes(seen[1][0][-1][-8:-1]) == NOTHING.encode()


# training


def test_a_stack_learns_and_each_model_is_what_it_is_alone():
    recipe = TrainRecipe(asked=8, unseen=8, checks=10)
    towns, budget = [Town(8, 0), Town(12, 1)], Budget(8, 300)
    together = train_stack("in_weight", 12, towns, budget, recipe)
    assert all(one is not None and one.reached for one in together)
    alone = train_stack("in_weight", 12, towns[1:], budget, recipe)
    assert replace(together[1], seconds=0) == replace(alone[0], seconds=0)
    assert together[0].exposures == together[0].steps and together[0].unseen_right is None
    assert together[1].exposures == pytest.approx(together[1].steps * 8 / 12, abs=0.1)


def test_what_the_budget_does_not_reach_is_said_and_what_time_cuts_off_has_no_result():
    recipe = TrainRecipe(asked=8, unseen=4, checks=2)
    [one] = train_stack("in_tool", 4, [Town(8)], Budget(4, 4), recipe)
    assert not one.reached and one.steps == 4 and (one.unseen_right, one.unseen_asked) == (0, 4)
    assert train_stack("in_tool", 4, [Town(8)], Budget(4, 4), recipe, deadline=0.0) == [None]


# bisection


def outcome(widths, needed, first):
    tried = {}
    while (width := next_width(widths, tried, first)) is not None:
        assert width not in tried
        tried[width] = width >= needed
    return tried


@pytest.mark.parametrize("first", [4, 12, 20])
@pytest.mark.parametrize("needed", [4, 8, 12, 16, 20, 24])
def test_bisection_finds_the_smallest_width_or_says_that_there_is_none(first, needed):
    widths = (4, 8, 12, 16, 20)
    tried = outcome(widths, needed, first)
    assert smallest(widths, tried) == (
        ("not_reached", None) if needed > 20 else ("found", needed)
    )  # fmt: skip


def test_what_was_not_tried_is_not_claimed():
    widths = (4, 8, 12, 16)
    assert smallest(widths, {}) == ("open", None)
    assert smallest(widths, {8: False}) == ("open", None)
    assert smallest(widths, {12: True}) == ("at_most", 12)
    assert smallest(widths, {4: False, 12: True}) == ("at_most", 12)
    assert next_width(widths, {4: False, 12: True}, 12) == 8
    assert next_width(widths, {16: True}, 16) == 12  # one step at a time from a good guess
    assert smallest(widths, {8: True, 12: False, 4: False}) == ("found", 8)  # bad luck above


# the study

BUDGET = Budget(8, 10)


def cell(**changes) -> FitCell:
    plain = {"form": "in_weight", "facts": 64, "width": 8, "seed": 0, "settings": "s",
             "parameters": 6248, "bits": 500.0, "reached": True, "right": 62, "asked": 64,
             "unseen_right": None, "unseen_asked": 0, "steps": 10, "exposures": 5.0,
             "seconds": 1.0}  # fmt: skip
    return FitCell(**(plain | changes))


def test_a_point_is_the_mean_of_seeds_only_where_every_seed_is_known():
    small, failed = cell(), cell(width=4, parameters=2612, reached=False, right=3)
    other = [cell(width=4, parameters=2612, seed=1)]
    point = summarise((4, 8), BUDGET, [[small, failed], other])
    assert (point["status"], point["parameters"]) == ("found", (6248 + 2612) // 2)
    assert (point["low"], point["high"], point["recall"]["n"]) == (2612, 6248, 128)
    worse = [cell(seed=1, reached=False, right=10), cell(width=4, seed=1, reached=False)]
    small = replace(small, right=64)
    point = summarise((4, 8), BUDGET, [[small, failed], worse])
    assert (point["status"], point["parameters"], point["low"]) == ("not_reached", None, None)
    assert (point["seeds_found"], point["largest_tried"]) == (1, 6248)
    # of the seed that reached it nothing stands there: a point is of all seeds
    assert point["best_recall"] == 62 / 64  # what `worse` reached at most
    assert point["load"] is point["exposures"] is point["recall"]["value"] is None
    point = summarise((4, 8), BUDGET, [[small], [failed]])
    assert point["status"] == "open"


def test_the_slope_is_that_of_known_points():
    points = [{"facts": n, "parameters": 100 + 8 * n} for n in (8, 64, 256)]
    assert slope(points) == pytest.approx((8, 100))
    assert slope([*points[:2], {"facts": 512, "parameters": None}]) is None


def test_cells_are_read_back_and_a_broken_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "cells.jsonl"
    assert read_cells(path) == []
    write_lines(path, [cell(), cell(seed=1)])
    assert read_cells(path) == [cell(), cell(seed=1)]
    whole = asdict(cell())
    for line in ("{", "3", json.dumps(whole | {"more": 1}), json.dumps(whole | {"form": "x"}),
                 json.dumps(whole | {"seconds": "1"}), json.dumps(whole | {"asked": 0, "right": 0}),
                 json.dumps(whole | {"right": 65})):  # fmt: skip
        path.write_text(json.dumps(whole) + "\n" + line + "\n")
        with pytest.raises(BadInput, match=r"cells.jsonl:2: not a valid cell"):
            read_cells(path)


TINY = Preset(
    {
        "in_weight": Schedule((8,), (12,), (8, 12), (8, 8), 1, 240, (240, 240)),
        "in_tool": Schedule((8,), (4,), (4,), (4, 4), 1, 4, (4, 4)),
    },
    seeds=2, minutes=5, asked=8, unseen=4,
)  # fmt: skip


def test_a_study_is_resumed_and_says_what_was_not_reached(tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny", TINY)
    first = run_study("tiny", tmp_path, threshold=0.5)
    assert first["complete"]
    weight, tool = (first["curves"][form][0] for form in ("in_weight", "in_tool"))
    assert weight["status"] == "found" and weight["seeds_found"] == 2
    assert tool["status"] == "not_reached" and tool["parameters"] is None
    table = (tmp_path / "table.md").read_text()
    assert "not reached (largest tried 2,612, best recall" in table and "published" in table
    assert "muon" in table and "SQLite" in table
    svg = (tmp_path / "study.svg").read_text()
    assert "not reached" in svg and "in tool, published" in svg
    assert json.loads((tmp_path / "study.json").read_text()) == json.loads(json.dumps(first))

    def refuse(*_, **__):
        raise AssertionError("a finished cell was trained again")

    monkeypatch.setattr(study_module, "train_stack", refuse)
    again = run_study("tiny", tmp_path, threshold=0.5)
    assert again["curves"] == first["curves"]
    assert again["seconds_trained"] == first["seconds_trained"] > 0
    none = run_study("tiny", tmp_path, threshold=0.6, minutes=1e-9)
    assert none["seconds_trained"] == 0, "cells of other settings are not this study's"
    with pytest.raises(AssertionError, match="again"):  # another threshold: other cells
        run_study("tiny", tmp_path, threshold=0.6)


def test_a_study_without_time_leaves_its_points_open(tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny", TINY)
    found = run_study("tiny", tmp_path, minutes=1e-9)
    assert not found["complete"]
    assert {point["status"] for points in found["curves"].values() for point in points} == {"open"}
    assert "open: out of time" in markdown(found)


def test_presets_cover_what_they_promise():
    cpu, full = PRESETS["cpu"], PRESETS["full"]
    assert cpu.minutes <= 20 and full.minutes <= 10
    assert {64, 1024} <= set(cpu.plans["in_weight"].facts)
    assert max(cpu.plans["in_tool"].facts) >= 8192 and cpu.seeds > 1 < full.seeds
    assert all(max(plan.facts) == 32_768 for plan in full.plans.values())
    for preset in PRESETS.values():
        for plan in preset.plans.values():
            for facts in plan.facts:
                Town(facts)
                budget = plan.budget(facts)
                assert budget.steps * budget.batch / facts >= 10  # exposures
    assert cpu.plans["in_weight"].budget(1024) == Budget(128, 3000)


def test_the_largest_town_can_be_made():
    people = make_people(Town(32_768))
    assert len({person.name for person in people}) == 8192
    assert math.isclose(bits(Town(32_768)), 8192 * sum(BITS.values()))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--preset", "huge"], "no 'huge'; give one of smoke, cpu, full"),
        (["--seeds", "0"], "--seeds: 0"),
        (["--threshold", "0"], "threshold: 0"),
        (["--dependence", "2"], "dependence: 2"),
        (["--minutes", "-1"], "--minutes: -1"),
    ],
)
def test_bad_options_are_one_line(words, said, tmp_path, capsys):
    def program():
        CliRunner().invoke(app, ["study", "in-tool", "--out", str(tmp_path / "o"), *words],
                           catch_exceptions=False)  # fmt: skip

    assert guarded(program) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_the_command_prints_the_study(tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny", replace(TINY, minutes=1e-9, seeds=1))
    words = ["study", "in-tool", "--preset", "tiny", "--out", str(tmp_path), "--json"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert json.loads(result.stdout)["curves"]["in_tool"][0]["status"] == "open"
    assert result.exit_code == 0


# retention


def test_a_fact_is_taught_as_an_answer_or_as_a_call_and_only_the_assistant_learns(tiny_tokenizer):
    codec, fact = Codec(tiny_tokenizer), facts_of([PERSON])[0]
    weight, tool = (conversation_of(fact, form, codec, 0) for form in FORMS)
    for pieces in (weight, tool):
        said = "".join(piece.text for piece in pieces if piece.learn)
        assert "Born 1999-02-03" in said and "When was" not in said
    called = "".join(piece.text for piece in tool if piece.learn)
    assert '"born": "Bela Tonik"' in called and "<tool_call>" in called
    shown = "".join(piece.text for piece in tool if not piece.learn)
    assert "1999-02-03" in shown and "Born" not in shown  # the bare value comes back
    assert "1999-02-03" not in "".join(piece.text for piece in weight if not piece.learn)


def test_recall_is_of_the_value_or_of_what_the_call_returns(tiny_tokenizer, monkeypatch):
    """Scripted replies: right, wrong, and none."""
    codec, facts = Codec(tiny_tokenizer), facts_of(make_people(Town(4)))[:3]
    said = {
        "in_weight": [f"<response>Born {facts[0].value}</response>", "<response>no</response>", ""],
        "in_tool": [
            f'<tool_call>{{"token": "<<lookup>>", "parameters": {facts[0].query}}}</tool_call>',
            '<tool_call>{"token": "<<lookup>>", "parameters": {"born": "Nobody"}}</tool_call>',
            "<tool_call>{</tool_call>",
        ],
    }
    for form in FORMS:
        pieces = [split_text(text) for text in said[form]]
        rows = [SimpleNamespace(ids=codec.encode(one)[0]) for one in pieces]
        monkeypatch.setattr(retention_module, "generate", lambda *_, rows=rows, **__: rows)
        assert retention_module.recalled(None, codec, form, facts) == [True, False, False]


@pytest.mark.slow
def test_retention_is_measured_against_the_base_once(tmp_path, monkeypatch):
    rows = retention_module.run_retention("smoke", tmp_path)
    assert [row["form"] for row in rows] == list(FORMS)
    for row in rows:
        assert 0 < row["measures"]["total_variation"]["value"] < 1
        assert row["measures"]["divergence"]["value"] > 0
        assert row["measures"]["choice_base"]["n"] == 300
    assert rows[0]["measures"]["choice_base"] == rows[1]["measures"]["choice_base"]
    assert "in weight | 8 " in (tmp_path / "retention.md").read_text()

    def refuse(*_, **__):
        raise AssertionError("a finished model was tuned again")

    monkeypatch.setattr(retention_module, "_tune", refuse)
    assert retention_module.run_retention("smoke", tmp_path) == rows
    with pytest.raises(BadInput, match="no 'huge'"):
        retention_module.run_retention("huge", tmp_path)


def test_stacked_tables_keep_each_models_rows():
    first, second = (tabulate(facts_of(make_people(Town(n))), "in_tool") for n in (4, 8))
    whole = stacked([first, second], "cpu")
    rows, length = first.ids_RT.shape
    assert torch.equal(whole.ids_RT[0, :rows, :length], first.ids_RT)
    assert torch.equal(whole.targets_RK[1, :, : second.targets_RK.shape[1]], second.targets_RK)
    assert (whole.targets_RK[0, rows:] == -1).all()
