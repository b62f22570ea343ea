"""Gather the pairs of a round, chunk by chunk, and count a policy's faults before and after."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from tinr.catalogue.load import Catalogue
from tinr.chat.codec import Codec
from tinr.checkpoints.model import to_accelerator
from tinr.config import PairsConfig, SearchConfig
from tinr.data.packing import PreferencePair
from tinr.evaluation.comparison import differences
from tinr.evaluation.errors.faults import FAULTS, Faults, fault_values, faults_of
from tinr.files import write_text
from tinr.progress import progress_bar
from tinr.records import Query
from tinr.rollout.conversation import converse, make_prompts
from tinr.rollout.tools.executor import Executor
from tinr.training.preference.model_judge import ModelJudge
from tinr.training.preference.search import SearchCost, search
from tinr.training.preference.sibling_pairs import sibling_pairs

CHUNK = 64  # trees searched and saved together


@dataclass(frozen=True)
class Gathered:
    """The pairs of a round, the cost of the search, and the number of queries."""

    pairs: list[PreferencePair]
    spent: SearchCost
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
    graded: ModelJudge | None = None,
    begun: bool = False,
) -> Gathered:
    """Search every query's tree and pair siblings, `CHUNK` queries at a time.

    It writes each chunk's pairs to `folder`. A restarted round reads them from there, and so does
    a round that trains on the same search with another loss. If the judge graded nothing in a
    chunk, the next start searches it again, because the judge may answer then. With `begun` it
    does not, because steps have already used the pairs. graded: judges replies (None: the rules).
    It puts the model into eval mode.
    """
    model.eval()
    pairs: list[PreferencePair] = []
    total = SearchCost()
    with progress_bar(len(queries), "search", "tree") as bar:
        for start in range(0, len(queries), CHUNK):
            chunk = queries[start : start + CHUNK]
            path = folder / f"pairs-{start:06}.json"
            content = json.loads(path.read_text()) if path.is_file() else None
            if content is None or (not begun and _is_ungraded(content["spent"])):
                prompts = make_prompts(codec, chunk, [()] * len(chunk))
                start_time = time.monotonic()
                trees, cost = search(
                    model, codec, chunk, prompts, catalogue, executor, search_config, seed + start,
                    graded=graded,
                )  # fmt: skip
                if graded is not None:
                    cost.asked, cost.unanswered = graded.counts()
                cost.seconds = round(time.monotonic() - start_time, 1)
                rows = [vars(pair) for pair in sibling_pairs(trees, catalogue, pairs_config)]
                text = json.dumps({"spent": vars(cost), "pairs": rows})
                write_text(path, text)
                content = json.loads(text)
            pairs += [PreferencePair(**row) for row in content["pairs"]]
            total.add(SearchCost(**content["spent"]))
            bar.update(len(chunk))
            bar.set_postfix_str(f"{total.nodes} nodes, {len(pairs)} pairs", refresh=False)
    return Gathered(pairs[: pairs_config.most], total, len(queries))


def _is_ungraded(cost: Mapping[str, Any]) -> bool:
    """Whether the judge answered none of its requests."""
    return 0 < cost["asked"] == cost["unanswered"]


def measure(
    model: PreTrainedModel,
    codec: Codec,
    queries: Sequence[Query],
    catalogue: Catalogue,
    executor: Executor,
    title: str = "",
) -> Faults:
    """Find the faults of the greedy reply to each query.

    It puts the model into eval mode, and on an accelerator if one has enough memory.
    """
    model = to_accelerator(model).eval()
    conversations = converse(model, codec, queries, catalogue, executor, title=title)
    return {c.query.id: faults_of(c.reply, c.query, catalogue) for c in conversations}


def changes(before: Faults, after: Faults) -> dict[str, dict[str, Any]]:
    """Compare the share of each grade or kind, paired by query: exact McNemar tests, with Holm.

    Kinds that occur on neither side are omitted, also from the correction.
    """
    before_values, after_values = ({"held": fault_values(faults)} for faults in (before, after))
    names_seen = {
        name for faults in (before, after) for values in faults.values() for name in values
    }
    names = [name for name in FAULTS if name in names_seen]
    rows = differences({"before": [before_values], "after": [after_values]}, names)
    keys = ("difference", "low", "high", "p", "p_holm")
    return {row.metric: {key: asdict(row)[key] for key in keys} for row in rows}
