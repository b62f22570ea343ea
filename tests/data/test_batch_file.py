"""Batches in a file: what is read is what was made, once, whatever the number of epochs."""

import itertools
import tracemalloc

import pytest
import torch

from tinr.checkpoints.step_checkpoints import Steps
from tinr.data.batch_file import DATA, INDEX, POSITION_BYTES, prepare
from tinr.data.packing import IGNORE, Batch, Example, collate
from tinr.records import BadInput


def batch(number: int, rows: int = 2) -> Batch:
    """Rows of two examples with labels, weights and padding of their own."""
    long = Example([number + 2**17, 5, 6 + number], [IGNORE, 5, 6 + number], 0.25)
    short = Example([7, 8], [7, IGNORE])
    return collate([[long, short], *[[short]] * (rows - 1)], 3)


def killed_after(steps: Steps, step: int) -> None:
    (steps.folder / f"checkpoint-{step}").mkdir()
    steps.complete(step)


def test_what_is_read_is_what_was_made(tmp_path):
    made = [batch(number, rows=1 + number % 3) for number in range(7)]
    ready = prepare(iter(made), Steps(tmp_path), "x")
    assert len(ready) == 7 and ready.tokens == [5, 7, 9, 5, 7, 9, 5]
    for number in (3, 0, 6, 1):
        assert ready[number].keys() == made[number].keys()
        for name, tensor in made[number].items():
            assert ready[number][name].dtype == tensor.dtype
            assert torch.equal(ready[number][name], tensor), name


def test_the_file_takes_what_is_told_of_it(tmp_path):
    prepare([batch(0), batch(1, rows=3)], Steps(tmp_path), "x")
    assert (tmp_path / DATA).stat().st_size == POSITION_BYTES * (2 * 5 + 3 * 5)


def test_a_run_that_goes_on_takes_the_batches_of_its_first_start(tmp_path):
    steps = Steps(tmp_path)
    prepare([batch(1)], steps, "x")
    killed_after(steps, 5)
    asked = (pytest.fail("made again") for _ in range(1))
    assert torch.equal(prepare(asked, steps, "x")[0]["input_ids"], batch(1)["input_ids"])


def test_without_a_step_checkpoint_they_are_made_again(tmp_path):
    """Of a run that died before its first one nothing is owed to what it had prepared."""
    prepare([batch(1)], Steps(tmp_path), "x")
    ready = prepare([batch(2), batch(3)], Steps(tmp_path), "x")
    assert len(ready) == 2 and torch.equal(ready[0]["input_ids"], batch(2)["input_ids"])


def test_what_was_cut_off_while_it_was_written_is_made_again(tmp_path):
    steps = Steps(tmp_path)

    def dying():
        yield batch(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(dying(), steps, "x")
    killed_after(steps, 5)  # of an older version, which kept no batches
    assert not (tmp_path / INDEX).exists()
    assert len(prepare([batch(1), batch(2)], steps, "x")) == 2
    (tmp_path / DATA).write_bytes((tmp_path / DATA).read_bytes()[:-8])  # the machine lost power
    assert len(prepare([batch(3)], steps, "x")) == 1


def test_no_batch_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="align: nothing to train on; give at least one epoch"):
        prepare([], Steps(tmp_path), "align")


def test_memory_does_not_grow_with_the_epochs(tmp_path):
    """Ten times the batches, the same peak: what is held is an index of three numbers each."""

    def peak(count: int) -> int:
        folder = tmp_path / str(count)
        folder.mkdir()
        wide = Example([9] * 4096, [9] * 4096)
        tracemalloc.start()
        ready = prepare((collate([[wide]], 0) for _ in range(count)), Steps(folder), "x")
        for number in itertools.islice(range(len(ready)), 10):
            assert ready[number]["input_ids"].shape == (1, 4096)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(2)  # what is made once
    assert peak(100) < 1.3 * peak(10)
