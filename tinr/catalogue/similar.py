"""Which documents say nearly the same, and what changed between two catalogues. No torch."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from tinr.catalogue.render import describe
from tinr.records import ToolDoc

COMMON = 1000  # a word in more documents than this does not make a candidate pair by itself
BLOCK = 1000  # documents compared with all others at a time
LEAST_RARE = 0.3  # least cosine over the rarer words, for a pair to be looked at wholly


@dataclass(frozen=True)
class Near:
    """Two documents and how near they are (cosine, 0 to 1)."""

    first: str
    second: str
    similarity: float


def near_duplicates(docs: Sequence[ToolDoc], threshold: float = 0.8) -> list[Near]:
    """Pairs of documents whose words agree, nearest first.

    The measure is the cosine of TF-IDF vectors (1 + log tf, smoothed idf) over the words of
    name, description and parameters. Pairs whose agreement lies in words of over 1,000
    documents alone are not found.
    """
    matrix = _tf_idf([words_of_document(doc) for doc in docs])
    if matrix.shape[1] == 0:
        return []
    counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
    rare = matrix[:, counts <= COMMON].tocsr()
    columns = rare.T.tocsr()
    pairs: list[Near] = []
    for start in range(0, len(docs), BLOCK):
        block = (rare[start : start + BLOCK] @ columns).tocoo()
        rows = block.row + start
        here = (block.data >= min(LEAST_RARE, threshold)) & (rows < block.col)
        rows, others = rows[here], block.col[here]
        exact = np.asarray(matrix[rows].multiply(matrix[others]).sum(1)).ravel()
        near = exact >= threshold - 1e-5  # of single precision
        pairs += [
            Near(docs[i].name, docs[j].name, round(float(value), 4))
            for i, j, value in zip(rows[near], others[near], exact[near], strict=True)
        ]
    return sorted(pairs, key=lambda pair: (-pair.similarity, pair.first, pair.second))


def nearest_neighbours(docs: Sequence[ToolDoc], count: int) -> dict[str, list[str]]:
    """For each document the names of the `count` others most like it, nearest first.

    The measure is that of `near_duplicates`; ties stand in the order of `docs`.
    """
    matrix = _tf_idf([words_of_document(doc) for doc in docs])
    found: dict[str, list[str]] = {}
    for start in range(0, len(docs), BLOCK):
        block = matrix[start : start + BLOCK]
        likeness = (
            -(block @ matrix.T).toarray() if matrix.shape[1] else np.zeros((BLOCK, len(docs)))
        )
        for row, doc in enumerate(docs[start : start + BLOCK]):
            likeness[row, start + row] = np.inf
            order = np.argsort(likeness[row], kind="stable")[: min(count, len(docs) - 1)]
            found[doc.name] = [docs[place].name for place in order]
    return found


def groups(pairs: Sequence[Near]) -> list[list[str]]:
    """The names that pairs connect, largest group first: tools a query cannot tell apart."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for pair in pairs:
        parent[root(pair.first)] = root(pair.second)
    members: dict[str, list[str]] = defaultdict(list)
    for name in parent:
        members[root(name)].append(name)
    return sorted(map(sorted, members.values()), key=lambda group: (-len(group), group))


def words_of_document(doc: ToolDoc) -> list[str]:
    """The words of name (parted at capitals too), description and parameters, in lower case."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", doc.name)
    return words_of_text(f"{spaced} {describe(doc)}")


def words_of_text(text: str) -> list[str]:
    """The words of a text in lower case, without marks."""
    return re.findall(r"[^\W_]+", text.lower())


def _tf_idf(texts: Sequence[list[str]]) -> Any:
    """Rows of length 1, one for each text."""
    places: dict[str, int] = {}
    indptr, indices, data = [0], [], []
    for words in texts:
        for word, count in Counter(words).items():
            indices.append(places.setdefault(word, len(places)))
            data.append(1 + np.log(count))
        indptr.append(len(indices))
    matrix: Any = csr_matrix(
        (np.asarray(data, dtype=np.float32), indices, indptr), shape=(len(texts), len(places))
    )
    used = np.bincount(matrix.indices, minlength=matrix.shape[1])
    matrix.data *= (1 + np.log((1 + len(texts)) / (1 + used))).astype(np.float32)[matrix.indices]
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(1)).ravel())
    lengths[lengths == 0] = 1
    matrix.data /= np.repeat(lengths, np.diff(matrix.indptr)).astype(np.float32)
    return matrix


@dataclass(frozen=True)
class Difference:
    """What changed from one catalogue to another, by name."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]  # old and new name of a document that says the same
    changed: tuple[tuple[str, str], ...]  # name and which parts

    @property
    def empty(self) -> bool:
        """Whether nothing changed."""
        return not (self.added or self.removed or self.renamed or self.changed)


def difference(old: Mapping[str, ToolDoc], new: Mapping[str, ToolDoc]) -> Difference:
    """Added, removed, renamed and changed documents, each in the order of names."""
    added, removed = sorted(set(new) - set(old)), sorted(set(old) - set(new))
    by_content: dict[str, list[str]] = defaultdict(list)
    for name in added:
        by_content[_content(new[name])].append(name)
    renamed: list[tuple[str, str]] = []
    for name in removed:
        same = by_content[_content(old[name])]
        if same:
            renamed.append((name, same.pop(0)))
    changed = [
        (name, ", ".join(parts))
        for name in sorted(set(old) & set(new))
        if (parts := _changed(old[name], new[name]))
    ]
    gone, come = {a for a, _ in renamed}, {b for _, b in renamed}
    return Difference(
        tuple(n for n in added if n not in come),
        tuple(n for n in removed if n not in gone),
        tuple(renamed),
        tuple(changed),
    )


def _content(doc: ToolDoc) -> str:
    return repr((doc.description, _sorted(doc.parameters), doc.returns))


def _changed(old: ToolDoc, new: ToolDoc) -> list[str]:
    parts = [k for k in ("description", "returns") if getattr(old, k) != getattr(new, k)]
    one, other = old.parameters.get("properties", {}), new.parameters.get("properties", {})
    parts += [f"-{name}" for name in one if name not in other]
    parts += [f"+{name}" for name in other if name not in one]
    parts += [f"~{name}" for name in one if name in other and one[name] != other[name]]
    if not parts and _sorted(old.parameters) != _sorted(new.parameters):
        parts.append("parameters")
    return parts


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return sorted((str(k), repr(_sorted(v))) for k, v in value.items())
    return [_sorted(v) for v in value] if isinstance(value, list) else value
