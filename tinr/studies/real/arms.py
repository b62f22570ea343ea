"""The ways to give a model N real tools: what is trained, and what the prompt contains.

All arms have the same base, questions and epochs. Sources: documents in the prompt and a retriever
are the baselines of TInR-U (arXiv 2604.10788).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinr.records import DocumentsMode

SHOWN = 5  # documents per prompt: candidates or retrieved ones
NO_PAIRS = "mix={memorise: 0, recall: 0, schema: 0, pseudo: 0, naming: 0, blind: 0, lacking: 0}"
# per epoch; three epochs replay about as much as the quickstart's single one
PAIRS = "mix={memorise: 1, recall: 1, schema: 1, pseudo: 1, naming: 1, blind: 0, lacking: 3}"
CHOICE = "choice={unqueried: 0, call: 0, unasked: 0}"  # margins are for tool tokens


@dataclass(frozen=True)
class RealArm:
    """One way to give a model its tools.

    chain: a key of CHAINS; empty: the untuned base. prompt: changes of the document settings, for
    the evaluation only.
    """

    about: str
    chain: str
    documents: DocumentsMode = "none"
    prompt: Mapping[str, Any] = field(default_factory=dict)


def _prompted(mode: DocumentsMode, *prompt: str) -> dict[str, Sequence[str]]:
    """Skip alignment and its replay; put documents in every prompt, pseudo-queries included."""
    return {
        "sft": (
            f"documents={{{mode}: 1}}", *prompt, "replay_pairs=0", "unqueried=0", "pseudo=4",
            NO_PAIRS, CHOICE,
        )
    }  # fmt: skip


# Phase -> overrides of the preset; a phase without an entry is not run.
CHAINS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "internalized": {"align": ("min_recall={}",), "sft": (PAIRS, "unqueried=6")},
    "in_prompt": _prompted("in_prompt", f"prompt.candidates={SHOWN}"),
    "retrieved": _prompted("retrieved", f"prompt.top_k={SHOWN}"),
}
DENSE = "dense"  # the arm that retrieves with a sentence-transformers model of the user's choice
ARMS: Mapping[str, RealArm] = {
    "internalized": RealArm("tools in the weights, no document", "internalized"),
    "on_select": RealArm(
        "internalized's weights; documents of the tools named in the thought are shown",
        "internalized",
        "on_select",
    ),
    "in_prompt": RealArm(
        f"names; {SHOWN} documents in the prompt, always including the right ones",
        "in_prompt",
        "in_prompt",
    ),
    "bm25": RealArm(f"names; the first {SHOWN} documents by BM25", "retrieved", "retrieved"),
    DENSE: RealArm(
        f"bm25's weights; the first {SHOWN} documents by a dense retriever",
        "retrieved",
        "retrieved",
    ),
    "base": RealArm(
        f"the untuned base; {SHOWN} documents in its chat template, including the right ones",
        "",
        "in_prompt",
    ),
}
