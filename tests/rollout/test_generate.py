"""The sampler: the same tokens as plain generation, whatever the batch does."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tinr.rollout.generate import RoomyLayer, Row, generate

STOP = frozenset({5})


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=40, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, initializer_range=0.3, pad_token_id=0, eos_token_id=5,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def over(index: int, ids: list[int]) -> None:
    """An environment in which a stop is the end."""


def test_greedy_is_what_transformers_generates(model):
    """Rows of several lengths in one batch, finished rows dropped: each equals its own run."""
    prompts = [[7, 8, 9], [11], [3, 4, 6, 12, 30, 31], [2, 2]]
    rows = generate(model, prompts, over, STOP, max_tokens=160, pad=0)
    for prompt, row in zip(prompts, rows, strict=True):
        alone = model.generate(
            torch.tensor([prompt]), max_new_tokens=160, do_sample=False, eos_token_id=5
        )[0, len(prompt) :]
        assert row.ids == alone.tolist()
        assert row.finished == (row.ids[-1] == 5)


def test_a_group_shares_its_prompt_and_differs_in_its_samples(model):
    rows = generate(model, [[7, 8], [9, 9]], over, frozenset(), max_tokens=12, pad=0, group=4,
                    temperature=1.0, seed=3)  # fmt: skip
    again = generate(model, [[7, 8], [9, 9]], over, frozenset(), max_tokens=12, pad=0, group=4,
                     temperature=1.0, seed=3)  # fmt: skip
    assert [r.ids for r in rows] == [r.ids for r in again]
    assert len({tuple(r.ids) for r in rows}) == 8


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_are_those_of_the_policy(model, temperature):
    """One forward pass over the finished row gives the same log-probabilities."""
    prompt = [7, 8, 9]
    row = generate(model, [prompt], over, frozenset(), max_tokens=150, pad=0,
                   temperature=temperature, seed=1)[0]  # fmt: skip
    with torch.no_grad():
        logits = model(torch.tensor([prompt + row.ids])).logits[0, len(prompt) - 1 : -1]
    expected = torch.log_softmax(logits / temperature, -1)[torch.arange(150), row.ids]
    assert torch.allclose(torch.tensor(row.logprobs), expected, atol=1e-4)


def test_samples_follow_the_distribution(model):
    """First tokens of 4,000 samples against the model's probabilities, within 4 sigma."""
    rows = generate(model, [[7, 8]], over, frozenset(), max_tokens=1, pad=0, group=4000,
                    temperature=1.0, seed=2)  # fmt: skip
    counts = torch.bincount(torch.tensor([r.ids[0] for r in rows]), minlength=40) / 4000
    with torch.no_grad():
        p = model(torch.tensor([[7, 8]])).logits[0, -1].softmax(-1)
    assert ((counts - p).abs() <= 4 * (p * (1 - p) / 4000).sqrt() + 1e-3).all()


def test_forced_tokens_are_marked_and_seen_by_the_model(model):
    """At the first stop the environment says 20, 21: what follows is as if they were prompt."""
    prompt = [7, 8, 9]
    plain = generate(model, [prompt], over, frozenset(), max_tokens=4, pad=0)[0].ids
    stop = frozenset({plain[1]})
    first = [True]

    def answer(index: int, ids: list[int]) -> list[int] | None:
        if first and ids[-1] == plain[1]:
            first.pop()
            return [20, 21]
        return []

    row = generate(model, [prompt], answer, stop, max_tokens=8, pad=0)[0]
    cut = plain.index(plain[1]) + 1
    assert row.ids[: cut + 2] == [*plain[:cut], 20, 21]
    assert row.mask[: cut + 3] == [1] * cut + [0, 0, 1]
    after = generate(model, [prompt + row.ids[: cut + 2]], over, frozenset(), max_tokens=3, pad=0)
    assert row.ids[cut + 2 : cut + 5] == after[0].ids


def test_the_limit_counts_the_environments_tokens(model):
    row = generate(model, [[7]], lambda i, ids: [20] * 50, frozenset(range(40)), max_tokens=10,
                   pad=0)[0]  # fmt: skip
    assert len(row.ids) == len(row.mask) == len(row.logprobs) == 10
    assert not row.finished and sum(row.mask) == 1


def test_a_roomy_layer_is_a_plain_one_with_less_copying():
    """Appending, repeating and selecting rows gives the same keys as concatenation."""
    layer, keys = RoomyLayer(), []
    for step in (3, 1, 1, 200, 1):
        new = torch.randn(2, 1, step, 4)
        keys.append(new)
        got, _ = layer.update(new, new)
        assert torch.equal(got, torch.cat(keys, 2))
    layer.batch_select_indices(torch.tensor([1]))
    assert layer.room is None, "the room of the rows that left goes with them"
    new = torch.randn(1, 1, 1, 4)
    got, _ = layer.update(new, new)
    assert torch.equal(got, torch.cat([torch.cat(keys, 2)[1:], new], 2))


def test_an_empty_row_is_unfinished():
    assert Row().finished is False and Row().ids == []
