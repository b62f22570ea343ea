"""The formulas of preflight: by hand for one small model, and against measured peaks."""

import gc
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from tests.preflight_parts import GROWTH, small
from tinr.chat.codec import IGNORE
from tinr.config import OptimiserConfig, TrainableConfig, TrainingConfig
from tinr.data.packing import Example, make_batches
from tinr.planning.preflight.memory import (
    Load,
    Pass,
    Setup,
    head_bytes,
    heaviest_only,
    layer_bytes,
    memory_of,
    pass_bytes,
)
from tinr.planning.preflight.shape import shape_of
from tinr.planning.preflight.zero import NAMED, Zero, zero_of
from tinr.records import BadInput
from tinr.run_log import RunLog
from tinr.training.supervised import train

# A layer: queries and output 64 x 64 = 4,096 each, keys and values 64 x 32 = 2,048 each, three
# matrices of the MLP 64 x 128 = 8,192 each: 36,864; two norms of 64. Two layers, the last norm
# and a table of 1,000 x 64: 2 (36,864 + 128) + 64 + 64,000 = 138,048.


def test_parameters_before_and_after_growth():
    shape = small()
    assert shape.parameters == 138_048
    assert shape.before == 138_048 - 100 * 64
    assert shape.matrices == 73_728
    assert small(tie_word_embeddings=False).parameters == 138_048 + 64_000
    assert small(tie_word_embeddings=False).before == 138_048 + 64_000 - 2 * 6_400


def test_trainable_parameters():
    # rank 4: in + out is 128 (q, o), 96 (k, v), 192 (gate, up, down): 1,024 a layer, times 4 and
    # 2 layers: 8,192; new rows 100 x 64 = 6,400, twice where there are two tables
    shape = small()
    assert shape.moving(TrainableConfig()) == 138_048
    assert shape.moving(TrainableConfig("rows")) == 6_400
    assert shape.moving(TrainableConfig("lora", rank=4)) == 8_192 + 6_400
    queries = TrainableConfig("lora", rank=4, targets=("q_proj",))
    assert shape.moving(queries) == 4 * 128 * 2 + 6_400
    assert small(tie_word_embeddings=False).moving(TrainableConfig("rows")) == 12_800


def test_an_adapter_on_a_layer_that_is_not_there_is_refused():
    with pytest.raises(BadInput, match=r"no linear layer 'query'.*q_proj"):
        small().moving(TrainableConfig("lora", targets=("query",)))


ALONE = Load(passes=())
# weights, gradients, optimiser, host; 138,048 parameters
STATIC = {
    "float32": (Setup(), (552_192, 552_192, 1_104_384, 0)),
    # one moment for 73,728 of them: 8 x 138,048 - 4 x 73,728
    "muon": (Setup(muon=True), (552_192, 552_192, 809_472, 0)),
    # 2, 2 and 12 bytes; 12 x 138,048 / 4 = 414,144; 276,096 / 4 = 69,024
    "zero1": (Setup(4, NAMED["zero1"]), (276_096, 276_096, 414_144, 0)),
    "zero2": (Setup(4, NAMED["zero2"]), (276_096, 69_024, 414_144, 0)),
    "zero3": (Setup(4, NAMED["zero3"]), (69_024, 69_024, 414_144, 0)),
    # the host: 12 bytes and float32 gradients, 16 x 138,048, whatever the ranks
    "zero2_offload": (Setup(4, NAMED["zero2_offload"]), (276_096, 69_024, 0, 2_208_768)),
    "zero3_offload": (Setup(4, NAMED["zero3_offload"]), (0, 69_024, 0, 2_208_768 + 276_096)),
    # 138,048 frozen and 14,592 that move
    "lora": (
        Setup(trainable=TrainableConfig("lora", rank=4)),
        (4 * 152_640, 4 * 14_592, 8 * 14_592, 0),
    ),
}


@pytest.mark.parametrize("case", STATIC)
def test_weights_gradients_and_optimiser(case):
    setup, expected = STATIC[case]
    found = memory_of(small(), setup, ALONE)
    offloaded = found.host - setup.ranks * 4 * small().parameters  # read once a rank
    assert (found.weights, found.gradients, found.optimiser, offloaded) == expected


@pytest.mark.parametrize("name", ["zero1", "zero2_offload", "zero3_offload"])
def test_nodes_share_what_lies_on_hosts(name):
    """Twice the ranks on twice the nodes: as many copies a node, half of what is offloaded."""
    alone = memory_of(small(), Setup(4, NAMED[name]), ALONE)
    shared = memory_of(small(), Setup(8, NAMED[name], nodes=2), ALONE)
    read = 4 * 4 * small().parameters
    assert shared.host == read + (alone.host - read) // 2


# What a position keeps of a layer at T = 32, H = Q = 64, F = 128, 4 heads.
LAYERS = {
    # 26 x 64 + 8 x 64 + 8 x 128 = 3,200, and 2 x 32 + 4 x 4 = 80
    "autocast, fused": (Setup(), False, 3_280),
    # 3,200 and scores 2 x 32 x 4 = 256
    "autocast, scores": (Setup(accelerator=False), True, 3_456),
    # 24 x 64 + 16 x 64 + 16 x 128 = 4,608 and 4 x 32 x 4 = 512
    "float32, scores": (Setup(bf16=False, accelerator=False), True, 5_120),
    # 16 x 64 + 8 x 64 + 8 x 128 + 80
    "bfloat16 weights": (Setup(4, NAMED["zero2"]), False, 2_640),
    # 8 x 64 + 8 x 64 + 6 x 128 + 80
    "frozen": (Setup(trainable=TrainableConfig("rows")), False, 1_872),
    # and each adapter 2 (in + 4): 2 (6 x 64 + 128 + 7 x 4) = 1,080
    "adapters": (Setup(trainable=TrainableConfig("lora", rank=4)), False, 2_952),
}


@pytest.mark.parametrize("case", LAYERS)
def test_what_a_layer_keeps(case):
    setup, scores, expected = LAYERS[case]
    assert layer_bytes(small(), setup, 32, scores) == expected


def test_activations_logits_and_the_peak():
    # R x T = 128 positions: 2 layers x 3,280 x 128 = 839,680; 12 x 64 x 128 = 98,304 and
    # 6 x 64 x 50 = 19,200 around them; logits 12 x 50 x 1,000
    one = Pass(rows=4, width=32, labelled=50)
    assert pass_bytes(small(), Setup(), one) == (957_184, 600_000)
    # checkpointed: 2 x 4 x 64 x 128 = 65,536 and 117,504; a layer (419,840) is less than the logits
    assert pass_bytes(small(), Setup(checkpointing=True), one) == (183_040, 600_000)
    # weights, moments, bfloat16 copies 2 (73,728 + 64,000), activations, logits
    found = memory_of(small(), Setup(), Load(((one,),)))
    assert found.peak == 552_192 + 1_104_384 + 275_456 + 957_184 + 600_000
    assert found.moment == "forward and backward"
    # the gradients of an earlier batch lie beside the next one's activations
    several = memory_of(small(), Setup(accumulate=2), Load(((one,),)))
    assert several.peak == found.peak + 552_192


def test_the_cache_of_rollouts():
    # a token: keys and values of 2 layers, 2 heads of 16, 4 bytes: 512; 16 x 1,000 to sample
    found = memory_of(small(), Setup(), Load((), rollout_rows=8, rollout_length=100))
    assert found.cache == 8 * (100 * 512 + 16_000)


def test_the_policys_head_has_some_logits_at_a_time():
    # 1,000 columns: 12 bytes of 50 positions, and a gradient 4 x 1,000 x 64 = 256,000; of very
    # many on a CPU no more than 2^24 / 1,000 = 16,777, on an accelerator 134,217
    one = Pass(rows=4, width=32, labelled=0, scored=50)
    many, cpu = replace(one, scored=1_000_000), Setup(accelerator=False)
    assert head_bytes(small(), Setup(), one) == head_bytes(small(), cpu, one) == 856_000
    assert head_bytes(small(), cpu, many) == 12 * 16_777_000 + 256_000
    assert head_bytes(small(), Setup(), many) == 12 * 134_217_000 + 256_000
    assert head_bytes(small(), Setup(), replace(one, scored=0)) == 0


def test_only_the_heaviest_passes_are_kept():
    passes = [(Pass(4, 32, 50),), (Pass(4, 32, 50),), (Pass(4, 16, 50),), (Pass(2, 64, 10),)]
    assert set(heaviest_only(passes)) == {(Pass(4, 32, 50),), (Pass(2, 64, 10),)}


def test_a_deepspeed_file_is_read(tmp_path):
    file = tmp_path / "mine.json"
    part = {"stage": 3, "offload_param": {"device": "cpu"}, "reduce_bucket_size": "auto"}
    said = {"zero_optimization": part, "bf16": {"enabled": True}}
    file.write_text(json.dumps(said))
    assert zero_of(str(file)) == Zero(3, offload_weights=True)
    assert zero_of("zero2") == NAMED["zero2"] and zero_of(None) is None
    with pytest.raises(BadInput, match="zero3_offload"):
        zero_of("zero9")


def measured_peak(work: Callable[[], None]) -> int:
    """Bytes of tensors alive at once, at most, while `work` runs and beside what was there."""
    gc.collect()  # nothing of before may be freed within
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]  # type: ignore[union-attr]
    now = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


LLAMA = (LlamaForCausalLM, LlamaConfig, {
    "vocab_size": 1000, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True})  # fmt: skip
QWEN3 = (Qwen3ForCausalLM, Qwen3Config, {
    "vocab_size": 2000, "hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 64,
    "tie_word_embeddings": False})  # fmt: skip
ADAMW, MUON = OptimiserConfig(), OptimiserConfig(name="muon")
# Predicted over measured lay between 0.96 and 1.02 here (adapters: 1.08).
PEAKS = {
    "small, step": (LLAMA, TrainingConfig(ADAMW, batch_tokens=64, row_tokens=64), {}),
    "small, batch": (LLAMA, TrainingConfig(ADAMW, batch_tokens=2048), {}),
    "larger, step": (QWEN3, TrainingConfig(ADAMW, batch_tokens=64, row_tokens=64), {}),
    "larger, Muon's step": (QWEN3, TrainingConfig(MUON, batch_tokens=64, row_tokens=64), {}),
    "larger, batch": (QWEN3, TrainingConfig(ADAMW, batch_tokens=1024), {}),
    "larger, float32": (QWEN3, TrainingConfig(ADAMW, batch_tokens=1024, bf16=False), {}),
    "larger, checkpointed": (
        QWEN3, TrainingConfig(ADAMW, batch_tokens=1024), {"checkpointing": True}
    ),
    "larger, adapters": (
        QWEN3,
        TrainingConfig(ADAMW, batch_tokens=1024),
        {"trainable": TrainableConfig("lora", rank=4)},
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", PEAKS)
def test_the_estimate_agrees_with_a_measured_peak(case, tiny_tokenizer):
    """Three real steps; weights, gradients and optimiser within 1.1, with activations 1.15."""
    (kind, settings, sizes), training, changes = PEAKS[case]
    training = replace(training, bf16=training.bf16 is not False)  # not left to the machine
    rng = Random(0)
    texts = [
        [rng.randrange(sizes["vocab_size"]) for _ in range(64)]
        for _ in range(3 * training.batch_tokens // 64)
    ]
    examples = [Example(t, [i if n % 2 else IGNORE for n, i in enumerate(t)]) for t in texts]
    batches = list(make_batches(examples, training, 0, 0))

    def run() -> None:
        model = kind(settings(**sizes, attn_implementation="sdpa"))
        if changes.get("checkpointing"):
            model.gradient_checkpointing_enable()
        if "trainable" in changes:
            from peft import LoraConfig, inject_adapter_in_model

            model = inject_adapter_in_model(
                LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM",
                           trainable_token_indices=list(range(100))), model)  # fmt: skip
        with tempfile.TemporaryDirectory() as folder, RunLog(Path(folder), "x", {}, False) as log:
            train(model, tiny_tokenizer, batches, training, 0, log, "x")

    measured = measured_peak(run)
    rows = sizes["vocab_size"]
    shape = shape_of(settings(**sizes), replace(GROWTH, rows_before=rows, rows=rows), "x")
    setup = Setup(
        muon=training.optimiser.name == "muon",
        bf16=training.bf16,
        accelerator=torch.cuda.is_available(),
        **changes,
    )
    passes = [
        (Pass(*b["input_ids"].shape, int((b["labels"][:, 1:] != IGNORE).sum())),) for b in batches
    ]
    predicted = memory_of(shape, setup, Load(heaviest_only(passes)))
    assert predicted.moment == ("optimiser's step" if "step" in case else "forward and backward")
    print(f"{case}: measured {measured:,}, predicted {predicted.peak:,}")
    factor = 1.1 if "step" in case else 1.15
    assert 1 / factor < predicted.peak / measured < factor
