"""Rejection sampling: a budget of written tokens, right replies alone, and the phase around it."""

from collections import Counter

import pytest

from tinr.chat.codec import IGNORE
from tinr.chat.parse import parse
from tinr.data.traces import render_trace
from tinr.records import Call, Query
from tinr.rollout.conversation import Conversation, make_prompts
from tinr.rollout.generate import Row
from tinr.training.preference import rejection
from tinr.training.preference.rejection import SamplingConfig, sample_right

RIGHT, WRONG = Call("circle_area", {"radius": 2}), Call("circle_area", {"radius": 7})
QUERIES = [Query(f"q{n}", f"Radius {n}?", ((RIGHT,),), answer=None) for n in range(3)]


@pytest.fixture
def drawn(grown, catalogue, monkeypatch):
    """Scripted replies: the first of a query's two is right, the second wrong; 3 tokens each."""
    codec = grown("tiny")
    seeds: list[int] = []

    def converse(model, codec_, queries, catalogue_, executor, *, group, seed, **settings):
        seeds.append(seed)
        prompts = make_prompts(codec, queries, [()] * len(queries))
        done = []
        for query, prompt in zip(queries, prompts, strict=True):
            for number in range(group):
                call = WRONG if number else RIGHT
                said = render_trace(Query("x", "", ((call,),)), catalogue, codec.frame)
                reply = parse([piece for piece in said if piece.learn])
                ids = [7 + seed % 50, number, 9]  # another seed, another reply
                row = Row([*ids, 3], [1, 1, 0, 1], [0.0] * 4, True)
                done.append(Conversation(query, prompt, row, reply, ()))
        return done

    monkeypatch.setattr(rejection, "converse", converse)
    monkeypatch.setattr(rejection, "CHUNK", 2)
    return codec, seeds


class Model:
    def eval(self):
        pass


def sample(codec, catalogue, folder, **settings):
    config = SamplingConfig(samples=2, **settings)
    return sample_right(Model(), codec, QUERIES, catalogue, None, config, folder, 5)  # type: ignore[arg-type]


def test_every_written_token_counts_and_right_replies_alone_are_kept(drawn, catalogue, tmp_path):
    """3 tokens of a reply are the model's, one is the environment's: 20 replies are 60, which is
    less than the budget of 61, so a 21st counts."""
    codec, seeds = drawn
    found = sample(codec, catalogue, tmp_path, budget=61, most=9)
    assert (found.replies, found.tokens) == (21, 63)
    assert found.right == 11 and len(found.examples) == 11
    assert len(set(seeds)) == len(seeds) == 7  # chunks of 2 and 1 queries: 6 replies a pass
    example = found.examples[0]
    prompt = len(example.ids) - 4
    assert list(example.labels) == [IGNORE] * prompt + [example.ids[prompt], 0, IGNORE, 3]


def test_repetitions_and_more_than_enough_of_a_query_are_not_kept(drawn, catalogue, tmp_path):
    codec, _ = drawn
    found = sample(codec, catalogue, tmp_path, budget=180, most=2)
    assert found.right == 30 and len(found.examples) == 6
    assert found.queries == {"q0", "q1", "q2"}
    assert max(Counter(tuple(e.ids) for e in found.examples).values()) == 1


def test_a_killed_run_draws_only_what_is_missing(drawn, catalogue, tmp_path):
    codec, seeds = drawn
    whole = sample(codec, catalogue, tmp_path, budget=40)
    asked = len(seeds)
    (tmp_path / "replies-000001.json").unlink()
    again = sample(codec, catalogue, tmp_path, budget=40)
    assert len(seeds) == asked + 1
    assert again.spent | {"seconds": 0} == whole.spent | {"seconds": 0}
