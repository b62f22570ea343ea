"""A round's pairs, kept as they come; and what a policy gets wrong, before and after."""

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

CHUNK = 64  # trees that are searched together, and kept together


@dataclass(frozen=True)
class Gathered:
    """The pairs of a round, what the search cost, and of how many queries."""

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

    Each chunk's pairs are written to `folder`; a killed round reads them there again, and so does
    a round that trains on the same search by another loss. A chunk of which the judge graded
    nothing is searched again by whoever comes next, who may reach it: unless `begun`, when steps
    were made with its pairs. graded: who judges replies (None: the rules). The model is put into
    eval mode.
    """
    model.eval()
    pairs: list[PreferencePair] = []
    total = SearchCost()
    with progress_bar(len(queries), "search", "tree") as bar:
        for start in range(0, len(queries), CHUNK):
            some = queries[start : start + CHUNK]
            kept = folder / f"pairs-{start:06}.json"
            read = json.loads(kept.read_text()) if kept.is_file() else None
            if read is None or (not begun and _ungraded(read["spent"])):
                prompts = make_prompts(codec, some, [()] * len(some))
                began = time.monotonic()
                trees, spent = search(
                    model, codec, some, prompts, catalogue, executor, search_config, seed + start,
                    graded=graded,
                )  # fmt: skip
                if graded is not None:
                    spent.asked, spent.unanswered = graded.counts()
                spent.seconds = round(time.monotonic() - began, 1)
                rows = [vars(pair) for pair in sibling_pairs(trees, catalogue, pairs_config)]
                text = json.dumps({"spent": vars(spent), "pairs": rows})
                write_text(kept, text)
                read = json.loads(text)
            pairs += [PreferencePair(**row) for row in read["pairs"]]
            total.add(SearchCost(**read["spent"]))
            bar.update(len(some))
            bar.set_postfix_str(f"{total.nodes} nodes, {len(pairs)} pairs", refresh=False)
    return Gathered(pairs[: pairs_config.most], total, len(queries))


def _ungraded(spent: Mapping[str, Any]) -> bool:
    """Whether all that a judge was to grade was left to the rules."""
    return 0 < spent["asked"] == spent["unanswered"]


def measure(
    model: PreTrainedModel,
    codec: Codec,
    queries: Sequence[Query],
    catalogue: Catalogue,
    executor: Executor,
    title: str = "",
) -> Faults:
    """What is wrong with the greedy reply to each query.

    The model is put into eval mode, and on an accelerator with room for it.
    """
    model = to_accelerator(model).eval()
    done = converse(model, codec, queries, catalogue, executor, title=title)
    return {c.query.id: faults_of(c.reply, c.query, catalogue) for c in done}


def changes(before: Faults, after: Faults) -> dict[str, dict[str, Any]]:
    """Grade or kind -> how its share changed, paired by query: exact McNemar tests, with Holm.

    Kinds that occur on neither side are left out, and out of the correction.
    """
    first, other = ({"held": fault_values(faults)} for faults in (before, after))
    met = {name for faults in (before, after) for one in faults.values() for name in one}
    names = [name for name in FAULTS if name in met]
    found = differences({"before": [first], "after": [other]}, names)
    wanted = ("difference", "low", "high", "p", "p_holm")
    return {one.metric: {key: asdict(one)[key] for key in wanted} for one in found}
