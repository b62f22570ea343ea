"""The GRPO loop's own parts: which groups are used, and what TRL is handed."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from tinr.executor import Executor
from tinr.policy import Arena, PolicyConfig
from tinr.records import Call, Message, Query, Reply, Score
from tinr.retrieval import DocumentsConfig, Library
from tinr.rewards import RewardWeights
from tinr.rollout import Conversation
from tinr.runlog import CONVERSATION
from tinr.sampler import Row
from tinr.tokens import Piece

QUERIES = [Query(f"q{n}", f"Area {n}?", ((Call("circle_area", {"radius": n}),),)) for n in range(9)]


def scores(*totals: float) -> list[Score]:
    return [Score(total, total, None, total) for total in totals]


@pytest.fixture
def arena(grown, catalogue):
    rows = []
    log = SimpleNamespace(log=lambda step, values: rows.append((step, values)))
    config = PolicyConfig(prompts=2, group=2, oversample=2.0)
    library = Library(catalogue, DocumentsConfig())
    made = Arena(
        grown("tiny"), library, Executor(catalogue, {}), QUERIES, config, RewardWeights(), 0, log
    )
    return made, rows


def test_groups_with_spread_go_before_flat_ones(arena):
    """Groups of two: (1,1) flat, (0,1) spread, (0,0) flat, (1,0) spread; two are wanted."""
    kept = arena[0]._with_spread(scores(1, 1, 0, 1, 0, 0, 1, 0), wanted=2)
    assert kept == [2, 3, 6, 7]


def test_flat_groups_fill_up_where_spread_is_short(arena):
    assert arena[0]._with_spread(scores(1, 1, 0, 1, 0, 0), wanted=2) == [2, 3, 0, 1]


def test_too_few_groups_are_repeated_not_missing(arena):
    assert arena[0]._with_spread(scores(0, 1), wanted=3) == [0, 1] * 3


def test_the_draw_is_decided_by_seed_step_and_rank(arena):
    draw = arena[0]._draw
    assert draw(4, step=3, rank=0) == draw(4, step=3, rank=0)
    assert draw(4, 3, 0) != draw(4, 4, 0) and draw(4, 3, 0) != draw(4, 3, 1)
    assert len({q.id for q in draw(9, 0, 0)}) == 9


def test_the_log_keeps_the_first_try_at_the_first_queries_now_and_then(arena):
    """Four of six groups of two; at step 7 nothing, at step 21 a sample."""
    made, _ = arena
    kept = []
    made.log.conversations = lambda step, rows: kept.append((step, rows))
    row = Row(ids=[5], mask=[1], finished=True)
    query = replace(QUERIES[1], history=(Message("user", "Hi"),))
    done = [
        Conversation(q, (3,), row, Reply(), (Piece(f"{q.id}/{member}"),))
        for q in (QUERIES[0], query, *QUERIES[2:6])
        for member in range(2)
    ]
    given = [Score(1.0, 0.5, None, 0.75)] * 12
    made._log(7, done, given)
    assert kept == []
    made._log(21, done, given)
    [(step, rows)] = kept
    assert step == 21 and [r["reply"] for r in rows] == ["q0/0", "q1/0", "q2/0", "q3/0"]
    assert set(rows[0]) == set(CONVERSATION)
    assert rows[0]["prompt"] == "Area 0?" and rows[1]["prompt"] == "user: Hi\nArea 1?"
    assert (rows[0]["total"], rows[0]["answer"]) == (0.75, None)


def test_trl_is_handed_ids_masks_and_scores_side_by_side(arena):
    row = Row(ids=[5, 6, 7], mask=[1, 0, 1], logprobs=[0.0] * 3)
    done = Conversation(QUERIES[0], (3, 4), row, Reply(), ())
    handed = arena[0]._as_trl([(done, Score(1.0, 0.5, None, 0.75))])
    assert handed["completion_ids"] == [[5, 6, 7]] and handed["env_mask"] == [[1, 0, 1]]
    assert handed["total_score"] == [0.75] and handed["answer_score"] == [None]
    assert handed["prompt_ids"] == [[3, 4]]


def test_each_reward_is_logged_apart_and_unscored_answers_are_left_out(arena):
    made, rows = arena
    row = Row(ids=[5] * 4, mask=[1] * 4, finished=True)
    done = [Conversation(QUERIES[0], (3, 4), row, Reply(), ())] * 4
    given = [Score(1.0, 0.5, None, 0.75), Score(1.0, 0.5, 1.0, 0.9), *scores(0.5, 0.5)]
    made._log(7, done, given)
    step, values = rows[0]
    assert step == 7
    assert values["reward/format"] == pytest.approx((1 + 1 + 0.5 + 0.5) / 4)
    assert values["reward/answer"] == 1.0  # one of four could be scored
    assert values["rollout/flat_groups"] == 0.5
    assert values["rollout/length"] == 4
    assert values["rollout/tool_faults"] == 0
