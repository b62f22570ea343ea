"""The cost of a prompt by the number of tools, in the four documents modes.

A model of the shipped base's shape with random weights answers one query with a fixed number of
tokens: only the cost is measured, not the reply. In the modes that use tokens, vocabulary and head
have one entry per tool.
"""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, get_args

from phases.base import BaseConfig, new_model
from tinr.catalogue.load import Catalogue
from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.chat.codec import Codec
from tinr.chat.render import render_documents, render_environment
from tinr.checkpoints.model import grow
from tinr.data.base_tokenizer import train_tokenizer
from tinr.files import write_text
from tinr.records import Call, DocumentsMode, Query, ToolDoc
from tinr.rollout.conversation import make_prompts
from tinr.rollout.generate import generate
from tinr.studies.benchmarks.catalogue import made_documents
from tinr.studies.plots import as_svg

TOOLS = (10, 100, 1_000, 10_000, 46_985)
WRITTEN = 64  # tokens of a reply
PROMPT_TOKENS = 4_096  # longest prompt that is run; the tokens of longer ones are only counted
REPEATS = 3  # the median is reported


@dataclass(frozen=True)
class Cost:
    """One documents mode at one number of tools; None: not run, the prompt is too long."""

    mode: DocumentsMode
    tools: int
    prompt_tokens: int  # on_select: including the document inserted after selection
    prefill_seconds: float | None
    end_to_end_seconds: float | None  # retrieval, prefill and 64 generated tokens


def measure_costs(tools: Sequence[int] = TOOLS, seed: int = 0) -> list[Cost]:
    """Costs of all modes at each number of tools, on this machine's cores."""
    docs = made_documents(max(tools), Random(seed))
    base = train_tokenizer(2048, seed)
    costs: list[Cost] = []
    for count in sorted(tools):
        catalogue = Catalogue(tuple(docs[:count]))
        for mode in get_args(DocumentsMode):
            costs.append(_cost(mode, catalogue, copy.deepcopy(base), seed))
    return costs


def _cost(mode: DocumentsMode, catalogue: Catalogue, tokenizer: Any, seed: int) -> Cost:
    """Cost of one mode; modes with documents in the prompt write names, the others tokens."""
    model: Any = new_model(BaseConfig(positions=2**24), tokenizer)
    writes_names = mode in ("in_prompt", "retrieved")
    grow(model, tokenizer, catalogue, "random", seed, "names" if writes_names else "tokens")
    model.eval()
    codec = Codec(tokenizer)
    doc = catalogue.tools[len(catalogue.tools) // 2]
    text = " ".join(doc.description.split()[:8])
    query = Query("q", text, ((Call(doc.name, {}),),))
    library = Library(catalogue, DocumentsConfig())

    def prompt() -> list[int]:
        return make_prompts(codec, [query], library.shown([query], mode))[0]

    document_ids = _document_ids(codec, [doc]) if mode == "on_select" else []
    ids = prompt()  # also builds the retriever's index, once
    size = len(ids) + len(document_ids)
    if size > PROMPT_TOKENS:
        return Cost(mode, len(catalogue.tools), size, None, None)

    def run(make_ids: Callable[[], list[int]], max_tokens: int) -> None:
        generate(
            model,
            [[*make_ids(), *document_ids]],
            lambda row, ids: [],
            frozenset(),
            max_tokens=max_tokens,
            pad=codec.pad,
        )

    return Cost(
        mode,
        len(catalogue.tools),
        size,
        _median_seconds(lambda: run(lambda: ids, 1)),
        _median_seconds(lambda: run(prompt, WRITTEN)),
    )


def _document_ids(codec: Codec, docs: Sequence[ToolDoc]) -> list[int]:
    return codec.encode(render_environment(render_documents(docs), codec.frame))[0]


def _median_seconds(work: Callable[[], None]) -> float:
    work()
    durations = []
    for _ in range(REPEATS):
        start_time = time.perf_counter()
        work()
        durations.append(time.perf_counter() - start_time)
    return round(median(durations), 5)


def plot_costs(costs: Sequence[Cost], path: Path) -> None:
    """Plot tokens and end-to-end time by the number of tools as SVG, all axes logarithmic."""

    def paint(axes: Sequence[Any]) -> None:
        for mode in get_args(DocumentsMode):
            rows = [cost for cost in costs if cost.mode == mode]
            run_costs = [cost for cost in rows if cost.end_to_end_seconds is not None]
            axes[0].plot([c.tools for c in rows], [c.prompt_tokens for c in rows], "o-", label=mode)
            seconds = [1000 * (c.end_to_end_seconds or 0) for c in run_costs]
            axes[1].plot([c.tools for c in run_costs], seconds, "o-", label=mode)
        for axis, title in zip(axes, ("tokens of the prompt", "end to end, ms"), strict=True):
            axis.set(xscale="log", yscale="log", xlabel="tools", title=title)
        axes[0].legend(frameon=False)

    write_text(path, as_svg(paint, panels=2, size=(9, 3.4)))
