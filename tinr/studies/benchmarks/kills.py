"""A crash test: kills phases at random moments and counts the faults that remain.

Children are forked from a process that has imported everything and computed nothing, so they start
fast. Each child runs the whole chain of a tiny model, resuming from the earlier ones. SIGKILL ends
it after a random time; every other child is killed during a publication. After each kill the
registry is read as any reader would read it. The weights of a finished chain must equal those of
an undisturbed chain bit by bit.
"""

import itertools
import json
import os
import shutil
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from threading import RLock
from typing import Any

from tqdm import tqdm

from phases import align, grpo, sft
from phases.base import BaseConfig, build_base
from tinr.catalogue.load import load_catalogue, write_jsonl
from tinr.checkpoints.card import Card
from tinr.checkpoints.registry import Registry
from tinr.config_files import load_config, override
from tinr.files import write_text
from tinr.records import BadInput
from tool_corpora.suites import training_queries

TOOLS = 6  # of the shipped corpus
TINY = {
    "base": ("vocabulary=600", "tokens=8000", "hidden=32", "layers=2", "heads=1",
             "training.batch_tokens=2048", "training.checkpoint_steps=1"),
    "align": ("epochs=1", "replay=0", "min_recall={}", "training.batch_tokens=1024",
              "training.checkpoint_steps=1"),
    "sft": ("replay=0", "replay_pairs=1", "unqueried=0", "tolerance=1",
            "training.batch_tokens=1024", "training.checkpoint_steps=1"),
    "grpo": ("pseudo=0", "unqueried=0", "traces=4", "tolerance=1", "policy.steps=3",
             "policy.prompts=2", "policy.group=2", "policy.max_tokens=16",
             "policy.checkpoint_steps=1"),
}  # fmt: skip
RECIPES: dict[str, tuple[Callable[[Any], Card], type]] = {
    "base": (build_base, BaseConfig),
    "align": (align.run, align.AlignConfig),
    "sft": (sft.run, sft.SftConfig),
    "grpo": (grpo.run, grpo.GrpoConfig),
}
MEAN = 1.5  # mean lifetime in seconds of a child that is not killed during a publication
UNDISTURBED = 10  # one child in this many is not killed, so that chains end on slow machines too
PUBLISHING = 0.03  # seconds from the start of a publication to the kill, at most
CHAIN_SECONDS = 600.0  # time limit of an undisturbed chain


@dataclass
class Count:
    """Counts of a crash test; corrupt, lost, half_visible and different must be 0."""

    kills: int = 0
    inside_a_publication: int = 0
    chains: int = 0  # finished chains
    corrupt: int = 0  # visible checkpoints that differ from their card
    lost: int = 0  # published checkpoints that vanished
    half_visible: int = 0  # listed checkpoints without a readable card
    different: int = 0  # chains whose weights differ from the undisturbed chain
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether there is no fault."""
        return not (self.corrupt or self.lost or self.half_visible or self.different)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass
class Chain:
    """One registry that children work on, and all ids that were published in it so far."""

    out: Path
    published: set[str] = field(default_factory=set)

    @property
    def registry(self) -> Registry:
        return Registry(self.out / "registry")


def drill(kills: int, seed: int, out: Path, each: Callable[[Count], Any] = lambda _: None) -> Count:
    """Kill children `kills` times, in folders of `out`; calls `each(count)` after every child.

    OUT/count.json has the current count. BadInput if the undisturbed chain does not end.
    """
    rng, count, start_time = Random(seed), Count(), time.monotonic()
    _write_data(out)
    reference = Chain(out / "undisturbed")
    if not _ends(_start(reference), CHAIN_SECONDS, reference):
        raise BadInput(
            f"{reference.out}: the undisturbed chain did not end in time; see "
            f"{reference.out}/said.txt"
        )
    expected = _weights(reference.registry.cards())
    chain = Chain(out / "chain")
    for start in itertools.count():
        if count.kills >= kills:
            break
        child = _start(chain)
        if start % UNDISTURBED == UNDISTURBED - 1:
            has_ended = _ends(child, CHAIN_SECONDS, chain) or _kill(child)
        else:
            has_ended = _live_a_while(child, chain, rng, inside=start % 2 == 0)
        if not has_ended:
            count.kills += 1
            look(chain, count)
        else:
            count.chains += 1
            count.different += _weights(chain.registry.cards()) != expected
            shutil.rmtree(chain.out)
            chain = Chain(out / "chain")
        count.seconds = round(time.monotonic() - start_time, 1)
        write_text(out / "count.json", json.dumps(count.as_dict()) + "\n")
        each(count)
    return count


def _start(chain: Chain) -> int:
    """Fork a child that works on the chain; returns its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        chain.out.mkdir(parents=True, exist_ok=True)
        output = os.open(chain.out / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        tqdm.set_lock(
            RLock()
        )  # the default lock is shared with the parent: a killed child would keep it
        _work(chain)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _work(chain: Chain) -> None:
    """Run all phases; published ones are reused."""
    places = (override("registry", chain.registry.root), override("run", chain.out / "logs"))
    tools, queries = chain.out.parent / "tools", chain.out.parent / "queries.jsonl"
    build_base(load_config(BaseConfig, None, [*places, *TINY["base"]]))
    align.run(
        load_config(align.AlignConfig, None, [*places, *TINY["align"], f"catalogue=[{tools}]"])
    )
    sft.run(load_config(sft.SftConfig, None, [*places, *TINY["sft"], f"queries={queries}"]))
    grpo.run(load_config(grpo.GrpoConfig, None, [*places, *TINY["grpo"], f"queries={queries}"]))


def _write_data(out: Path) -> None:
    """Write a few of the shipped tools and their queries."""
    tools = load_catalogue("toolbox").tools[:TOOLS]
    names = {doc.name for doc in tools}
    write_jsonl(out / "tools" / "tools.jsonl", (asdict(doc) for doc in tools))
    query_rows = [
        {"id": query.id, "query": query.text,
         "calls": [{"name": call.name, "arguments": call.arguments} for call in query.calls]}
        for query in training_queries(1500, 0, "sft")
        if query.calls and names >= {call.name for call in query.calls}
    ]  # fmt: skip
    write_jsonl(out / "queries.jsonl", query_rows[:12])


def _ends(child: int, patience: float, chain: Chain) -> bool:
    """Whether the child exits by itself in time; BadInput if it fails."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if _has_ended(child, chain):
            return True
        time.sleep(0.002)
    return False


def _has_ended(child: int, chain: Chain) -> bool:
    """Whether the child has exited; do not call again after True. BadInput if it failed."""
    process_id, status = os.waitpid(child, os.WNOHANG)
    if process_id and status:
        lines = (chain.out / "said.txt").read_text(errors="replace").strip().splitlines()
        raise BadInput(f"{chain.out}: a child failed: {lines[-1] if lines else 'no output'}")
    return bool(process_id)


def _kill(child: int) -> bool:
    """Kill the child; returns False, because it did not exit by itself."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _live_a_while(child: int, chain: Chain, rng: Random, inside: bool) -> bool:
    """Let the child work, then kill it; True if it exited by itself before that."""
    if inside:
        staging = chain.out / "registry" / "staging"
        end = time.monotonic() + CHAIN_SECONDS
        while not any(staging.glob("*")) and time.monotonic() < end:
            if _has_ended(child, chain):
                return True
            time.sleep(0.001)
        time.sleep(rng.uniform(0, PUBLISHING))
    elif _ends(child, rng.expovariate(1 / MEAN), chain):
        return True
    return _has_ended(child, chain) or _kill(child)


def look(chain: Chain, count: Count) -> None:
    """Read the registry after a kill and add the faults to the count."""
    registry = chain.registry
    staged_paths = list((registry.root / "staging").glob("*"))
    known_ids = set(registry.ids())
    unfinished_paths = [
        p for p in (registry.root / "checkpoints").glob("*") if p.name not in known_ids
    ]
    count.inside_a_publication += bool(staged_paths or unfinished_paths)
    for path in [*staged_paths, *unfinished_paths]:
        shutil.rmtree(path, ignore_errors=True)  # otherwise the next kill would count it again
    visible_ids = set(registry.ids())
    count.lost += len(chain.published - visible_ids)
    count.half_visible += len(visible_ids - {card.id for card in registry.cards()})
    count.corrupt += sum(bool(registry.verify(name)) for name in visible_ids)
    chain.published |= visible_ids


def _weights(cards: list[Card]) -> dict[str, str]:
    """Phase -> sha256 of its weights."""
    return {
        card.phase: entry["sha256"]
        for card in cards
        for entry in card.files
        if entry["path"] == "model.safetensors"
    }
