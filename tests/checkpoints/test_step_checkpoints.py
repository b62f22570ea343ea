"""Step checkpoints: a run that was killed goes on as if nothing had happened."""

import json
from pathlib import Path

import pytest
import torch
from registry_parts import make_card
from transformers import LlamaConfig, LlamaForCausalLM

from phases.sft import SftConfig
from tinr.checkpoints.fingerprint import contents
from tinr.checkpoints.registry import Registry
from tinr.checkpoints.step_checkpoints import WHOLE, Steps
from tinr.config import OptimiserConfig, TrainableConfig, TrainingConfig
from tinr.data.packing import Example, collate
from tinr.records import BadInput
from tinr.run_log import RunLog, read_log
from tinr.training.loop import Progress
from tinr.training.phase_run import Phase, PhaseConfig
from tinr.training.supervised import train


def fresh_model():
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=60,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            tie_word_embeddings=True,
            pad_token_id=0,
        )
    )


def batches(count=24):
    """Batches of different lengths, so that a wrong order would show in the losses."""
    made = []
    for n in range(count):
        ids = [(7 * n + 3 * k) % 59 + 1 for k in range(8 + n)]
        made.append(collate([[Example(ids, ids)]], 0))
    return made


def run(folder: Path, tokenizer, config: TrainingConfig, stop_after: int = 0, what: str = "all"):
    """Train below `folder`; with `stop_after` the process "dies" after that step."""
    steps = Steps(folder / "steps")

    class Killed(Exception):
        pass

    kept = Progress.on_step_end

    def dying(self, args, state, control, **kwargs):
        if state.global_step == stop_after:
            raise Killed
        return kept(self, args, state, control, **kwargs)

    Progress.on_step_end = dying
    try:
        with RunLog(folder, "align", {}, done=steps.done) as log:
            return train(
                fresh_model(), tokenizer, batches(), config, 3, log, "test", steps,
                TrainableConfig(what, rank=4), [3, 40],
            )  # fmt: skip
    except Killed:
        return None
    finally:
        Progress.on_step_end = kept


@pytest.mark.parametrize(
    ("name", "stop_after", "what"),
    [
        ("adamw", 4, "all"),
        ("adamw", 11, "all"),
        ("muon", 17, "all"),
        ("adamw", 11, "lora"),
        ("adamw", 17, "rows"),
    ],
)
def test_a_killed_run_ends_with_the_same_bits(tmp_path, tiny_tokenizer, name, stop_after, what):
    """Weights and every logged loss are those of the undisturbed run, bit by bit."""
    config = TrainingConfig(
        optimiser=OptimiserConfig(name=name, learning_rate=0.01), checkpoint_steps=5, bf16=False
    )
    whole = run(tmp_path / "whole", tiny_tokenizer, config, what=what)
    assert run(tmp_path / "cut", tiny_tokenizer, config, stop_after, what) is None
    assert Steps(tmp_path / "cut" / "steps").done == stop_after // 5 * 5
    again = run(tmp_path / "cut", tiny_tokenizer, config, what=what)
    assert again.steps == whole.steps == 24 and again.tokens == whole.tokens
    assert again.loss == whole.loss
    for (key, one), other in zip(
        whole.model.state_dict().items(), again.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), key
    losses = [
        [(row["step"], row["train/loss"]) for row in read_log(tmp_path / run_ / "align.jsonl")]
        for run_ in ("whole", "cut")
    ]
    assert losses[0] == losses[1] and len(losses[0]) > 3


def test_a_finished_run_whose_gate_was_missed_trains_no_step_again(tmp_path, tiny_tokenizer):
    config = TrainingConfig(optimiser=OptimiserConfig(learning_rate=0.01), bf16=False)
    first = run(tmp_path, tiny_tokenizer, config)
    assert Steps(tmp_path / "steps").done == 24
    second = run(tmp_path, tiny_tokenizer, config, stop_after=1)  # would die if it trained
    assert second.loss == first.loss and second.steps == 24


def test_a_step_checkpoint_that_is_not_whole_is_not_used(tmp_path):
    steps = Steps(tmp_path)
    for step in (5, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
    steps.complete(5)  # the process dies before it completes the other
    assert steps.done == 5
    with Steps(tmp_path).held():
        assert not (tmp_path / "checkpoint-10").exists()
        assert (tmp_path / "checkpoint-5").exists()


@pytest.mark.parametrize("cut", ["", "{", "[]", "{}"])
def test_what_says_that_it_is_whole_may_be_cut_too(tmp_path, cut):
    """The machine lost power: the step checkpoint before it is the newest."""
    steps = Steps(tmp_path)
    for step in (5, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
        steps.complete(step)
    (tmp_path / "checkpoint-10" / WHOLE).write_text(cut)
    assert Steps(tmp_path).done == 5
    with Steps(tmp_path).held():
        assert not (tmp_path / "checkpoint-10").exists()


def test_the_time_of_earlier_starts_counts(tmp_path):
    (tmp_path / "checkpoint-5").mkdir()
    (tmp_path / "checkpoint-5" / WHOLE).write_text(json.dumps({"step": 5, "seconds": 100.0}))
    assert 100.0 <= Steps(tmp_path).seconds < 101.0


def test_two_runs_of_the_same_settings_do_not_write_over_each_other(tmp_path):
    first, second = Steps(tmp_path), Steps(tmp_path)
    with first.held(), pytest.raises(BadInput, match="running already"), second.held():
        pass
    with Steps(tmp_path).held():  # the first has ended
        pass


def test_a_run_goes_on_with_as_many_ranks_as_it_began_with(tmp_path, monkeypatch):
    steps = Steps(tmp_path)
    (tmp_path / "checkpoint-5").mkdir()
    steps.complete(5)
    monkeypatch.setattr("tinr.distributed.world", lambda: 2)
    with pytest.raises(BadInput, match="started with 1 ranks, not 2"), steps.held():
        pass
    assert steps.done == 5


def test_a_run_that_holds_its_place_may_hold_it_again_within(tmp_path):
    steps, other = Steps(tmp_path), Steps(tmp_path)
    with steps.held():
        with steps.held():
            pass
        with pytest.raises(BadInput, match="running already"), other.held():
            pass
    with other.held():
        pass


def test_a_second_start_of_a_running_phase_leaves_its_log_alone(tmp_path, catalogue):
    """It is refused before it opens the log."""
    config, registry = PhaseConfig(run=str(tmp_path / "run")), Registry(tmp_path)
    parent = registry.publish(make_card(), lambda at: (at / "weights").write_text("x"))
    stages = [
        Phase("align", config, catalogue, registry, parent, tmp_path, "f", steps)
        for steps in (Steps(tmp_path / "steps"), Steps(tmp_path / "steps"))
    ]
    with stages[0].log() as log:
        log.log(5, {"train/loss": 1.0})
        with pytest.raises(BadInput, match="running already"), stages[1].log():
            pass
        log.log(10, {"train/loss": 0.5})
    assert [row["step"] for row in read_log(log.path)] == [5, 10]


def test_a_run_is_known_by_what_its_file_of_queries_holds(tmp_path):
    file = tmp_path / "queries.jsonl"
    config = SftConfig(queries=str(file))
    assert contents(SftConfig()) == contents(config) == []  # a name, and no file yet
    file.write_text("one")
    first = contents(config)
    file.write_text("two")
    assert first != contents(config) != []
