"""Choose N tools of a set of real queries, and split tools and questions. No torch.

The choice is deterministic, and a smaller choice is a subset of each larger one: tools with more
questions come first, and ties are broken by a hash of the name. Every fourth tool is unseen: all
its questions are test questions. A third of the other tools' questions are test questions.
Near-duplicate documents stay on one side of the split, and so do near-duplicate questions.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count

from tinr.catalogue.failures import misfit
from tinr.catalogue.load import Catalogue
from tinr.catalogue.similar import connected, near_duplicates, near_texts
from tinr.evaluation.suites import Suite
from tinr.records import BadInput, Query, Split, ToolDoc

NEAR_DOCUMENTS = 0.8  # minimum cosine of near-duplicate documents
NEAR_QUESTIONS = 0.8  # minimum cosine of near-duplicate questions
UNSEEN_EVERY = 4  # one tool in this many is unseen
TEST_EVERY = 3  # one group of similar questions in this many is for the test
LONGEST_NAME = 120  # characters
SEVERAL_TURNS = "multi_turn"  # prefix of BFCL's groups of conversations with several user turns
MOST_TRAINED, MOST_TESTED = 16, 8  # questions per tool, so that no tool dominates a figure


@dataclass(frozen=True)
class RealSet:
    """N tools, training questions of the seen ones, test questions of seen and unseen ones.

    offered: id of a test question -> those of the N tools that its source offers with it.
    versions: name of a source document -> name of the kept document that stands for it.
    """

    catalogue: Catalogue
    train: tuple[Query, ...]
    test: tuple[Query, ...]
    offered: Mapping[str, tuple[str, ...]]
    versions: Mapping[str, str]


def choose(suite: Suite, size: int) -> RealSet:
    """Choose `size` tools of a suite that was read with its own documents.

    Uses questions whose reference states all its calls and that are a whole conversation (not the
    first turn of several). Of these, keeps the ones whose tools are all chosen and all on one side.
    BadInput if `size` is below 4, or if fewer tools have such questions.
    """
    questions = [query for query in suite.queries if _is_plain(query)]
    kept, versions = one_version(suite, questions)
    questions = [_renamed(query, versions) for query in questions]
    asked = Counter(name for query in questions for name in {call.name for call in query.calls})
    if not 4 <= size <= len(asked):
        raise BadInput(
            f"--tools {size}: {suite.name} has questions of {len(asked)} tools; give 4 to "
            f"{len(asked)}"
        )
    names = sorted(asked, key=lambda name: (-asked[name], _hash(name)))[:size]
    docs = [kept[name] for name in names]
    sides = _sides(docs)
    train, test = _split(questions, sides)
    known = {query.id for query in test}
    offered = {
        query.id: tuple(
            dict.fromkeys(versions[name] for name in query.tools if versions.get(name) in sides)
        )
        for query in suite.queries
        if query.id in known
    }
    return RealSet(Catalogue(tuple(docs)), train, test, offered, versions)


def _is_plain(query: Query) -> bool:
    is_whole = not query.history and not query.group.startswith(SEVERAL_TURNS)
    return bool(query.calls) and query.teachable and is_whole


def one_version(
    suite: Suite, questions: Sequence[Query]
) -> tuple[dict[str, ToolDoc], dict[str, str]]:
    """Merge the documents of one function if its questions do not depend on their differences.

    The document with the most reference calls is kept. A kept document takes over the questions of
    another one if it accepts all of that one's reference calls; else both are kept. Returns the
    kept documents by new name (the source's name, with a number if there are several), and the new
    name of each document of the suite.
    """
    calls: dict[str, list[Mapping[str, object]]] = defaultdict(list)
    for query in questions:
        for call in query.calls:
            calls[call.name].append(call.arguments)
    functions: dict[str, list[str]] = defaultdict(list)
    for doc in suite.catalogue.tools:
        functions[suite.source_names.get(doc.name, doc.name)].append(doc.name)
    kept: dict[str, ToolDoc] = {}
    versions: dict[str, str] = {}
    for function, documents in functions.items():
        own: list[ToolDoc] = []
        for name in sorted(documents, key=lambda name: (-len(calls[name]), _hash(name))):
            doc = suite.catalogue.by_name[name]
            taker = next((one for one in own if _takes(one, calls[name])), None)
            if taker is None and (calls[name] or not own):
                taker = replace(doc, name=_free_name(function, kept))
                own.append(taker)
                kept[taker.name] = taker
            versions[name] = (taker or own[0]).name
    return kept, versions


def _takes(doc: ToolDoc, calls: Iterable[Mapping[str, object]]) -> bool:
    return all(misfit(arguments, doc.parameters) is None for arguments in calls)


def _free_name(function: str, taken: Collection[str]) -> str:
    """A name that can be a tool token, with a number if another tool already has it."""
    name = "".join(c if c.isalnum() or c in "_.-/" else "_" for c in function)[:LONGEST_NAME]
    names = chain([name], (f"{name}_{number}" for number in count(2)))
    return next(name for name in names if name not in taken)


def _renamed(query: Query, versions: Mapping[str, str]) -> Query:
    """The question with the kept names and without offered tools: a model chooses among all.

    Questions about one tool are correlated, so tools take the place of phrasings as clusters.
    """
    turns = tuple(
        tuple(replace(call, name=versions[call.name]) for call in turn) for turn in query.turns
    )
    names = dict.fromkeys(call.name for turn in turns for call in turn)
    return replace(query, turns=turns, tools=(), group="", phrasings=tuple(names))


def _sides(docs: Sequence[ToolDoc]) -> dict[str, Split]:
    """Tool -> seen or unseen; near-duplicate documents are on the side of the first of them."""
    group_of = connected(
        [doc.name for doc in docs],
        [(near.first, near.second) for near in near_duplicates(docs, NEAR_DOCUMENTS)],
    )
    side_of_group: dict[str, Split] = {}
    for place, doc in enumerate(docs):
        is_unseen = place % UNSEEN_EVERY == UNSEEN_EVERY - 1
        side_of_group.setdefault(group_of[doc.name], "unseen" if is_unseen else "seen")
    return {doc.name: side_of_group[group_of[doc.name]] for doc in docs}


def _split(
    questions: Sequence[Query], sides: Mapping[str, Split]
) -> tuple[tuple[Query, ...], tuple[Query, ...]]:
    """Training and test questions, at most MOST_TRAINED and MOST_TESTED per tool."""
    marked: list[Query] = []
    for query in sorted(questions, key=lambda query: _hash(query.id)):
        own_sides = {sides.get(call.name) for call in query.calls}
        if len(own_sides) == 1 and (side := own_sides.pop()) is not None:
            marked.append(replace(query, split=side))
    pairs = near_texts([query.text for query in marked], NEAR_QUESTIONS)
    ids = [query.id for query in marked]
    group_of = connected(ids, [(ids[a], ids[b]) for a, b in pairs])
    trained, tested = Counter[str](), Counter[str]()
    side_of_group: dict[str, str] = {}
    train: list[Query] = []
    test: list[Query] = []
    for query in marked:
        names = {call.name for call in query.calls}
        group = group_of[query.id]
        if query.split == "unseen":
            side = side_of_group.setdefault(group, "test")
        else:
            is_due = all(trained[n] >= (TEST_EVERY - 1) * (tested[n] + 1) for n in names)
            side = side_of_group.setdefault(group, "test" if is_due else "train")
        counts, most = (tested, MOST_TESTED) if side == "test" else (trained, MOST_TRAINED)
        if query.split == "unseen" and side == "train":
            continue  # a training question is a near-duplicate
        if all(counts[name] < most for name in names):
            counts.update(names)
            (test if side == "test" else train).append(query)
    return tuple(train), tuple(test)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
