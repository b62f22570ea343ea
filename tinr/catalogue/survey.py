"""What there is to know about a catalogue before it is taught: faults, twins, costs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tinr.catalogue.importing.names import words_of
from tinr.catalogue.load import Catalogue, document_from, documents
from tinr.catalogue.render import describe
from tinr.catalogue.similar import groups, near_duplicates
from tinr.records import BadInput, ToolDoc


def read_all(sources: Sequence[str]) -> tuple[Catalogue, list[str]]:
    """Every valid document of the sources, and what is wrong with each of the others."""
    docs: dict[str, ToolDoc] = {}
    places: dict[str, str] = {}
    faults: list[str] = []
    for source in sources:
        for place, line in documents(source):
            try:
                doc = document_from(line, place, source=source)
            except BadInput as error:
                faults.append(str(error))
                continue
            if doc.name in docs:
                faults.append(f"{place}: tool {doc.name!r} already stands at {places[doc.name]}")
                continue
            docs[doc.name], places[doc.name] = doc, place
    return Catalogue(tuple(docs.values())), faults


def survey(catalogue: Catalogue, near: float = 0.8, tokenizer: str = "") -> dict[str, Any]:
    """Near-duplicates, groups, documents without a description, tokens; plain data.

    Tokens are those of `tokenizer` (a folder or hub name), or else characters over four.
    """
    if not 0 < near <= 1:
        raise BadInput(f"--near {near}: not a similarity; give a number above 0, at most 1")
    if not catalogue.tools:
        raise BadInput("no tools; give at least one document")
    pairs = near_duplicates(catalogue.tools, near)
    costs = _costs(catalogue, tokenizer)
    return {
        "tools": len(catalogue.tools),
        "hash": catalogue.hash,
        "near": [asdict(pair) for pair in pairs],
        "alike": groups(pairs),
        "undescribed": [
            d.name
            for d in catalogue.tools
            if d.description in (words_of(d.name), words_of(_last(d.name)))
        ],
        "tokens": {
            "unit": "tokens" if tokenizer else "tokens (characters / 4)",
            "median": int(np.median(costs)),
            "p95": int(np.percentile(costs, 95)),
            "most": int(costs.max()),
            "longest": catalogue.tools[int(costs.argmax())].name,
            "all": int(costs.sum()),
        },
    }


def _last(name: str) -> str:
    return name.rsplit(".", 1)[-1]


def _costs(catalogue: Catalogue, tokenizer: str) -> np.ndarray:
    """What each document costs where it stands in a prompt."""
    texts = [f"{doc.name}\n{describe(doc)}" for doc in catalogue.tools]
    if not tokenizer:
        return np.array([-(-len(text) // 4) for text in texts])
    from transformers import AutoTokenizer

    try:
        made = AutoTokenizer.from_pretrained(tokenizer)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BadInput(f"--tokenizer {tokenizer}: cannot be loaded ({reason})") from error
    return np.array([len(ids) for ids in made(texts, add_special_tokens=False)["input_ids"]])
