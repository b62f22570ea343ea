"""The type that a processor multiplies faster in: measured once, kept, and never an error."""

import json
import os

import pytest
import torch

from tinr import machine_speed
from tinr.machine_speed import faster_type, product_seconds

FLOAT, HALF = torch.float32, torch.bfloat16


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose products take scripted seconds; `asked` lists (rows, type) of each."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    seconds, asked = {FLOAT: 1e-6, HALF: 1e-6}, []

    def product(rows, inner, columns, dtype, repeats=1):
        asked.append((rows, dtype))
        return seconds[dtype] * rows

    monkeypatch.setattr(machine_speed, "product_seconds", product)
    monkeypatch.setattr(machine_speed, "_processor", lambda: "A processor")
    faster_type.cache_clear()
    yield seconds, asked, tmp_path / "tinr" / "machine.json"
    faster_type.cache_clear()


@pytest.mark.parametrize(
    ("ratio", "expected"), [(3.0, HALF), (1.11, HALF), (1.09, FLOAT), (1.0, FLOAT), (0.6, FLOAT)]
)
def test_bfloat16_must_be_a_tenth_faster(machine, ratio, expected):
    seconds, _, _ = machine
    seconds[FLOAT] = ratio * seconds[HALF]
    assert faster_type() is expected


def test_the_next_process_takes_what_this_one_measured(machine):
    """Also where it would measure something else: a run that goes on keeps its type."""
    seconds, asked, path = machine
    seconds[FLOAT] = 2e-6
    assert faster_type() is HALF and faster_type() is HALF
    measured = len(asked)
    seconds[FLOAT] = 5e-7
    faster_type.cache_clear()  # as a new process has it
    assert faster_type() is HALF and len(asked) == measured
    (name,) = json.loads(path.read_text())
    assert "A processor" in name and torch.__version__ in name and name.endswith("threads")


def test_another_processor_and_another_number_of_threads_are_measured(machine, monkeypatch):
    seconds, _, path = machine
    seconds[FLOAT] = 2e-6
    assert faster_type() is HALF
    seconds[FLOAT] = 5e-7
    for attribute, value in (("_processor", "Another"), ("_machine", "One of 64 threads")):
        monkeypatch.setattr(machine_speed, attribute, lambda value=value: value)
        faster_type.cache_clear()
        assert faster_type() is FLOAT
    assert len(json.loads(path.read_text())) == 3  # the others' entries stay


BROKEN = {
    "cut off": '{"A pro',
    "no object": "[1]",
    "no utf-8": b"\xff\xfe",
    "text for a number": None,
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_measured_again_and_mended(machine, case):
    seconds, _, path = machine
    seconds[FLOAT] = 2e-6
    content = BROKEN[case]
    if content is None:
        content = json.dumps({machine_speed._machine(): {"float32": "fast", "bfloat16": 1.0}})
    path.parent.mkdir()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert faster_type() is HALF
    assert machine_speed._is_measurement(json.loads(path.read_text())[machine_speed._machine()])


def test_a_folder_that_cannot_be_written_is_no_error(machine, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert faster_type() is FLOAT


def test_a_user_without_a_home_is_no_error(machine, monkeypatch):
    def homeless():
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(machine_speed.Path, "home", homeless)
    assert faster_type() is FLOAT


def test_the_first_process_decides_for_all(machine, monkeypatch):
    """What `distributed.shared` hands on counts, not what this process would have measured."""
    _, asked, _ = machine
    monkeypatch.setattr(
        machine_speed.distributed, "shared", lambda make: {"float32": 3.0, "bfloat16": 1.0}
    )
    assert faster_type() is HALF and not asked


def test_a_slow_type_is_measured_with_few_rows_alone(machine):
    """64 rows take 0.06 s in bfloat16; 512 rows eight times over would take 4 s."""
    seconds, asked, _ = machine
    seconds[HALF] = 1e-3
    assert faster_type() is FLOAT
    assert {rows for rows, _ in asked} == {machine_speed.FEW_ROWS}


def test_a_fast_machine_is_measured_with_many_rows_and_types_in_turn(machine):
    _, asked, _ = machine
    faster_type()
    many = [dtype for rows, dtype in asked if rows == machine_speed.ROWS]
    assert many == [FLOAT, HALF] * machine_speed.TURNS


def test_measuring_leaves_the_number_of_threads(machine, monkeypatch):
    _, _, _ = machine
    before, seen = torch.get_num_threads(), []
    monkeypatch.setattr(torch, "set_num_threads", seen.append)
    faster_type()
    assert seen == [1, before]


def test_a_product_is_timed_by_the_median_after_a_warm_up(monkeypatch):
    """Products of 9 (the warm-up), 1, 5 and 2 seconds by a clock that is read around each."""
    lengths, now = iter([9.0, 1.0, 5.0, 2.0]), [0.0]

    def linear(given, weights):
        assert given.shape == (3, 4) and weights.shape == (5, 4)
        assert given.dtype == weights.dtype == HALF
        now[0] += next(lengths)

    monkeypatch.setattr(torch.nn.functional, "linear", linear)
    monkeypatch.setattr(machine_speed.time, "perf_counter", lambda: now[0])
    assert product_seconds(3, 4, 5, HALF, repeats=3) == 2.0


def test_the_machine_that_runs_this_can_be_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    faster_type.cache_clear()
    try:
        assert faster_type() in (FLOAT, HALF)
    finally:
        faster_type.cache_clear()
    assert os.listdir(tmp_path / "tinr") == ["machine.json"]  # and nothing half-written
