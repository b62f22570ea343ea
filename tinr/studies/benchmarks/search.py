"""The speed-up of searching all trees in one batch over one tree at a time, at equal budget."""

import time
from pathlib import Path

from tinr.checkpoints.card import peak_rss_gib
from tinr.checkpoints.open import open_checkpoint
from tinr.checkpoints.registry import Registry
from tinr.config import SearchConfig
from tinr.rollout.conversation import make_prompts
from tinr.rollout.tools.executor import corpus_executor
from tinr.training.preference.search import search
from tool_corpora.suites import training_queries


def bench_search(registry: Path, ref: str, trees: int) -> dict[str, float]:
    """Nodes per second of both ways, and their ratio, with the same settings and queries.

    One tree at a time, each expansion prefills the whole prompt; its samples share that prefill.
    """
    _, model, codec, catalogue = open_checkpoint(Registry(registry), ref)
    queries = training_queries(trees, 0, "sft")
    prompts = make_prompts(codec, queries, [()] * len(queries))
    config = SearchConfig()
    figures: dict[str, float] = {"trees": trees}
    with corpus_executor(catalogue) as executor:
        executor.run(queries[0].calls[0] if queries[0].calls else next(q.calls[0] for q in queries))
        start_time = time.perf_counter()
        _, cost = search(model, codec, queries, prompts, catalogue, executor, config)
        speed_together = cost.nodes / (time.perf_counter() - start_time)
        start_time, nodes = time.perf_counter(), 0
        for number, (query, prompt) in enumerate(zip(queries, prompts, strict=True)):
            _, tree_cost = search(
                model, codec, [query], [prompt], catalogue, executor, config, number,
                rows=config.samples,
            )  # fmt: skip
            nodes += tree_cost.nodes
        speed_alone = nodes / (time.perf_counter() - start_time)
    return figures | {
        "nodes_a_second_together": round(speed_together, 1),
        "nodes_a_second_one_at_a_time": round(speed_alone, 1),
        "ratio": round(speed_together / speed_alone, 2),
        "peak_gib": peak_rss_gib(),
    }
