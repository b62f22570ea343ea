"""Facts about a catalogue before training: errors, near-duplicates, tokens."""

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
    """Return every valid document of the sources, and the error of each invalid one."""
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
                faults.append(
                    f"{place}: tool {doc.name!r} is already defined at {places[doc.name]}"
                )
                continue
            docs[doc.name], places[doc.name] = doc, place
    return Catalogue(tuple(docs.values())), faults


def survey(catalogue: Catalogue, near: float = 0.8, tokenizer: str = "") -> dict[str, Any]:
    """Return near-duplicates, groups, documents without a description, and tokens as plain data.

    `tokenizer` (a folder or hub name) counts the tokens; without it, a token is four characters.
    """
    if not 0 < near <= 1:
        raise BadInput(f"--near {near}: not a similarity; give a number above 0 and at most 1")
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
            doc.name
            for doc in catalogue.tools
            if doc.description in (words_of(doc.name), words_of(_unqualified_name(doc.name)))
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


def _unqualified_name(name: str) -> str:
    return name.rsplit(".", 1)[-1]


def _costs(catalogue: Catalogue, tokenizer: str) -> np.ndarray:
    """Return the number of tokens of each document in a prompt."""
    texts = [f"{doc.name}\n{describe(doc)}" for doc in catalogue.tools]
    if not tokenizer:
        return np.array([-(-len(text) // 4) for text in texts])
    from transformers import AutoTokenizer

    try:
        encode = AutoTokenizer.from_pretrained(tokenizer)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BadInput(f"--tokenizer {tokenizer}: cannot be loaded ({reason})") from error
    return np.array([len(ids) for ids in encode(texts, add_special_tokens=False)["input_ids"]])
