"""The GRPO loop's own parts: which groups are used, and what TRL is handed."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from phases.grpo import GrpoConfig, draw_queries
from tinr.catalogue.load import query_line, write_jsonl
from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.chat.codec import Piece
from tinr.checkpoints.step_checkpoints import Steps
from tinr.config import TrainableConfig
from tinr.records import BadInput, Call, Message, Query, Reply, Score
from tinr.rollout.conversation import Conversation, fitting_queries
from tinr.rollout.generate import Row, generate
from tinr.rollout.scoring.rewards import RewardWeights
from tinr.rollout.tools.executor import Executor
from tinr.run_log import CONVERSATION, RunLog, read_log
from tinr.training.grpo import make_trainer, train_policy
from tinr.training.grpo_config import PolicyConfig
from tinr.training.grpo_rollout import RolloutSource

QUERIES = [Query(f"q{n}", f"Area {n}?", ((Call("circle_area", {"radius": n}),),)) for n in range(9)]


def test_of_the_queries_without_a_tool_one_in_so_many_is_asked(catalogue, tmp_path):
    lines = [query_line(q if n % 3 else Query(f"n{n}", "Hi.")) for n, q in enumerate(QUERIES)]
    write_jsonl(tmp_path / "q.jsonl", lines)
    config = GrpoConfig(queries=str(tmp_path / "q.jsonl"), no_tool_every=3, pseudo=0)
    phase: Any = SimpleNamespace(catalogue=catalogue, name="grpo")
    for first in (lines, lines[1:], lines[2:]):
        write_jsonl(tmp_path / "q.jsonl", first)
        kept, _ = draw_queries(config, phase)
        bare = [query.id for query in kept if not query.calls]
        assert len(bare) == 1 and len(kept) == 1 + sum(bool(one["calls"]) for one in first)


def scores(*totals: float) -> list[Score]:
    return [Score(total=total, format=total, tool=total) for total in totals]


@pytest.fixture
def arena(grown, catalogue):
    rows = []
    log = SimpleNamespace(log=lambda step, values: rows.append((step, values)))
    config = PolicyConfig(prompts=2, group=2, oversample=2.0)
    library = Library(catalogue, DocumentsConfig())
    made = RolloutSource(
        grown("tiny"), library, Executor(catalogue, {}), QUERIES, config, RewardWeights(), 0, log
    )
    return made, rows


def test_a_rollout_is_scored_with_the_catalogue_s_defaults(arena):
    """`digits` is 2 where it is left out: the call that says so is the reference's."""
    for digits, right in ((2, True), (3, False)):
        call = Call("circle_area", {"radius": 0, "digits": digits})
        reply = Reply(named=("circle_area",), calls=(call,), response="0", observed=True)
        [found] = arena[0]._score([Conversation(QUERIES[0], [], Row(), reply, ())], 1)
        assert (found.tool == 1.0) is right


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
    given = [Score(total=0.75, format=1.0, tool=0.5)] * 12
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
    handed = arena[0]._as_trl([(done, Score(total=0.75, format=1.0, tool=0.5))])
    assert handed["completion_ids"] == [[5, 6, 7]] and handed["env_mask"] == [[1, 0, 1]]
    assert handed["total_score"] == [0.75]
    assert handed["prompt_ids"] == [[3, 4]]


def test_each_reward_is_logged_apart_and_unscored_answers_are_left_out(arena):
    made, rows = arena
    row = Row(ids=[5] * 4, mask=[1] * 4, finished=True)
    done = [Conversation(QUERIES[0], (3, 4), row, Reply(), ())] * 4
    given = [
        Score(total=0.75, format=1.0, tool=0.5),
        Score(total=0.9, format=1.0, tool=0.5, answer=1.0),
        *scores(0.5, 0.5),
    ]
    made._log(7, done, given)
    step, values = rows[0]
    assert step == 7
    assert values["reward/format"] == pytest.approx((1 + 1 + 0.5 + 0.5) / 4)
    assert values["reward/answer"] == 1.0  # one of four could be scored
    assert values["rollout/flat_groups"] == 0.5
    assert values["rollout/length"] == 4
    assert values["rollout/tool_faults"] == 0


# -- what was sampled from is what the loss is over ----------------------------------------

NARROW = {"temperature": 0.7, "top_p": 0.9, "constrained": True}


def opening(codec, documents):
    """The sampler, with an environment that opens a tag early in every row, in turn."""
    plain = frozenset(range(5, 1000))
    tags = [codec.id("<tool_call>"), codec.id("<tool_token>")]

    def engine(model, prompts, respond, stops, **settings):
        opened = set()

        def answer(row, ids):
            if ids[-1] not in plain:
                return respond(row, ids)
            first = row not in opened
            opened.add(row)
            return [tags[row % 2]] if first else []

        return generate(model, prompts, answer, stops | plain, **settings)

    return engine


@pytest.fixture
def parts_with(grown, catalogue):
    """A small random model in float32, and an arena of 8 rows at once with that log."""

    def make(log, **settings):
        codec = grown("tiny")
        config = PolicyConfig(
            prompts=2,
            group=4,
            oversample=1.0,
            max_tokens=48,
            bf16=False,
            **{"rows": 4, "replay_weight": 0.0, **settings},
        )
        torch.manual_seed(0)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(codec.tokenizer) + 6, hidden_size=32, intermediate_size=64,
                num_hidden_layers=2, num_attention_heads=2, initializer_range=0.1,
                pad_token_id=codec.pad,
            )
        )  # fmt: skip
        arena = RolloutSource(
            codec, Library(catalogue, DocumentsConfig()), Executor(catalogue, {}), QUERIES, config,
            RewardWeights(), 0, log, opening(codec, catalogue),
        )  # fmt: skip
        return model, arena

    return make


@pytest.fixture
def trainer_with(parts_with, tmp_path):
    """The trainer of such an arena, before any step."""
    silent = SimpleNamespace(log=lambda *_: None, conversations=lambda *_: None)
    return lambda **settings: make_trainer(*parts_with(silent, **settings), Steps(tmp_path))


@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_what_the_trainer_finds_of_the_policy_is_logged(parts_with, tmp_path, beta):
    """Entropy at every step; KL to the parent where it has a weight."""
    with RunLog(tmp_path, "grpo", {}) as log:
        model, arena = parts_with(log, beta=beta, steps=2)
        model.save_pretrained(tmp_path / "parent")  # where a phase has loaded it from
        model.config._name_or_path = str(tmp_path / "parent")
        train_policy(model, arena, iter(()))
    rows = [row for row in read_log(tmp_path / "grpo.jsonl") if "train/loss" in row]
    assert [row["step"] for row in rows] == [1, 2]
    assert all(row["rollout/entropy"] > 0 for row in rows)
    assert [("rollout/kl" in row) for row in rows] == [beta > 0] * 2


def batches(trainer) -> list[dict]:
    """The batches that TRL makes of one rollout: scored, shuffled and split."""
    given = [{"prompt": str(n // 4)} for n in range(8)]
    trainer.model.train()
    first = trainer._prepare_inputs(given)
    assert first is trainer._buffered_inputs[0]
    return trainer._buffered_inputs


def ratios(trainer, batch, carried=True) -> torch.Tensor:
    """exp(new - old) at the positions that the model wrote, as the loss would have it."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    trainer.support = batch["support"] if carried else None
    with torch.no_grad():
        new, *_ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, batch["completion_ids"].shape[1]
        )
    trainer.support = None
    written = (batch["completion_mask"] * batch["tool_mask"]).bool()
    return (new - batch["sampling_per_token_logps"]).exp()[written]


def test_before_a_step_the_ratio_is_one(trainer_with):
    """Constrained, at temperature 0.7 and top-p 0.9, in float32: within 1e-6 everywhere."""
    trainer = trainer_with(**NARROW)
    found = torch.cat([ratios(trainer, batch) for batch in batches(trainer)])
    assert len(found) > 250
    assert (found - 1).abs().max() <= 1e-6


@pytest.mark.parametrize("narrow", [{"constrained": True}, {"top_p": 0.9}])
def test_the_ratio_is_off_where_the_support_is_not_carried(trainer_with, narrow):
    """What TRL would do of itself: probabilities over the whole vocabulary."""
    trainer = trainer_with(temperature=0.7, **narrow)
    made = batches(trainer)
    right = torch.cat([ratios(trainer, batch) for batch in made])
    wrong = torch.cat([ratios(trainer, batch, carried=False) for batch in made])
    assert (right - 1).abs().max() <= 2e-6  # 1.4e-6 on a processor with AVX2 alone
    assert (wrong - 1).abs().max() > 0.05 and wrong.max() <= 1 + 1e-4


def test_each_row_keeps_its_own_support_through_shuffle_and_split(trainer_with):
    """What was written is in its set at every position; a neighbour's sets would not hold it."""
    entries = 0
    for batch in batches(trainer_with(**NARROW)):
        rows = zip(batch["completion_ids"], batch["tool_mask"], batch["support"], strict=True)
        for ids, mask, support in rows:
            sets = support.sets(2048)
            assert sets[torch.arange(len(sets)), ids[support.positions]].all()
            assert mask[support.positions].all()
            entries += len(sets)
    assert entries > 250


def test_the_gradient_is_that_of_the_policy_that_sampled(trainer_with):
    """Row by row, unpadded: the sum of advantage * log p over what each token was drawn from."""
    trainer = trainer_with(**NARROW)
    batch = batches(trainer)[0]
    batch["advantages"] = torch.tensor([1.0, -0.5, 2.0, 0.25])
    trainer.current_gradient_accumulation_steps = 1
    weights = list(trainer.model.parameters())
    loss = trainer.compute_loss(trainer.model, batch)
    got = torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)])
    expected = 0.0
    for row, support in enumerate(batch["support"]):
        prompt = batch["prompt_ids"][row][batch["prompt_mask"][row] == 1]
        said = batch["completion_ids"][row][batch["completion_mask"][row] == 1]
        logits = trainer.model(torch.cat([prompt, said])[None]).logits[0, len(prompt) - 1 : -1]
        logits = logits[support.positions] / 0.7
        outside = ~support.sets(logits.shape[-1])
        logp = logits.masked_fill(outside, -torch.inf).log_softmax(-1)
        chosen = logp[torch.arange(len(logp)), said[support.positions]]
        expected = expected - batch["advantages"][row] * chosen.sum()
    by_hand = torch.cat([g.flatten() for g in torch.autograd.grad(expected, weights)])
    assert torch.cosine_similarity(got, by_hand, 0) > 1 - 1e-5
    assert trainer.support is None


def test_as_before_nothing_is_carried_where_all_is_sampled_from(trainer_with):
    batch = batches(trainer_with())[0]
    assert "support" not in batch and "sampling_per_token_logps" not in batch


@pytest.mark.parametrize("top_p", [0.0, -1.0, 1.5])
def test_a_share_that_is_none_is_refused(top_p):
    with pytest.raises(BadInput, match=r"policy\.top_p"):
        PolicyConfig(top_p=top_p)


@pytest.mark.parametrize("narrow", [{"constrained": True}, {"top_p": 0.9}])
def test_a_server_is_refused_where_less_than_all_is_sampled_from(narrow):
    with pytest.raises(BadInput, match=r"policy\.vllm"):
        PolicyConfig(vllm="http://host:8000", **narrow)


WRONG = {
    "a group of one": {"group": 1},
    "no rows": {"rows": 0},
    "no steps": {"steps": 0},
    "no heat": {"temperature": 0.0},
    "passes that leave prompts out": {"prompts": 5, "group": 8, "rows": 32},
    "no documents mode": {"documents": ()},
}


@pytest.mark.parametrize("case", WRONG)
def test_settings_that_cannot_be_trained_with_are_refused(case):
    with pytest.raises(BadInput, match="policy"):
        PolicyConfig(**WRONG[case])


@pytest.mark.parametrize("rows", [4, 2])
def test_how_many_rows_a_pass_takes_changes_neither_gradient_nor_replay(trainer_with, rows):
    """As one pass of all 8 rows: the same gradient, and one batch of replay a step."""
    whole, replayed = step_gradient(trainer_with(rows=8, replay_weight=0.5))
    parts, again = step_gradient(trainer_with(rows=rows, replay_weight=0.5))
    assert replayed == again == 1
    assert torch.allclose(whole, parts, atol=1e-6) and whole.abs().max() > 1e-3


def step_gradient(trainer) -> tuple[torch.Tensor, int]:
    """The gradient of one step, its passes added up, and how often replay was asked for.

    What is replayed pulls every weight to 0 with half its size.
    """
    asked = []

    def pull(model, device):
        asked.append(1)
        return sum((p**2).sum() for p in model.parameters())

    trainer.replayed_loss = pull
    passes = trainer.args.gradient_accumulation_steps
    trainer.current_gradient_accumulation_steps = passes
    given = batches(trainer)
    for number in range(passes):
        trainer.accelerator.gradient_state._set_sync_gradients(number == passes - 1)
        trainer.compute_loss(trainer.model, given[number]).backward()
    return torch.cat([p.grad.flatten() for p in trainer.model.parameters()]), len(asked)


def test_queries_that_do_not_fit_are_left_out_before_the_first_step(arena):
    made, _ = arena
    limit = 400
    model: Any = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=limit))
    long = replace(QUERIES[0], id="long", text="circle " * 400)
    given = (model, made.codec, made.library)
    with pytest.warns(UserWarning, match=f"1 of {len(QUERIES) + 1} queries are excluded: 'long'"):
        kept = fitting_queries(*given, [*QUERIES, long], ("none",), 48)
    assert kept == list(QUERIES)
    with pytest.raises(BadInput, match=r"no query fits: .*policy\.max_tokens"):
        fitting_queries(*given, [long], ("none",), limit)


def test_a_server_takes_whole_weights_alone():
    with pytest.raises(BadInput, match="a server needs training of all weights"):
        GrpoConfig(policy=PolicyConfig(vllm="http://h:1"), trainable=TrainableConfig("lora"))
