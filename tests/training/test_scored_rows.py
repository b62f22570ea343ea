"""Packed scores are TRL's own over padded conversations: loss, gradient and figures."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Qwen3MoeConfig,
    Qwen3NextConfig,
)
from trl import GRPOTrainer

from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.checkpoints.model import head_logits
from tinr.checkpoints.step_checkpoints import Steps
from tinr.config import TrainableConfig
from tinr.rollout.sampling_support import Support, logp_over, pack
from tinr.rollout.scoring.rewards import RewardWeights
from tinr.rollout.tools.executor import Executor
from tinr.training import head_scores
from tinr.training.adapters import adapt
from tinr.training.grpo import PolicyTrainer, make_trainer
from tinr.training.grpo_config import PolicyConfig
from tinr.training.grpo_rollout import RolloutSource
from tinr.training.head_scores import score_targets
from tinr.training.scored_rows import lay_out, longest_shared, pack_groups, score_rows

SIZES = {
    "vocab_size": 60, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "pad_token_id": 0,
    "initializer_range": 0.2, "attn_implementation": "sdpa",
}  # fmt: skip
PROMPTS = ([7, 8, 9, 10], [11, 12], [7, 8, 9])
SAID = (9, 4, 7, 1, 6, 8)  # tokens of the completions, two of each prompt
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
LINEAR = {
    "layer_types": ["linear_attention", "full_attention"], "linear_num_value_heads": 2,
    "linear_num_key_heads": 2, "linear_key_head_dim": 16, "linear_value_head_dim": 16,
}  # fmt: skip
KINDS = {  # with the tokens up to which prompts are shared
    "llama": (LlamaConfig(**SIZES), float("inf")),
    "gpt2": (
        GPT2Config(vocab_size=60, n_embd=32, n_layer=2, n_head=2, n_positions=64,
                   initializer_range=0.2),
        float("inf"),
    ),
    "window": (MistralConfig(**SIZES, sliding_window=12), 12),
    "recurrent": (Qwen3NextConfig(**SIZES, **LINEAR, **EXPERTS), 0),
}  # fmt: skip


def small(kind: str = "llama") -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(KINDS[kind][0])


def conversations(order=(3, 0, 5, 1, 4, 2)) -> dict[str, Any]:
    """A pass as TRL has it, its rows shuffled; every fourth token is the environment's."""
    torch.manual_seed(1)
    said = [torch.randint(13, 60, (n,)).tolist() for n in SAID]
    rows = [(PROMPTS[m // 2], said[m]) for m in order]
    wide, long = max(len(p) for p, _ in rows), max(len(c) for _, c in rows)

    def column(make) -> torch.Tensor:
        return torch.tensor([make(p, c, wide - len(p), long - len(c)) for p, c in rows])

    return {
        "prompt_ids": column(lambda p, c, left, right: [0] * left + p),
        "prompt_mask": column(lambda p, c, left, right: [0] * left + [1] * len(p)),
        "completion_ids": column(lambda p, c, left, right: c + [0] * right),
        "completion_mask": column(lambda p, c, left, right: [1] * len(c) + [0] * right),
        "tool_mask": column(lambda p, c, left, right: [n % 4 != 3 for n in range(long)]).long(),
        "advantages": torch.tensor([1.0, -0.5, 2.0, 0.25, 0.0, -1.5]),
        "num_items_in_batch": torch.tensor(26.0),
    }


def cut(batch: dict[str, Any], rows: slice) -> dict[str, Any]:
    return {name: value[rows] if name != "num_items_in_batch" else value
            for name, value in batch.items()}  # fmt: skip


@pytest.fixture
def trainer_of(grown, catalogue, tmp_path):
    """The trainer of a model, passes of so many of the six conversations."""

    def make(model, rows=6, **settings) -> Any:
        model.config._name_or_path = str(tmp_path / "parent")
        model.save_pretrained(tmp_path / "parent")  # the reference is loaded from there
        config = PolicyConfig(
            prompts=3, group=2, rows=rows, replay_weight=0.0, bf16=False, **settings
        )
        log: Any = SimpleNamespace(log=lambda *_: None, conversations=lambda *_: None)
        arena = RolloutSource(
            grown("tiny"), Library(catalogue, DocumentsConfig()), Executor(catalogue, {}), [],
            config, RewardWeights(), 0, log,
        )  # fmt: skip
        return make_trainer(model, arena, Steps(tmp_path))

    return make


def step(trainer, batch, size: int = 6) -> tuple[float, torch.Tensor, dict[str, float]]:
    """Loss, gradient and figures of a step in passes of so many rows."""
    trainer.model.train()
    trainer.model.zero_grad()
    trainer._metrics["train"].clear()
    trainer.current_gradient_accumulation_steps = len(batch["advantages"]) // size
    loss = 0.0
    for at in range(0, len(batch["advantages"]), size):
        part = trainer.compute_loss(trainer.model, cut(batch, slice(at, at + size)))
        part.backward()
        loss += part.item()
    moving = [p for p in trainer.model.parameters() if p.requires_grad]
    gradient = torch.cat([p.grad.flatten() for p in moving])
    figures = {name: sum(v) / len(v) for name, v in trainer._metrics["train"].items()}
    return loss, gradient, figures


def with_reference(trainer, batch) -> dict[str, Any]:
    """With what the reference makes of it, as TRL asks for it after a rollout."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    trainer.written_mask = batch["tool_mask"]
    with torch.no_grad():
        found, *_ = trainer._get_per_token_logps_and_entropies(
            trainer.ref_model, ids, mask, batch["completion_ids"].shape[1], batch_size=4
        )
    trainer.written_mask = None
    return batch | {"ref_per_token_logps": found}


CASES = {
    "plain": {},
    "temperature": {"temperature": 0.7},
    "a reference": {"beta": 0.2},
    "several passes": {"rows": 2},
    "checkpointed": {"gradient_checkpointing": True},
}


@pytest.mark.parametrize(
    ("case", "what"),
    [*((case, "all") for case in CASES), ("temperature", "rows"), ("several passes", "lora")],
)
def test_loss_gradient_and_figures_are_trls_own(trainer_of, monkeypatch, case, what):
    model = small()
    adapt(model, TrainableConfig(what, rank=4), [3, 20, 40])
    settings = CASES[case]
    trainer = trainer_of(model, **settings)
    with torch.no_grad():  # the policy has moved from its reference
        for p in model.parameters():
            p.add_(0.02 * torch.randn(p.shape))
    found = []
    for own in (True, False):
        if not own:
            theirs = GRPOTrainer._get_per_token_logps_and_entropies
            monkeypatch.setattr(PolicyTrainer, "_get_per_token_logps_and_entropies", theirs)
        batch = conversations()
        if "beta" in settings:
            batch = with_reference(trainer, batch)
        found.append(step(trainer, batch, settings.get("rows", 6)))
    (loss, gradient, figures), (expected, theirs, their_figures) = found
    assert loss == pytest.approx(expected, abs=1e-5)
    torch.testing.assert_close(gradient, theirs, rtol=1e-5, atol=1e-5)
    assert theirs.abs().max() > 1e-2
    assert figures.keys() == their_figures.keys() >= {"entropy", "clip_ratio/region_mean"}
    for name, value in figures.items():
        assert value == pytest.approx(their_figures[name], abs=1e-5), name
    assert ("kl" in figures and figures["kl"] > 1e-4) == ("beta" in settings)


def test_a_mixture_of_experts_has_trls_balancing_loss(trainer_of, monkeypatch):
    torch.manual_seed(0)
    shape = Qwen3MoeConfig(**SIZES, **EXPERTS, decoder_sparse_step=1, output_router_logits=True)
    trainer = trainer_of(AutoModelForCausalLM.from_config(shape))
    loss, gradient, figures = step(trainer, conversations())
    theirs = GRPOTrainer._get_per_token_logps_and_entropies
    monkeypatch.setattr(PolicyTrainer, "_get_per_token_logps_and_entropies", theirs)
    expected, their_gradient, their_figures = step(trainer, conversations())
    assert loss == pytest.approx(expected, abs=1e-5)
    assert figures["aux_loss"] == pytest.approx(their_figures["aux_loss"], abs=1e-5)
    torch.testing.assert_close(gradient, their_gradient, rtol=1e-4, atol=1e-5)


def narrowed(batch) -> list[Support | None]:
    """Random sets that hold what was written, at some positions of all rows but the second."""
    torch.manual_seed(2)
    supports: list[Support | None] = []
    for ids, mask in zip(batch["completion_ids"], batch["completion_mask"], strict=True):
        positions = mask.nonzero().squeeze(1)[::2]
        allowed = torch.rand(len(positions), 60) < 0.3
        allowed[torch.arange(len(positions)), ids[positions]] = True
        supports.append(Support(positions.numpy(), pack(allowed).numpy()))
    return [supports[0], None, *supports[2:]]


def test_over_less_than_the_vocabulary_it_is_the_dense_loss(trainer_of, monkeypatch):
    """Against logits of everything, masked and normalised, of the padded conversations."""
    trainer = trainer_of(small(), temperature=0.7, top_p=0.9)
    batch = conversations()
    batch["support"] = narrowed(batch)
    found = step(trainer, batch)

    def dense(self, model, ids, mask, keep, **_):
        logits = model(input_ids=ids, attention_mask=mask).logits[:, -keep - 1 : -1]
        allowed = torch.ones_like(logits, dtype=torch.bool)
        for row, support in enumerate(self.support):
            if support is not None:
                allowed[row, support.positions] = support.sets(60)
        logp = logp_over(logits, 0.7, allowed)
        entropy = -(logp.exp() * logp.masked_fill(~allowed, 0.0)).sum(-1)
        return logp.gather(-1, ids[:, -keep:, None]).squeeze(-1).nan_to_num(neginf=0), entropy, None

    monkeypatch.setattr(PolicyTrainer, "_get_per_token_logps_and_entropies", dense)
    expected = step(trainer, batch)
    assert found[0] == pytest.approx(expected[0], abs=1e-5)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-4, atol=1e-5)
    assert found[2]["entropy"] == pytest.approx(expected[2]["entropy"], abs=1e-5)
    whole = step(trainer, {**batch, "support": [None] * 6})
    assert (found[1] - whole[1]).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_every_conversation_is_scored_as_if_it_were_alone(kind):
    """Prompts are shared where the model's layers allow it, and nowhere else."""
    model, batch = small(kind).eval(), conversations()
    limit = longest_shared(model)
    assert limit == KINDS[kind][1]
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    written = (batch["completion_mask"] * batch["tool_mask"]).bool()
    rows = lay_out(ids, mask, written, 1.0, None, int(mask.sum(1).max()) <= limit)
    logps, *_ = score_rows(model, rows)
    alone = []
    for row, real in zip(ids, mask.bool(), strict=True):
        logits = model(input_ids=row[real][None]).logits[0]
        alone.append(logits[:-1].log_softmax(-1).gather(1, row[real][1:, None]).squeeze(1))
    firsts = batch["prompt_mask"].sum(1) - 1
    expected = torch.cat(
        [a[f:][w[: len(a) - f]] for a, f, w in zip(alone, firsts, written, strict=True)]
    )
    torch.testing.assert_close(logps, expected, rtol=1e-4, atol=1e-5)


def test_a_prompt_is_read_once_for_its_group():
    """Prompts of 6 + 2 and a completion each: 3 of (4, 9, 4), (2, 7, 1), (3, 6, 8)."""
    batch = conversations()
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    rows = lay_out(ids, mask, batch["completion_mask"].bool(), 1.0, None, share=True)
    assert int(rows.real.sum()) == sum(map(len, PROMPTS)) + sum(SAID)
    assert int(mask.sum()) == 2 * sum(map(len, PROMPTS)) + sum(SAID)
    assert len(rows.targets) == sum(SAID)
    assert torch.equal(rows.targets, batch["completion_ids"][batch["completion_mask"] == 1])


def tokens_of(rows, prompts, lengths) -> list[int]:
    assert sorted(m for row in rows for inside in row.values() for m in inside) == list(
        range(len(lengths))
    )
    for row in rows:
        assert all(prompts[m] == prompt for prompt, inside in row.items() for m in inside)
    return [
        sum(len(prompt) + sum(lengths[m] for m in inside) for prompt, inside in row.items())
        for row in rows
    ]


def test_rows_are_as_wide_as_their_prompts_are_worth():
    """8 prompts of 8 conversations each: read 16 times where they are long (at most 1,024 a row:
    4 completions of 100 beside 600), and rows are narrow where they are short."""
    lengths = [100] * 64
    long, short = ([(n,) * size for n in range(8) for _ in range(8)] for size in (600, 20))
    assert tokens_of(pack_groups(long, lengths), long, lengths) == [1000] * 16
    found = tokens_of(pack_groups(short, lengths), short, lengths)
    assert max(found) <= 512 and sum(found) <= 6400 + 32 * 20


def test_a_conversation_that_is_too_long_for_a_row_has_one_of_its_own():
    prompts = [(1, 2, 3)] * 3
    found = tokens_of(pack_groups(prompts, [2000, 50, 60]), prompts, [2000, 50, 60])
    assert sorted(found) in ([113, 2003], [2113])


@pytest.mark.parametrize("cap", [None, 3.0])
@pytest.mark.parametrize("chunk", [1, 120, 10_000])
def test_scores_of_a_head_are_those_of_its_logits(monkeypatch, cap, chunk):
    """Whatever is in memory at once: log-probability, entropy and all gradients."""
    model = small()
    model.lm_head.bias = torch.nn.Parameter(torch.randn(60))
    model.config.final_logit_softcapping, model.config.logits_scaling = cap, 0.5
    monkeypatch.setitem(head_scores.CHUNK, "cpu", chunk)
    torch.manual_seed(3)
    hidden = torch.randn(7, 32, requires_grad=True)
    targets, gradient = torch.randint(0, 60, (7,)), torch.tensor([1.0, 0, -2, 0.5, 0, 3, 1])
    wanted = [hidden, model.lm_head.weight, model.lm_head.bias]
    logps, entropies = score_targets(model, hidden, targets, None, 0.7)
    own = torch.autograd.grad(logps, wanted, gradient)
    dense = (head_logits(model, hidden) / 0.7).log_softmax(-1)
    theirs = dense.gather(1, targets[:, None]).squeeze(1)
    torch.testing.assert_close(logps, theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(entropies, -(dense.exp() * dense).sum(-1), rtol=1e-5, atol=1e-5)
    for one, other in zip(own, torch.autograd.grad(theirs, wanted, gradient), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert "forward" not in model.lm_head.__dict__


def test_a_pass_in_which_nothing_was_written_has_a_gradient_of_zero(trainer_of):
    trainer, batch = trainer_of(small()), conversations()
    batch["tool_mask"] = torch.zeros_like(batch["tool_mask"])
    loss, gradient, _ = step(trainer, batch)
    assert loss == 0 and gradient.abs().max() == 0
