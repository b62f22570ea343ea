"""Choose the documents in a prompt, for the modes in_prompt and retrieved.

The retrievers come from maintained packages: BM25 (bm25s), latent semantic analysis
(scikit-learn), which needs no trained weights, and any sentence-transformers model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Annotated, Any, Protocol

from typing_extensions import Doc

from tinr.catalogue.load import Catalogue
from tinr.catalogue.render import describe
from tinr.catalogue.similar import words_of_document, words_of_text
from tinr.config import Count, Whole
from tinr.records import BadInput, DocumentsMode, Query, ToolDoc

NO_WORD = "-"  # replaces a text without words: bm25s cannot take an empty list
LSA_DIMENSIONS = 128  # at most the number of documents minus 1


@dataclass(frozen=True)
class DocumentsConfig:
    """The two baselines in which a prompt contains documents."""

    retriever: Annotated[
        str, Doc("bm25, lsa, or a sentence-transformers model (folder or hub name)")
    ] = "bm25"
    top_k: Annotated[Count, Doc("documents that the retriever puts into the prompt")] = 5
    candidates: Annotated[
        Whole,
        Doc(
            "in_prompt: documents in the prompt: the query's own tools and random others;"
            " 0: the candidates listed with the query, or else the whole catalogue"
        ),
    ] = 0


class Retriever(Protocol):
    """Ranks documents for queries."""

    def rank(self, texts: Sequence[str], count: int) -> list[list[str]]:
        """Return the names of `count` documents for each text, nearest first."""
        ...


class Bm25:
    """BM25 over the words of name, description and parameters (bm25s' default variant)."""

    def __init__(self, docs: Sequence[ToolDoc]):
        import bm25s

        self.names = [doc.name for doc in docs]
        self.index = bm25s.BM25()
        self.index.index([words_of_document(doc) or [NO_WORD] for doc in docs], show_progress=False)

    def rank(self, texts: Sequence[str], count: int) -> list[list[str]]:
        """See `Retriever`; documents that share no word come last, in arbitrary order."""
        count = min(count, len(self.names))
        queries = [words_of_text(text) or [NO_WORD] for text in texts]
        results: Any = self.index.retrieve(queries, k=count, show_progress=False)
        return [[self.names[index] for index in row] for row in results.documents]


class Dense:
    """Cosine similarity of embeddings."""

    def __init__(self, docs: Sequence[ToolDoc], embed: Any):
        self.names = [doc.name for doc in docs]
        self.embed = embed
        self.table = embed([f"{doc.name}\n{describe(doc)}" for doc in docs], False)

    def rank(self, texts: Sequence[str], count: int) -> list[list[str]]:
        """See `Retriever`."""
        scores = self.embed(list(texts), True) @ self.table.T
        order = (-scores).argsort(axis=1, kind="stable")[:, :count]
        return [[self.names[i] for i in row] for row in order]


def make_retriever(name: str, docs: Sequence[ToolDoc]) -> Retriever:
    """Return the retriever of that name over the documents; BadInput if it cannot be made."""
    if name == "bm25":
        return Bm25(docs)
    return Dense(docs, _lsa(docs) if name == "lsa" else _sentence_transformer(name))


def _lsa(docs: Sequence[ToolDoc]) -> Any:
    """Return a function that embeds texts with a truncated SVD of TF-IDF, fitted on `docs`."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer

    vectors = TfidfVectorizer(token_pattern=r"[^\W_]+", sublinear_tf=True)
    size = max(1, min(LSA_DIMENSIONS, len(docs) - 1))
    pipeline = make_pipeline(vectors, TruncatedSVD(size, random_state=0), Normalizer())
    pipeline.fit([" ".join(words_of_document(doc)) for doc in docs])
    return lambda texts, as_queries: pipeline.transform(texts)


@lru_cache(maxsize=1)  # a server makes a retriever for each set of offered tools
def _sentence_transformer(name: str) -> Any:
    """Return a function that embeds texts with the user's model and its prompt for queries."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise BadInput(
            f"retriever {name!r} needs sentence-transformers; pip install 'tinr[dense]', "
            "or use bm25 or lsa"
        ) from error
    try:
        model = SentenceTransformer(name)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BadInput(
            f"retriever {name!r}: no such model ({reason}); "
            "give bm25, lsa, or a sentence-transformers model's folder or hub name"
        ) from error

    def embed(texts: Sequence[str], as_queries: bool) -> Any:
        encode = model.encode_query if as_queries else model.encode_document
        return encode(list(texts), normalize_embeddings=True, show_progress_bar=False)

    return embed


class Library:
    """Chooses the documents in the prompt of each query."""

    def __init__(self, catalogue: Catalogue, config: DocumentsConfig, seed: int = 0):
        if config.top_k < 1 or config.candidates < 0:
            raise BadInput("top_k must be at least 1 and candidates 0 or more; correct them")
        self.catalogue, self.config, self.seed = catalogue, config, seed
        self._retriever: Retriever | None = None

    def shown(
        self, queries: Sequence[Query], mode: DocumentsMode, taught: bool = False
    ) -> list[tuple[ToolDoc, ...]]:
        """Return the documents in the prompt of each query: none in the modes none and on_select.

        taught: for training. The retrieved documents must then include the query's own tools, so
        a tool that the retriever missed replaces one of the lowest-ranked others.
        """
        if mode == "in_prompt":
            names = [self._candidates(query) for query in queries]
        elif mode == "retrieved":
            names = self._retrieved(queries, taught)
        else:
            names = [[] for _ in queries]
        return [
            tuple(self.catalogue.by_name[n] for n in document_names) for document_names in names
        ]

    def _candidates(self, query: Query) -> list[str]:
        candidates = [name for name in query.tools if name in self.catalogue.by_name]
        if not self.config.candidates:
            return candidates or [doc.name for doc in self.catalogue.tools]
        rng = Random(f"{self.seed}/{query.id}")
        names = list(dict.fromkeys([*(call.name for call in query.calls), *candidates]))
        distractors = [doc.name for doc in self.catalogue.tools if doc.name not in names]
        names += rng.sample(
            distractors, min(len(distractors), max(0, self.config.candidates - len(names)))
        )
        return rng.sample(names, len(names))

    def _retrieved(self, queries: Sequence[Query], taught: bool) -> list[list[str]]:
        if self._retriever is None:
            self._retriever = make_retriever(self.config.retriever, self.catalogue.tools)
        rankings = self._retriever.rank([query.text for query in queries], self.config.top_k)
        return [
            _with_own(names, query) if taught else names
            for names, query in zip(rankings, queries, strict=True)
        ]


def _with_own(names: Sequence[str], query: Query) -> list[str]:
    """Return the names with the query's missing tools in place of the lowest-ranked others."""
    query_tools = dict.fromkeys(call.name for call in query.calls)
    missing_tools = [name for name in query_tools if name not in names]
    prompt_names = list(names)
    for index in reversed(range(len(prompt_names))):
        if missing_tools and prompt_names[index] not in query_tools:
            prompt_names[index] = missing_tools.pop()
    return prompt_names + missing_tools


def all_shown(shown: Sequence[Sequence[ToolDoc]], queries: Sequence[Query]) -> list[bool | None]:
    """Return for each query if its prompt contains all its tools' documents; None without calls."""
    return [
        {call.name for call in query.calls} <= {doc.name for doc in docs} if query.calls else None
        for docs, query in zip(shown, queries, strict=True)
    ]
