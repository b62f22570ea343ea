"""The drill in small: phases are killed at random moments and nothing is lost.

The long form is `tinr bench kills`; docs/benchmarks.md has what it gave.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from tinr.checkpoints.card import Card
from tinr.checkpoints.registry import Registry
from tinr.records import BadInput
from tinr.studies.benchmarks.kills import Chain, Count, _ends, _kill, _live_a_while, look

ROOT = Path(__file__).parents[2]
KILLS = 8


@pytest.mark.slow
def test_killed_phases_lose_nothing(tmp_path):
    """In a process of its own: it forks, which a process full of threads must not."""
    done = subprocess.run(
        [sys.executable, "-m", "tinr.cli.main", "bench", "kills", "--kills", str(KILLS),
         "--seed", "1", "--json", "--out", str(tmp_path / "out")],
        capture_output=True, text=True, timeout=600,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    count = json.loads(done.stdout)
    assert count["kills"] == KILLS and count["inside_a_publication"] >= 1
    assert count["corrupt"] == count["lost"] == count["half_visible"] == count["different"] == 0


@pytest.fixture
def chain(tmp_path) -> Chain:
    """Two published checkpoints that were seen before the kill."""
    registry = Registry(tmp_path / "registry")
    for name in "ab":
        card = Card("base", "m", name * 64, "t" * 64, {}, 0, name)
        registry.publish(card, lambda at, name=name: (at / "model.safetensors").write_text(name))
    return Chain(tmp_path, set(registry.ids()))


def seen(chain: Chain) -> Count:
    count = Count()
    look(chain, count)
    return count


@pytest.mark.parametrize("inside", [True, False])
def test_a_child_that_fails_by_itself_is_no_kill(chain, inside):
    """What it said last is told; it is looked for once, and never waited for again."""
    child = os.fork()
    if not child:
        (chain.out / "said.txt").write_text("Traceback\nValueError: no\n")
        os._exit(1)
    with pytest.raises(BadInput, match="a child failed: ValueError: no"):
        _live_a_while(child, chain, Random(0), inside)


def test_a_child_that_outlives_its_time_is_killed(chain):
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
    assert not _ends(child, 0.05, chain) and not _kill(child)
    with pytest.raises(ChildProcessError):
        os.waitpid(child, os.WNOHANG)  # nothing is left of it


def test_a_whole_registry_is_clean(chain):
    assert seen(chain).clean


def test_a_flipped_bit_is_counted(chain):
    path = next(chain.registry.root.glob("checkpoints/*/model.safetensors"))
    path.chmod(0o644)
    path.write_text("x")
    assert seen(chain).corrupt == 1


def test_a_checkpoint_that_is_gone_is_counted(chain):
    card = next(chain.registry.root.glob("checkpoints/*/card.json"))
    card.unlink()
    found = seen(chain)
    assert found.lost == 1 and not found.clean


def test_a_card_that_cannot_be_read_is_counted(chain):
    card = next(chain.registry.root.glob("checkpoints/*/card.json"))
    card.chmod(0o644)
    card.write_text(card.read_text()[:40])
    assert seen(chain).half_visible == 1


def test_a_publication_that_was_cut_is_told_apart(chain):
    (chain.registry.root / "staging" / "abc").mkdir(parents=True)
    found = seen(chain)
    assert found.inside_a_publication == 1 and found.clean
