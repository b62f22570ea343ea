"""Find near-duplicate documents, and differences between two catalogues. No torch."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from tinr.catalogue.render import describe
from tinr.records import ToolDoc

COMMON = 1000  # a word in more documents than this does not make a candidate pair by itself
BLOCK = 1000  # documents compared with all others at once
LEAST_RARE = 0.3  # minimum cosine over a pair's rare words to compute its full cosine


@dataclass(frozen=True)
class Near:
    """Two documents and their similarity (cosine, 0 to 1)."""

    first: str
    second: str
    similarity: float


def near_duplicates(docs: Sequence[ToolDoc], threshold: float = 0.8) -> list[Near]:
    """Return pairs of documents with similar words, nearest first.

    The measure is the cosine of TF-IDF vectors (1 + log tf, smoothed idf) over the words of
    name, description and parameters. Pairs that share only words of more than 1,000 documents
    are not found.
    """
    return sorted(
        (
            Near(docs[i].name, docs[j].name, similarity)
            for i, j, similarity in _near([words_of_document(doc) for doc in docs], threshold)
        ),
        key=lambda pair: (-pair.similarity, pair.first, pair.second),
    )


def near_texts(texts: Sequence[str], threshold: float = 0.8) -> list[tuple[int, int]]:
    """Return index pairs of texts with similar words, by the measure of `near_duplicates`."""
    return [(i, j) for i, j, _ in _near([words_of_text(text) for text in texts], threshold)]


def _near(texts: Sequence[list[str]], threshold: float) -> Iterator[tuple[int, int, float]]:
    """Yield (i, j, cosine) for similar texts, i < j; each text is a list of words."""
    matrix = _tf_idf(texts)
    if matrix.shape[1] == 0:
        return
    counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
    rare_words = matrix[:, counts <= COMMON].tocsr()
    columns = rare_words.T.tocsr()
    for start in range(0, len(texts), BLOCK):
        block = (rare_words[start : start + BLOCK] @ columns).tocoo()
        rows = block.row + start
        mask = (block.data >= min(LEAST_RARE, threshold)) & (rows < block.col)
        rows, neighbours = rows[mask], block.col[mask]
        similarities = np.asarray(matrix[rows].multiply(matrix[neighbours]).sum(1)).ravel()
        is_near = similarities >= threshold - 1e-5  # tolerance of single precision
        for i, j, similarity in zip(
            rows[is_near], neighbours[is_near], similarities[is_near], strict=True
        ):
            yield int(i), int(j), round(float(similarity), 4)


def nearest_neighbours(docs: Sequence[ToolDoc], count: int) -> dict[str, list[str]]:
    """Return for each document the names of the `count` most similar others, nearest first.

    The measure is that of `near_duplicates`. Ties keep the order of `docs`.
    """
    matrix = _tf_idf([words_of_document(doc) for doc in docs])
    neighbours: dict[str, list[str]] = {}
    for start in range(0, len(docs), BLOCK):
        block = matrix[start : start + BLOCK]
        likeness = (
            -(block @ matrix.T).toarray() if matrix.shape[1] else np.zeros((BLOCK, len(docs)))
        )
        for row, doc in enumerate(docs[start : start + BLOCK]):
            likeness[row, start + row] = np.inf
            order = np.argsort(likeness[row], kind="stable")[: min(count, len(docs) - 1)]
            neighbours[doc.name] = [docs[index].name for index in order]
    return neighbours


def groups(pairs: Sequence[Near]) -> list[list[str]]:
    """Group names connected by pairs, largest first; a query cannot tell a group's tools apart."""
    names = dict.fromkeys(name for pair in pairs for name in (pair.first, pair.second))
    members: dict[str, list[str]] = defaultdict(list)
    for name, root in connected([*names], [(pair.first, pair.second) for pair in pairs]).items():
        members[root].append(name)
    return sorted(map(sorted, members.values()), key=lambda group: (-len(group), group))


def connected(names: Sequence[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Map each name to one name that represents its group; pairs connect the names of a group."""
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for first, second in pairs:
        parent[root(first)] = root(second)
    return {name: root(name) for name in names}


def words_of_document(doc: ToolDoc) -> list[str]:
    """Return the lower-case words of name (also split at capitals), description and parameters."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", doc.name)
    return words_of_text(f"{name} {describe(doc)}")


def words_of_text(text: str) -> list[str]:
    """Return the lower-case words of a text, without punctuation."""
    return re.findall(r"[^\W_]+", text.lower())


def _tf_idf(texts: Sequence[list[str]]) -> Any:
    """Return the TF-IDF matrix: a row of length 1 for each text."""
    columns: dict[str, int] = {}
    indptr, indices, data = [0], [], []
    for words in texts:
        for word, count in Counter(words).items():
            indices.append(columns.setdefault(word, len(columns)))
            data.append(1 + np.log(count))
        indptr.append(len(indices))
    matrix: Any = csr_matrix(
        (np.asarray(data, dtype=np.float32), indices, indptr), shape=(len(texts), len(columns))
    )
    document_counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
    matrix.data *= (1 + np.log((1 + len(texts)) / (1 + document_counts))).astype(np.float32)[
        matrix.indices
    ]
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(1)).ravel())
    lengths[lengths == 0] = 1
    matrix.data /= np.repeat(lengths, np.diff(matrix.indptr)).astype(np.float32)
    return matrix


@dataclass(frozen=True)
class Difference:
    """The changes from one catalogue to another, by name."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]  # old and new name of a document with the same content
    changed: tuple[tuple[str, str], ...]  # name and the parts that changed

    @property
    def empty(self) -> bool:
        """Whether nothing changed."""
        return not (self.added or self.removed or self.renamed or self.changed)


def difference(old: Mapping[str, ToolDoc], new: Mapping[str, ToolDoc]) -> Difference:
    """Return added, removed, renamed and changed documents, each in the order of names."""
    added, removed = sorted(set(new) - set(old)), sorted(set(old) - set(new))
    by_content: dict[str, list[str]] = defaultdict(list)
    for name in added:
        by_content[_content(new[name])].append(name)
    renamed: list[tuple[str, str]] = []
    for name in removed:
        candidates = by_content[_content(old[name])]
        if candidates:
            renamed.append((name, candidates.pop(0)))
    changed = [
        (name, ", ".join(parts))
        for name in sorted(set(old) & set(new))
        if (parts := _changed(old[name], new[name]))
    ]
    old_names, new_names = (
        {old_name for old_name, _ in renamed},
        {new_name for _, new_name in renamed},
    )
    return Difference(
        tuple(name for name in added if name not in new_names),
        tuple(name for name in removed if name not in old_names),
        tuple(renamed),
        tuple(changed),
    )


def _content(doc: ToolDoc) -> str:
    return repr((doc.description, _sorted(doc.parameters), doc.returns))


def _changed(old: ToolDoc, new: ToolDoc) -> list[str]:
    changes = [key for key in ("description", "returns") if getattr(old, key) != getattr(new, key)]
    old_properties, new_properties = (
        old.parameters.get("properties", {}),
        new.parameters.get("properties", {}),
    )
    changes += [f"-{name}" for name in old_properties if name not in new_properties]
    changes += [f"+{name}" for name in new_properties if name not in old_properties]
    changes += [
        f"~{name}"
        for name in old_properties
        if name in new_properties and old_properties[name] != new_properties[name]
    ]
    if not changes and _sorted(old.parameters) != _sorted(new.parameters):
        changes.append("parameters")
    return changes


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return sorted((str(k), repr(_sorted(item))) for k, item in value.items())
    return [_sorted(item) for item in value] if isinstance(value, list) else value
