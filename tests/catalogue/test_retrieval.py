"""Which documents a prompt carries: retrievers, candidates, and what training may see."""

from random import Random

import pytest

from tinr.catalogue.load import load_catalogue
from tinr.catalogue.render import describe
from tinr.catalogue.retrieval import DocumentsConfig, Library, all_shown, make_retriever
from tinr.data.replay import pseudo_queries
from tinr.records import BadInput, Call, Query

AREA = Query("q1", "the area of a circle of radius 3", ((Call("circle_area", {"radius": 3}),),))
FOOT = Query("q2", "look up a city", ((Call("length_convert", {}),),))


@pytest.fixture(scope="module")
def toolbox():
    return load_catalogue("toolbox")


@pytest.mark.parametrize("name", ["bm25", "lsa"])
def test_a_tool_is_found_by_the_words_of_its_document(name, toolbox):
    retriever = make_retriever(name, toolbox.tools)
    texts = [doc.description for doc in toolbox.tools]
    found = retriever.rank(texts, 3)
    hits = sum(doc.name in names for doc, names in zip(toolbox.tools, found, strict=True))
    assert hits >= 0.97 * len(texts)
    assert all(len(set(names)) == 3 for names in found)


@pytest.mark.parametrize("name", ["bm25", "lsa"])
def test_odd_queries_and_small_catalogues_are_no_errors(name, catalogue):
    retriever = make_retriever(name, catalogue.tools)
    for text in ("", "???", "zzzz qqqq", "a" * 5000):
        assert len(retriever.rank([text], 10)[0]) == 3


def test_a_sentence_transformers_model_ranks_by_its_own_embeddings(tmp_path, catalogue):
    """A tiny random model in the package's own form: ranks are cosines of what it encodes."""
    sentence_transformers = pytest.importorskip("sentence_transformers")
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "area", "circle", "city", "length", "look", "up"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "bert")
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    BertModel(config).save_pretrained(tmp_path / "bert")
    model = sentence_transformers.SentenceTransformer(str(tmp_path / "bert"), device="cpu")
    model.save(str(tmp_path / "dense"))
    retriever = make_retriever(str(tmp_path / "dense"), catalogue.tools)
    text = "circle_area\n" + describe(catalogue.by_name["circle_area"])
    assert retriever.rank([text], 1) == [["circle_area"]]


def test_an_unknown_retriever_is_one_line(catalogue):
    pytest.importorskip("sentence_transformers")
    with pytest.raises(BadInput, match="bm25, lsa"):
        make_retriever("/no/such/folder", catalogue.tools)


def test_no_documents_where_the_mode_carries_none(catalogue):
    library = Library(catalogue, DocumentsConfig())
    assert library.shown([AREA], "none") == library.shown([AREA], "on_select") == [()]


def test_all_documents_or_the_stated_candidates_stand_in_the_prompt(catalogue):
    library = Library(catalogue, DocumentsConfig())
    assert {d.name for d in library.shown([AREA], "in_prompt")[0]} == set(catalogue.by_name)
    stated = Query("q3", "x", AREA.turns, tools=("city.find", "circle_area", "elsewhere"))
    names = [d.name for d in library.shown([stated], "in_prompt")[0]]
    assert names == ["city.find", "circle_area"]


def test_drawn_candidates_hold_the_right_ones_in_no_telling_place(toolbox):
    library = Library(toolbox, DocumentsConfig(candidates=5))
    calls = [(Call(name, {}),) for name in toolbox.names]
    queries = [Query(f"q{n}", "x", (turn,)) for n, turn in enumerate(calls)]
    shown = library.shown(queries, "in_prompt")
    assert shown == library.shown(queries, "in_prompt")
    assert all(all_shown(shown, queries)) and {len(docs) for docs in shown} == {5}
    places = [
        [d.name for d in docs].index(q.calls[0].name)
        for docs, q in zip(shown, queries, strict=True)
    ]
    assert all(places.count(place) > 15 for place in range(5))  # about 36 of 178 each


def test_training_never_misses_the_right_document_and_evaluation_may(catalogue):
    library = Library(catalogue, DocumentsConfig(top_k=1))
    assert [d.name for d in library.shown([FOOT], "retrieved")[0]] == ["city.find"]
    assert [d.name for d in library.shown([FOOT], "retrieved", taught=True)[0]] == [
        "length_convert"
    ]
    both = Query("q4", FOOT.text, ((Call("length_convert", {}), Call("circle_area", {})),))
    taught = library.shown([both], "retrieved", taught=True)
    assert all_shown(taught, [both]) == [True]


def test_what_was_found_is_asked_only_of_queries_that_expect_calls(catalogue):
    library = Library(catalogue, DocumentsConfig(top_k=1))
    queries = [AREA, FOOT, Query("q5", "hello")]
    assert all_shown(library.shown(queries, "retrieved"), queries) == [True, False, None]


@pytest.mark.parametrize("config", [DocumentsConfig(top_k=0), DocumentsConfig(candidates=-1)])
def test_impossible_numbers_are_refused(config, catalogue):
    with pytest.raises(BadInput):
        Library(catalogue, config)


def test_pseudo_queries_are_of_the_tools_without_queries_alone(catalogue):
    made = pseudo_queries(catalogue, [AREA], 3, Random(0))
    assert sorted(q.calls[0].name for q in made) == ["city.find"] * 3 + ["length_convert"] * 3
    again = pseudo_queries(catalogue, [AREA, *made], 3, Random(0))
    assert [q.text for q in again] == [q.text for q in made]  # its own do not silence it
