"""Preference training: which ids and tokens count, the four losses by hand, learning, resume."""

import math
from itertools import count
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from tinr.checkpoints.step_checkpoints import Steps
from tinr.config import OptimiserConfig, PreferenceConfig, TrainableConfig
from tinr.data.packing import Example, PreferencePair, collate
from tinr.records import BadInput, RunFailed
from tinr.run_log import RunLog, read_log
from tinr.training.loop import Progress
from tinr.training.preference import trainer
from tinr.training.preference.trainer import passes_of, teaching, train_preference

LOSSES = {"simpo": 2.5, "dpo": 0.1, "ipo": 0.1, "orpo": 0.1}  # and the usual beta of each
FAST = OptimiserConfig(learning_rate=0.01, warmup=0.0)  # the first step moves already


@pytest.fixture(scope="module")
def codec(grown):
    return grown("tiny")


def fresh_model(codec, tied: bool = True) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(codec.tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            tie_word_embeddings=tied,
            pad_token_id=codec.pad,
        )
    )


def some_pairs(number: int) -> list[PreferencePair]:
    """Pairs of all lengths, the sides of one differing in length and in their first id."""
    return [
        PreferencePair(
            prompt=[(7 * n + 3 * k) % 90 + 10 for k in range(3 + n)],
            chosen=[100 + (5 * n + k) % 50 for k in range(1 + n % 3)],
            rejected=[200 + (3 * n + k) % 50 for k in range(1 + (n + 1) % 4)],
            kind="value",
        )
        for n in range(number)
    ]


def settings(loss: str, **changes) -> PreferenceConfig:
    usual = {"beta": LOSSES[loss], "optimiser": FAST, "bf16": False, "pairs": 4, "epochs": 1}
    return PreferenceConfig(loss=loss, **(usual | changes))  # type: ignore[arg-type]


def run(model, codec, pairs, config, folder: Path, **more):
    with RunLog(folder, "calibrate", {}, done=more["steps"].done if "steps" in more else 0) as log:
        return train_preference(model, codec, pairs, config, 3, log, **more)


def rows_of(folder: Path, name: str) -> list[float]:
    return [row[name] for row in read_log(folder / "calibrate.jsonl") if name in row]


@pytest.mark.parametrize("loss", LOSSES)
def test_the_model_sees_the_ids_of_the_pairs_and_no_other(codec, tmp_path, loss):
    """Above all no end of sequence: it would teach the model to stop within a call."""
    pairs, seen = some_pairs(6), []
    model = fresh_model(codec)

    def record(module, args, kwargs):
        rows = zip(kwargs["input_ids"], kwargs["attention_mask"], strict=True)
        seen.extend(tuple(ids[mask.bool()].tolist()) for ids, mask in rows)

    model.base_model.register_forward_pre_hook(record, with_kwargs=True)
    run(model, codec, pairs, settings(loss, pairs=2), tmp_path)
    given = [(*p.prompt, *side) for p in pairs for side in (p.chosen, p.rejected)]
    passes = 2 if loss in ("dpo", "ipo") else 1  # the parent's log-probabilities first
    assert sorted(seen) == sorted(given * passes)
    assert not any(codec.tokenizer.eos_token_id in ids for ids in seen)


def loss_by_hand(loss: str, pairs, now, before, beta: float, gamma: float) -> float:
    """now, before: ids of a row -> (sum of its side's log-probabilities, their number)."""
    losses = []
    for pair in pairs:
        (c, m), (r, n) = (now[(*pair.prompt, *side)] for side in (pair.chosen, pair.rejected))
        (c0, _), (r0, _) = (before[(*pair.prompt, *side)] for side in (pair.chosen, pair.rejected))
        if loss == "simpo":  # equation 6
            losses.append(-F.logsigmoid(beta * (c / m - r / n) - gamma))
        elif loss == "dpo":  # equation 7, sums over a side
            losses.append(-F.logsigmoid(beta * ((c - c0) - (r - r0))))
        elif loss == "ipo":  # equation 17, means over a side
            losses.append(((c - c0) / m - (r - r0) / n - 1 / (2 * beta)) ** 2)
        else:  # equations 4, 6, 7: odds of the mean likelihood of a token
            odds = [mean - torch.log(1 - torch.exp(mean)) for mean in (c / m, r / n)]
            losses.append(-c / m - beta * F.logsigmoid(odds[0] - odds[1]))
    return float(sum(losses) / len(losses))


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_is_that_of_its_paper(codec, tmp_path, loss, monkeypatch):
    """In the second step, where the model is its own parent no more. The prompt has no loss."""
    pairs, passes = some_pairs(5), []
    sides = {(*p.prompt, *side): len(side) for p in pairs for side in (p.chosen, p.rejected)}
    kept = trainer.label_log_probs

    def record(model, ids, mask, labels):
        found = {}
        with torch.no_grad():  # all logits, by the model as it is
            logits = type(model).forward(model, input_ids=ids, attention_mask=mask).logits
        for row, real, values in zip(ids, mask.bool(), logits.log_softmax(-1), strict=True):
            text = tuple(row[real].tolist())
            at = range(len(text) - sides[text], len(text))
            found[text] = (sum(values[i - 1, text[i]] for i in at), sides[text])
        passes.append(found)
        return kept(model, ids, mask, labels)

    monkeypatch.setattr(trainer, "label_log_probs", record)
    config = settings(loss, pairs=5, epochs=2, gamma=0.7)
    run(fresh_model(codec), codec, pairs, config, tmp_path)
    assert len(passes) == (3 if loss in ("dpo", "ipo") else 2)
    logged = rows_of(tmp_path, "train/loss")
    for step in (-2, -1):
        by_hand = loss_by_hand(loss, pairs, passes[step], passes[0], config.beta, 0.7)
        assert logged[step] == pytest.approx(by_hand, abs=1e-4)
    assert abs(logged[1] - logged[0]) > 1e-2  # the parent is another model than this one
    if loss == "dpo":
        assert logged[0] == pytest.approx(math.log(2), abs=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_chosen_sides_grow_likelier_than_the_rejected(codec, tmp_path, loss):
    done = run(fresh_model(codec), codec, some_pairs(4), settings(loss, epochs=30), tmp_path)
    assert done.steps == 30
    margins, shares = (rows_of(tmp_path, f"preference/{name}") for name in ("margin", "accuracy"))
    assert len(margins) == len(shares) == 30
    assert margins[-1] > margins[0] + 1 and shares[-1] == 1
    real = sum(2 * len(p.prompt) + len(p.chosen) + len(p.rejected) for p in some_pairs(4))
    assert done.tokens == 30 * real == rows_of(tmp_path, "train/tokens")[-1]


def replay_batches():
    """Batches of different lengths, so that a wrong one would show in the losses."""
    for n in count():
        ids = [(7 * n + 3 * k) % 59 + 1 for k in range(5 + n % 11)]
        yield collate([[Example(ids, ids)]], 0)


@pytest.mark.parametrize("what", ["all", "lora"])
@pytest.mark.parametrize("loss", ["simpo", "dpo"])
def test_a_killed_run_ends_with_the_same_bits(codec, tmp_path, loss, what, monkeypatch):
    """Killed within the second epoch, whose first step has more batches than its last."""
    config = settings(loss, pairs=2, accumulate=3, epochs=3, checkpoint_steps=1)

    class Killed(Exception):
        pass

    def go(name: str):
        steps = Steps(tmp_path / name / "steps")
        return run(
            fresh_model(codec), codec, some_pairs(7), config, tmp_path / name, steps=steps,
            trainable=TrainableConfig(what, rank=4), replay=replay_batches(),
        )  # fmt: skip

    whole, kept = go("whole"), Progress.on_step_end

    def dying(self, args, state, control, **kwargs):
        if state.global_step == 4:
            raise Killed
        return kept(self, args, state, control, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_step_end", dying)
        with pytest.raises(Killed):
            go("cut")
    assert Steps(tmp_path / "cut" / "steps").done == 3
    again = go("cut")
    assert (again.steps, again.loss, again.tokens) == (6, whole.loss, whole.tokens)
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[key]), key
    for name in ("train/loss", "preference/margin"):
        assert rows_of(tmp_path / "cut", name) == rows_of(tmp_path / "whole", name)


@pytest.mark.parametrize("loss", ["simpo", "dpo"])
def test_batches_of_one_step_are_the_same_as_one_of_their_size(codec, tmp_path, loss):
    """The replayed batch counts once a step either way."""

    def go(**sizes):
        ids = list(range(20, 40))
        replay = iter([collate([[Example(ids, ids)]], 0)] * 8)
        folder = tmp_path / str(sizes["pairs"])
        config = settings(loss, epochs=2, **sizes)
        return run(fresh_model(codec), codec, some_pairs(4), config, folder, replay=replay)

    one, two = go(pairs=4), go(pairs=2, accumulate=2)
    assert two.loss == pytest.approx(one.loss, abs=1e-5)
    for key, value in one.model.state_dict().items():
        assert torch.allclose(value, two.model.state_dict()[key], atol=1e-4), key


def test_replay_weighs_as_much_as_it_is_told(codec, tmp_path):
    losses = {}
    for weight in (0.0, 1.0, 2.0):
        config = settings("simpo", replay_weight=weight)
        folder = tmp_path / str(weight)
        run(fresh_model(codec), codec, some_pairs(4), config, folder, replay=replay_batches())
        losses[weight] = rows_of(folder, "train/loss")[0]
    assert losses[1.0] - losses[0.0] > 1
    assert losses[2.0] - losses[1.0] == pytest.approx(losses[1.0] - losses[0.0], abs=1e-3)


@pytest.mark.parametrize("loss", ["simpo", "dpo"])
def test_of_rows_alone_those_of_the_head_learn_as_well(codec, tmp_path, loss):
    """TRL's own head takes the weights below PEFT's, which never move."""
    model, rows = fresh_model(codec, tied=False), sorted(codec.markup.values())
    before = model.lm_head.weight.detach().clone()
    pairs = [PreferencePair([20, 21], [rows[0]], [rows[1]]), PreferencePair([22], [rows[2]], [30])]
    config = settings(loss, epochs=8)
    done = run(model, codec, pairs, config, tmp_path, trainable=TrainableConfig("rows"))
    after = done.model.lm_head.weight
    assert (before != after).any(1).nonzero().flatten().tolist() == rows
    assert done.adapter is not None


@pytest.mark.parametrize("loss", LOSSES)
def test_a_bad_step_stops_the_run(codec, tmp_path, loss):
    config = settings(loss, optimiser=OptimiserConfig(gradient_limit=1e-6))
    with pytest.raises(RunFailed, match="step 1: the gradient norm"):
        run(fresh_model(codec), codec, some_pairs(4), config, tmp_path)


def test_no_pairs_and_pairs_that_teach_nothing_are_refused_in_one_line(codec, tmp_path):
    good = some_pairs(3)
    for pairs, said in (
        ([], "no pairs"),
        ([*good, PreferencePair([1], [2, 3], (2, 3))], "pair 4: both sides are the same"),
        ([good[0], PreferencePair([], [2], [3])], "pair 2"),
        ([good[0], good[1], PreferencePair([1], [2], [])], "pair 3"),
    ):
        with pytest.raises(BadInput, match=said) as refused:
            run(fresh_model(codec), codec, pairs, settings("simpo"), tmp_path)
        assert "\n" not in str(refused.value)
    with pytest.raises(BadInput, match="max_tokens=2: 3 of 3 pairs are longer"):
        teaching(good, 2)


def test_a_pair_that_is_too_long_is_left_out_and_counted():
    pairs = [
        PreferencePair([1] * 5, [2, 3], [4]),
        PreferencePair([1] * 5, [2], [3, 4, 5]),
        PreferencePair([1], [2], [3]),
    ]
    with pytest.warns(UserWarning, match="max_tokens=7: 1 of 3 pairs are longer and are left"):
        assert teaching(pairs, 7) == [pairs[0], pairs[2]]


def test_how_many_batches_some_steps_took():
    """4 batches an epoch, 3 a step: steps of 3, 1, 3, 1."""
    assert [passes_of(steps, 4, 3) for steps in range(5)] == [0, 3, 4, 7, 8]
    assert [passes_of(steps, 4, 2) for steps in range(4)] == [0, 2, 4, 6]
