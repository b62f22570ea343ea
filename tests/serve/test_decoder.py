"""The rows of a server: each is decoded as if it were alone, whoever joins and leaves."""

from collections.abc import Sequence
from random import Random

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import tinr.serve.decoder
from tinr.rollout.generate import generate
from tinr.serve.decoder import LocalDecoder, SlotLayer

PROMPTS = ([7, 8, 9], [11], [3, 4, 6, 12, 30, 31], [2, 2], [9] * 40, [17, 5])
TOKENS = 60


@pytest.fixture(scope="module")
def llama() -> LlamaForCausalLM:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=40, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, initializer_range=0.3, pad_token_id=0, eos_token_id=None,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def alone(model: LlamaForCausalLM, prompt: Sequence[int]) -> list[int]:
    rows = generate(model, [prompt], lambda n, ids: None, frozenset(), max_tokens=TOKENS, pad=0)
    return rows[0].ids


def joined(decoder: LocalDecoder, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
    """The logits after these prompts, read to their end."""
    *_, logits = decoder.join(prompts)
    assert logits is not None
    return logits


def test_prompts_are_read_in_parts_between_the_tokens_of_others(llama, monkeypatch):
    """Three rows read in eleven parts of 12 tokens, while a fourth one is written."""
    monkeypatch.setattr(tinr.serve.decoder, "PART", 12)
    prompts = [PROMPTS[4], PROMPTS[0], PROMPTS[2]]
    with LocalDecoder(llama, 0) as decoder:
        logits = joined(decoder, [PROMPTS[1]])
        others, parts = [int(logits[0].argmax())], 0
        for read in decoder.join(prompts):
            parts += 1
            if read is None:
                others.append(int(decoder.step(others[-1:])[0].argmax()))
                continue
            last = [others[-1], *read.argmax(-1).tolist()]
            rows = [others, *([index] for index in last[1:])]
        for _ in range(10):
            last = decoder.step(last).argmax(-1).tolist()
            for row, index in zip(rows, last, strict=True):
                row.append(index)
    assert parts == 10
    assert others == alone(llama, PROMPTS[1])[: len(others)] and len(others) == 20
    for prompt, row in zip(prompts, rows[1:], strict=True):
        assert row == alone(llama, prompt)[:11]


@pytest.mark.parametrize("seed", range(4))
def test_rows_that_join_and_leave_do_not_touch_the_others(llama, seed):
    rng = Random(seed)
    waiting = [*enumerate(PROMPTS)]
    rng.shuffle(waiting)
    written: dict[int, list[int]] = {}
    lengths = {number: rng.randint(1, TOKENS) for number, _ in waiting}
    running: list[int] = []
    with LocalDecoder(llama, 0) as decoder:
        logits = torch.zeros(0, 40)
        while waiting or running:
            joining = [waiting.pop() for _ in range(min(len(waiting), rng.randint(0, 2)))]
            if joining:
                logits = torch.cat([logits, joined(decoder, [prompt for _, prompt in joining])])
                running += [number for number, _ in joining]
            for place, number in enumerate(running):
                written.setdefault(number, []).append(int(logits[place].argmax()))
            going = [p for p, n in enumerate(running) if len(written[n]) < lengths[n]]
            if len(going) < len(running):
                decoder.keep(going)
            running = [running[place] for place in going]
            last = [written[number][-1] for number in running]
            logits = decoder.step(last) if running else torch.zeros(0, 40)
    assert {n: ids == alone(llama, PROMPTS[n])[: lengths[n]] for n, ids in written.items()} == (
        dict.fromkeys(written, True)
    )


@pytest.mark.parametrize("method", ["put", "moved"])
def test_rows_that_do_not_fit_leave_the_others_as_they_were(llama, monkeypatch, method):
    with LocalDecoder(llama, 0) as decoder:
        first = int(joined(decoder, [PROMPTS[0]])[0].argmax())
        if method == "put":  # a slot is free
            joined(decoder, [PROMPTS[1]])
            decoder.keep([0])
        call, calls = getattr(SlotLayer, method), []

        def second_fails(*arguments):
            calls.append(1)
            if len(calls) == 2:
                raise MemoryError("no room")
            return call(*arguments)

        monkeypatch.setattr(SlotLayer, method, second_fails)
        with pytest.raises(MemoryError):
            joined(decoder, [PROMPTS[3]])
        monkeypatch.undo()
        row = [first]
        for _ in range(5):
            row.append(int(decoder.step(row[-1:])[0].argmax()))
    assert row == alone(llama, PROMPTS[0])[:6]
    assert not torch.is_inference_mode_enabled()


def test_rows_come_and_go_without_copying_the_others(llama, monkeypatch):
    """A row takes the slot of one that has left; the room is made anew only when it is full."""
    moves = []
    moved = SlotLayer.moved
    monkeypatch.setattr(
        SlotLayer, "moved", lambda self, *arguments: moves.append(1) or moved(self, *arguments)
    )
    decoder = LocalDecoder(llama, 0)
    joined(decoder, [[9] * 40, [7], [8, 8], [5]])
    begun = len(moves)
    for number in range(6):
        decoder.step([1, 2, 3, 4])
        decoder.keep([0, 1, 2])
        joined(decoder, [[number + 1] * 9])
    assert len(moves) == begun and len(decoder.slots) == len(decoder.mask) == 4


def test_it_takes_no_more_room_than_its_longest_row(llama):
    """What the rows that have left needed is given back."""
    decoder = LocalDecoder(llama, 0)
    joined(decoder, [[9] * 40, [7]])
    decoder.step([1, 1])
    assert decoder.mask.shape == (2, 41)
    decoder.keep([1])
    assert decoder.mask.shape == (1, 2)
    decoder.keep([])
    joined(decoder, [[3, 4]])
    assert decoder.mask.tolist() == [[1, 1]]
