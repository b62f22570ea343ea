"""A round's pairs, kept as they come; and what a policy gets wrong, by kind."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import PreTrainedModel

from tinr.calibration.judge import deficiency, judge
from tinr.calibration.pairs import sibling_pairs
from tinr.calibration.search import Spent, search
from tinr.catalogue import Catalogue
from tinr.config import PairsConfig, SearchConfig
from tinr.executor import Executor
from tinr.files import write_text
from tinr.packing import Pair
from tinr.records import Query
from tinr.rollout import converse, make_prompts
from tinr.tokens import Codec

CHUNK = 64  # trees that are searched together, and kept together


@dataclass(frozen=True)
class Gathered:
    """The pairs of a round, what the search cost, and of how many queries."""

    pairs: list[Pair]
    spent: Spent
    queries: int


def gather_pairs(
    model: PreTrainedModel,
    codec: Codec,
    queries: Sequence[Query],
    catalogue: Catalogue,
    executor: Executor,
    search_config: SearchConfig,
    pairs_config: PairsConfig,
    folder: Path,
    seed: int,
) -> Gathered:
    """Search every query's tree and pair siblings, `CHUNK` queries at a time.

    Each chunk's pairs are written to `folder`; a killed round reads them there again. The model
    is put into eval mode.
    """
    model.eval()
    pairs: list[Pair] = []
    total = Spent()
    with tqdm(total=len(queries), desc="search", unit="tree", ncols=90) as bar:
        for start in range(0, len(queries), CHUNK):
            some = queries[start : start + CHUNK]
            kept = folder / f"pairs-{start:06}.json"
            if not kept.is_file():
                prompts = make_prompts(codec, some, [()] * len(some))
                trees, spent = search(
                    model, codec, some, prompts, catalogue, executor, search_config, seed + start
                )
                found = sibling_pairs(trees, catalogue, pairs_config)
                rows = [vars(pair) for pair in found]
                write_text(kept, json.dumps({"spent": vars(spent), "pairs": rows}))
            read = json.loads(kept.read_text())
            pairs += [Pair(**row) for row in read["pairs"]]
            total.nodes += read["spent"]["nodes"]
            total.tokens += read["spent"]["tokens"]
            bar.update(len(some))
            bar.set_postfix_str(f"{total.nodes} nodes, {len(pairs)} pairs", refresh=False)
    return Gathered(pairs[: pairs_config.most], total, len(queries))


def measure(
    model: PreTrainedModel,
    codec: Codec,
    queries: Sequence[Query],
    catalogue: Catalogue,
    executor: Executor,
    title: str = "",
) -> dict[str, Any]:
    """Greedy replies judged: {"n", "grades": {grade: count}, "deficiencies": {kind: count}}."""
    model.eval()
    done = converse(model, codec, queries, catalogue, executor, title=title)
    grades = Counter(judge(c.reply, c.query, catalogue).grade for c in done)
    kinds = Counter(kind for c in done for kind in deficiency(c.reply, c.query, catalogue))
    return {"n": len(done), "grades": dict(grades), "deficiencies": dict(kinds)}
