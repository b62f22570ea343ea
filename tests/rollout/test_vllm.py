"""Rollouts by a server: a local model stands in for it."""

import copy
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tinr.records import BadInput, RunFailed
from tinr.rollout.generate import generate
from tinr.rollout.vllm import PROBED, STALE_ROLLOUTS, Served, connect

STOPS = frozenset({5, 7, 9, 11})


class Fake:
    """Greedy completions up to a stop, as vLLM gives them: the stop id included."""

    def __init__(self, model: Any):
        self.model = model
        self.asked: list[dict[str, Any]] = []

    def generate(self, prompts: list[list[int]], **settings: Any) -> dict[str, Any]:
        self.asked.append(settings)
        stops = set(settings.get("generation_kwargs", {}).get("stop_token_ids", ()))
        given: dict[str, Any] = {"completion_ids": [], "logprobs": []}
        for prompt in prompts:
            ids, logprobs = list(prompt), []
            for _ in range(settings["max_tokens"]):
                with torch.no_grad():
                    logp = self.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
                ids.append(int(logp.argmax()))
                logprobs.append([float(logp.max())])
                if ids[-1] in stops:
                    break
            given["completion_ids"].append(ids[len(prompt) :])
            given["logprobs"].append(logprobs)
        return given


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(5)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=14, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=2, pad_token_id=0, initializer_range=0.6,
        )
    ).eval()  # fmt: skip


def respond(index: int, ids: list[int]) -> list[int] | None:
    """An environment that answers the first stop with two tokens and ends at the second."""
    stops = [i for i in ids if i in STOPS]
    return [3, 4] if len(stops) == 1 else None


PROMPTS = [[1, 2, 3], [4, 5], [6, 1, 9, 2], [8], [12, 2], [10, 13, 1]]


def test_the_rows_are_those_of_the_local_sampler(model):
    """Greedy, with an environment that answers in between: the same ids, masks and endings."""
    settings: dict[str, Any] = {"max_tokens": 24, "pad": 0, "group": 2}
    local = generate(model, PROMPTS, respond, STOPS, **settings)
    served = Served(Fake(model))(model, PROMPTS, respond, STOPS, **settings)
    assert [(r.ids, r.mask, r.finished) for r in served] == [
        (r.ids, r.mask, r.finished) for r in local
    ]
    assert any(0 in row.mask for row in local) and any(row.finished for row in local)
    assert all(len(r.ids) == len(r.mask) == len(r.logprobs) <= 24 for r in served)


def test_a_server_that_keeps_old_weights_is_found_out(model):
    served = Served(Fake(model))
    for _ in range(STALE_ROLLOUTS):
        served.check(PROMPTS[0])
    with pytest.raises(RunFailed, match="do not reach it"):
        served.check(PROMPTS[0])


def test_a_server_whose_weights_move_is_fine(model):
    fake = Fake(copy.deepcopy(model))
    served = Served(fake)
    for _ in range(3 * STALE_ROLLOUTS):
        served.check(PROMPTS[0])
        with torch.no_grad():
            fake.model.lm_head.weight.mul_(1.001)  # a step of the policy


def test_what_a_model_is_certain_of_says_nothing(model):
    """After sft the first tokens of a reply have log-probability 0, however the weights move."""
    certain = copy.deepcopy(model)
    with torch.no_grad():
        certain.lm_head.weight.mul_(1000)
    fake = Fake(certain)
    served = Served(fake)
    for _ in range(3 * STALE_ROLLOUTS):
        served.check(PROMPTS[0])
    assert fake.generate([PROMPTS[0][:2]], max_tokens=PROBED)["logprobs"][0] == [[0.0]] * PROBED


def test_nothing_is_asked_for_beyond_the_room_of_a_row(model):
    """A row that is long already is asked for less than others; every id stays the same."""
    fake, settings = Fake(model), {"max_tokens": 24, "pad": 0}
    generate_one, asked = fake.generate, []

    def bounded(prompts, **given):
        asked.append((prompts, given["max_tokens"]))
        return generate_one(prompts, **given)

    fake.generate = bounded  # type: ignore[method-assign]
    served = Served(fake)(model, PROMPTS, respond, STOPS, **settings)
    local = generate(model, PROMPTS, respond, STOPS, **settings)
    assert [r.ids for r in served] == [r.ids for r in local]
    first = {tuple(prompt): len(prompt) for prompt in PROMPTS}
    assert len(asked) > 1
    for prompts, room in asked:
        for prompt in prompts:
            own = next(n for begin, n in first.items() if tuple(prompt[:n]) == begin)
            assert len(prompt) - own + room <= 24


def test_a_server_that_writes_nothing_ends_the_run(model):
    class Silent(Fake):
        def generate(self, prompts, **settings):
            return {"completion_ids": [[] for _ in prompts], "logprobs": [[] for _ in prompts]}

    with pytest.raises(RunFailed, match="wrote nothing"):
        Served(Silent(model))(model, PROMPTS, respond, STOPS, max_tokens=24, pad=0)


def test_without_vllm_the_message_says_what_to_do():
    with pytest.raises(BadInput, match="vLLM is not installed"):
        connect("http://nowhere:1")
