"""The ways to give a model N real tools: what is trained, and what stands in the prompt.

All arms have the same base, questions and epochs. Sources: documents in the prompt and a retriever
are the baselines of TInR-U (arXiv 2604.10788).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinr.records import DocumentsMode

SHOWN = 5  # documents in a prompt: candidates, or what a retriever finds
NO_PAIRS = "mix={memorise: 0, recall: 0, schema: 0, pseudo: 0, naming: 0, blind: 0, lacking: 0}"
CHOICE = "choice={unqueried: 0, call: 0, unasked: 0}"  # margins are for tool tokens


@dataclass(frozen=True)
class RealArm:
    """How an arm knows its tools.

    chain: a key of CHAINS; empty: the untuned base. prompt: changes of the documents' settings in
    the evaluation alone.
    """

    about: str
    chain: str
    documents: DocumentsMode = "none"
    prompt: Mapping[str, Any] = field(default_factory=dict)


def _prompted(mode: DocumentsMode, *prompt: str) -> dict[str, Sequence[str]]:
    """Skip alignment and its replay; put documents in every prompt, also of pseudo-queries."""
    return {
        "sft": (
            f"documents={{{mode}: 1}}", *prompt, "replay_pairs=0", "unqueried=0", "pseudo=10",
            NO_PAIRS, CHOICE,
        )
    }  # fmt: skip


# Phase -> overrides of the preset; a phase that is left out is not run.
CHAINS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "internalized": {"align": ("min_recall={}",), "sft": ()},
    "in_prompt": _prompted("in_prompt", f"prompt.candidates={SHOWN}"),
    "retrieved": _prompted("retrieved", f"prompt.top_k={SHOWN}"),
}
DENSE = "dense"  # the arm whose retriever is a sentence-transformers model of the user's
ARMS: Mapping[str, RealArm] = {
    "internalized": RealArm("tools in the weights, no document", "internalized"),
    "on_select": RealArm(
        "the same weights; the document of a tool that the thought names is shown",
        "internalized",
        "on_select",
    ),
    "in_prompt": RealArm(
        f"names; {SHOWN} documents in the prompt, the right ones always among them",
        "in_prompt",
        "in_prompt",
    ),
    "bm25": RealArm(f"names; the {SHOWN} documents that BM25 finds", "retrieved", "retrieved"),
    DENSE: RealArm(
        f"the same weights; the {SHOWN} documents that a dense retriever finds",
        "retrieved",
        "retrieved",
    ),
    "base": RealArm(
        f"the untuned base; {SHOWN} documents in its own chat template, the right ones among them",
        "",
        "in_prompt",
    ),
}
