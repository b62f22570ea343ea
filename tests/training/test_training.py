"""The supervised loop: packing, loss positions, optimiser."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from tinr.chat.codec import IGNORE
from tinr.config import OptimiserConfig, TrainingConfig
from tinr.data.packing import Example, collate, make_batches, pack
from tinr.data.replay import endless
from tinr.evaluation.metrics import rate
from tinr.records import BadInput, RunFailed
from tinr.run_log import RunLog, read_log
from tinr.training.loop import labelled_loss
from tinr.training.optimiser import Muon, MuonAdamW, make_optimiser
from tinr.training.phase_run import Phase
from tinr.training.supervised import train


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=60,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=True,
        attn_implementation="sdpa",
        pad_token_id=0,
    )
    return LlamaForCausalLM(config).eval()


def example(size: int, seed: int = 0, weight: float = 1.0) -> Example:
    rng = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, 60, (size,), generator=rng).tolist()
    labels = [i if n % 3 else IGNORE for n, i in enumerate(ids)]
    return Example(ids, labels, weight)


def loss_alone(model, one: Example) -> tuple[float, int]:
    """Sum of losses and count of labelled positions, the plain way: full logits, no packing."""
    logits = model(torch.tensor([one.ids])).logits[0, :-1]
    targets = torch.tensor(one.labels[1:])
    here = targets != IGNORE
    return F.cross_entropy(logits[here], targets[here], reduction="sum").item(), int(here.sum())


def test_neighbours_in_a_row_do_not_see_each_other(model):
    """A packed batch has exactly the loss of its examples alone; a leak would change it."""
    examples = [example(n, seed=n) for n in (5, 9, 14, 23, 8, 17)]
    batch = collate(pack(examples, 32), pad=0)
    alone = [loss_alone(model, one) for one in examples]
    expected = sum(total for total, _ in alone) / sum(count for _, count in alone)
    with torch.no_grad():
        assert labelled_loss(model, batch).item() == pytest.approx(expected, rel=1e-5)


def test_a_leak_would_be_seen(model):
    """The same rows with positions that do not restart have another loss."""
    examples = [example(n, seed=n) for n in (14, 17)]
    batch = collate(pack(examples, 32), pad=0)
    leaking = batch | {"position_ids": torch.arange(31)[None]}
    with torch.no_grad():
        clean, dirty = labelled_loss(model, batch), labelled_loss(model, leaking)
    assert abs(clean.item() - dirty.item()) > 1e-3


def test_weights_scale_an_examples_loss(model):
    one, other = example(12, 1, weight=2.0), example(12, 2, weight=0.5)
    with torch.no_grad():
        got = labelled_loss(model, collate([[one, other]], 0)).item()
    (first, n), (second, m) = loss_alone(model, one), loss_alone(model, other)
    assert got == pytest.approx((2.0 * first + 0.5 * second) / (n + m), rel=1e-5)


def test_the_first_token_of_an_example_is_no_target():
    """Nothing precedes it: the last token of the neighbour must not be trained to say it."""
    labelled = Example([7, 8, 9], [7, 8, 9])
    batch = collate([[labelled, labelled]], 0)
    assert batch["labels"].tolist() == [[IGNORE, 8, 9, IGNORE, 8, 9]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1, 2]]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 80), min_size=1, max_size=60), st.integers(8, 64))
def test_packing_keeps_every_example_and_the_limit(sizes, row_tokens):
    examples = [Example([1] * n, [1] * n) for n in sizes]
    rows = pack(examples, row_tokens)
    assert sorted(len(e.ids) for row in rows for e in row) == sorted(sizes)
    for row in rows:
        assert len(row) == 1 or sum(len(e.ids) for e in row) <= row_tokens


def test_batches_keep_every_example_once_and_the_token_limit():
    examples = [Example([n + 1] * (n % 40 + 1), [IGNORE] * (n % 40 + 1)) for n in range(58)]
    config = TrainingConfig(batch_tokens=128, row_tokens=64)
    batches = list(make_batches(examples, config, 0, 0))
    assert all(batch["input_ids"].numel() <= 128 for batch in batches)
    seen = sorted(i for b in batches for i in b["input_ids"].flatten().tolist() if i)
    assert seen == sorted(i for e in examples for i in e.ids)


def test_examples_that_are_too_long_are_left_out():
    config = TrainingConfig(batch_tokens=64, row_tokens=32, max_tokens=10)
    with pytest.warns(UserWarning, match="1 of 2 examples are longer and are left out"):
        batches = make_batches([example(11), example(10)], config, 0, 0)
    assert sum(int((b["weights"] > 0).sum()) for b in batches) == 10


def test_where_all_are_too_long_nothing_is_trained_in_silence():
    config = TrainingConfig(batch_tokens=64, row_tokens=32, max_tokens=10)
    with pytest.raises(BadInput, match="max_tokens=10: 2 of 2 examples are longer"):
        make_batches([example(11), example(12)], config, 0, 0)


def test_replay_without_an_example_ends_instead_of_looking_for_one_forever():
    config = TrainingConfig(batch_tokens=64, row_tokens=32)
    given = endless(lambda epoch: [example(4)] if epoch < 2 else [], config, 0)
    assert [tuple(next(given)["input_ids"].shape) for _ in range(2)] == [(1, 4), (1, 4)]
    with pytest.raises(BadInput, match="give no example; raise"):
        next(given)


def test_no_batch_is_bad_input(model, tiny_tokenizer, tmp_path):
    with RunLog(tmp_path, "sft", {}) as log, pytest.raises(BadInput, match="nothing to train on"):
        train(model, tiny_tokenizer, [], TrainingConfig(), 0, log, "sft")


def test_the_loop_learns_and_logs(model, tiny_tokenizer, tmp_path):
    """Sixty steps over one sentence: the loss falls by more than half, and the log says so."""
    copy = LlamaForCausalLM(model.config)
    config = TrainingConfig(
        optimiser=OptimiserConfig(name="muon", learning_rate=0.01), batch_tokens=64, bf16=False
    )
    batches = [collate([[example(30, 5)]], 0)] * 60
    with RunLog(tmp_path, "align", {}) as log:
        trained = train(copy, tiny_tokenizer, batches, config, 0, log, "test")
    losses = [row["train/loss"] for row in read_log(tmp_path / "align.jsonl")]
    assert trained.steps == 60 and trained.tokens == 60 * 30
    assert losses[-1] < losses[0] / 2


def test_a_gradient_that_is_no_number_stops_the_run(model, tiny_tokenizer, tmp_path):
    copy = LlamaForCausalLM(model.config)
    config = TrainingConfig(
        optimiser=OptimiserConfig(learning_rate=1e30, warmup=0.0), batch_tokens=64, bf16=False
    )
    batches = [collate([[example(30, 5)]], 0)] * 20
    with RunLog(tmp_path, "align", {}) as log, pytest.raises(RunFailed, match="norm is nan"):
        train(copy, tiny_tokenizer, batches, config, 0, log, "test")


@pytest.mark.parametrize("limit", [None, 0.5])
def test_a_bad_step_can_be_skipped_and_moves_nothing(model, tiny_tokenizer, tmp_path, limit):
    """A weight of NaN in one batch of six, or a gradient beyond the limit in all: no such step."""
    copy, bad = LlamaForCausalLM(model.config), collate([[example(30, 5)]], 0)
    poisoned = bad | {"weights": bad["weights"] * float("nan")}
    optimiser = OptimiserConfig(learning_rate=0.01, bad_step="skip", gradient_limit=limit)
    config = TrainingConfig(optimiser=optimiser, bf16=False)
    before = {key: value.clone() for key, value in copy.state_dict().items()}
    given = [bad] * 5 if limit else [bad, bad, poisoned, bad, bad, bad]
    with RunLog(tmp_path, "align", {}) as log:
        done = train(copy, tiny_tokenizer, given, config, 0, log, "test")
    after = done.model.state_dict()
    moved = any(not torch.equal(before[key], after[key]) for key in before)
    assert moved == (limit is None) and done.steps == len(given)
    assert all(torch.isfinite(value).all() for value in after.values())


def test_ten_bad_steps_in_a_row_stop_even_a_run_that_skips(model, tiny_tokenizer, tmp_path):
    copy, batch = LlamaForCausalLM(model.config), collate([[example(30, 5)]], 0)
    optimiser = OptimiserConfig(bad_step="skip", gradient_limit=1e-9)
    config = TrainingConfig(optimiser=optimiser, bf16=False)
    with RunLog(tmp_path, "align", {}) as log, pytest.raises(RunFailed, match="step 10: "):
        train(copy, tiny_tokenizer, [batch] * 12, config, 0, log, "test")


def test_muon_takes_the_matrices_of_the_layers_and_adamw_the_rest(model):
    optimiser = make_optimiser(model, OptimiserConfig(name="muon", learning_rate=0.1))
    assert isinstance(optimiser, MuonAdamW)
    matrices = {id(p) for p in optimiser.parts[0].param_groups[0]["params"]}
    named = {n for n, p in model.named_parameters() if id(p) in matrices}
    assert "model.layers.0.mlp.up_proj.weight" in named
    assert not any("embed" in n or "norm" in n for n in named)
    total = sum(len(g["params"]) for g in optimiser.param_groups)
    assert total == len(list(model.parameters()))


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_rows_can_be_held_still(model, name):
    rates = {"learning_rate": 0.1, "embedding_rate": 0.0}
    optimiser = make_optimiser(model, OptimiserConfig(name=name, **rates))
    assert sorted({group["lr"] for group in optimiser.param_groups}) == [0.0, 0.1]


def test_a_gate_asks_a_model_that_is_done_learning(grown, catalogue, monkeypatch):
    """In training mode it would answer with dropout, and without a cache where it checkpointed."""
    codec = grown("tiny")
    shape = LlamaConfig(
        vocab_size=len(codec.tokenizer), hidden_size=32, intermediate_size=64,
        num_hidden_layers=2, num_attention_heads=2, attention_dropout=0.5,
    )  # fmt: skip
    learning = LlamaForCausalLM(shape).train()
    learning.gradient_checkpointing_enable()
    said = []
    monkeypatch.setattr(
        "tinr.training.phase_run.probe",
        lambda model, *_: said.append(model.training) or {"document_to_token": rate([True])},
    )
    phase: Any = SimpleNamespace(catalogue=catalogue, run_log=None, _refuse=lambda *_: None)
    assert Phase.gate(phase, learning, codec, {})["document_to_token"]["value"] == 1.0
    assert said == [False]


def test_the_optimisers_state_survives_a_save(model):
    """After a load the learning rate that a scheduler sets reaches both parts."""
    optimiser = make_optimiser(model, OptimiserConfig(name="muon", learning_rate=0.1))
    optimiser.load_state_dict(optimiser.state_dict())
    for group in optimiser.param_groups:
        group["lr"] = 0.25
    assert [g["lr"] for part in optimiser.parts for g in part.param_groups] == [0.25] * 3


def test_stacked_muon_is_torchs_muon(model):
    """Five steps with the same gradients move the weights alike (bf16 rounding apart)."""
    torch.manual_seed(1)
    shapes = [(32, 32), (48, 32), (32, 48), (32, 32)]
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    start = [p.detach().clone() for p in ours]
    one = Muon(ours, lr=0.02, weight_decay=0.1)
    other = torch.optim.Muon(
        theirs, lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    for _ in range(5):
        for left, right in zip(ours, theirs, strict=True):
            left.grad = torch.randn(left.shape)
            right.grad = left.grad.clone()
        one.step()
        other.step()
    for left, right, before in zip(ours, theirs, start, strict=True):
        assert torch.dist(left, right) < 0.02 * torch.dist(left, before)
