"""Easy to hard: what makes a query hard, buckets in order, batches that keep them apart."""

import pytest

from phases import sft
from tinr.catalogue.retrieval import DocumentsConfig, Library
from tinr.config import TrainingConfig
from tinr.config_files import build, load_config
from tinr.data.curriculum import CurriculumConfig, buckets, difficulties, features
from tinr.data.own_completions import Completion, OwnCompletions
from tinr.data.paced_batches import UNORDERED, paced_batches
from tinr.records import BadInput, Call, Query
from tinr.run_log import RunLog, read_log

AREA = Call("circle_area", {"radius": 2})
LENGTH = Call("length_convert", {"length": 2, "source": "metre", "target": "foot"})
QUERIES = [
    Query("two", "Area, then convert two feet.", ((AREA,), (LENGTH,))),
    Query("none", "Hello."),
    Query("one", "Area of radius 2?", ((AREA,),)),
    Query("three", "Convert two metres to feet, please.", ((LENGTH,),)),
]


def test_what_is_measured_of_a_query(catalogue):
    found = features(QUERIES, catalogue, near=0.99)
    assert found["calls"] == [2, 0, 1, 1]
    assert found["parameters"] == [4, 0, 1, 3]
    assert found["neighbours"] == [0, 0, 0, 0]
    assert found["length"] == [5, 1, 4, 6]
    everything = features(QUERIES, catalogue, near=0.0)  # two others for each tool
    assert everything["neighbours"] == [4, 0, 2, 2]


def test_a_difficulty_is_a_mean_of_ranks():
    """Ranks of calls, halves for ties: (3.5, 0.5, 2, 2) - half of 4; of parameters 3.5, .5, 1.5,
    2.5 of 4. Weights 3 and 1: the third is (3 * .375 + .375) / 4 with (2 - .5) / 4 = .375."""
    found = difficulties({"calls": [2, 0, 1, 1], "parameters": [4, 0, 1, 3]},
                         {"calls": 3.0, "parameters": 1.0})  # fmt: skip
    assert found == pytest.approx([0.875, 0.125, (3 * 0.5 + 0.375) / 4, (3 * 0.5 + 0.625) / 4])


def test_buckets_are_in_order_and_hold_every_query_once(catalogue):
    order = buckets(QUERIES, catalogue, CurriculumConfig(borders=(0.25, 0.5)), 0)
    assert [[q.id for q in b.queries] for b in order] == [["none"], ["one"], ["two", "three"]]
    assert order[0].high <= order[1].low <= order[1].mean <= order[2].low < order[2].high
    assert [list(b.queries) for b in buckets(QUERIES, catalogue, CurriculumConfig(), 0)] == [
        QUERIES
    ]


@pytest.mark.parametrize(
    "given",
    [{"borders": [float("nan")]}, {"borders": [0.5], "weights": {"calls": 1, "length": -1}}],
)
def test_weights_below_none_and_borders_that_are_none_are_refused(given):
    with pytest.raises(BadInput):
        build(CurriculumConfig, given, "here")


def test_mixed_queries_go_anywhere_and_sizes_stay(catalogue):
    many = [Query(f"q{n}", "word " * n) for n in range(100)]
    strict = CurriculumConfig(borders=(0.3,), weights={"length": 1.0})
    half = CurriculumConfig(borders=(0.3,), weights={"length": 1.0}, mixed=0.5)
    assert [q.id for q in buckets(many, catalogue, strict, 0)[0].queries] == [
        f"q{n}" for n in range(30)
    ]
    easy, hard = buckets(many, catalogue, half, 0)
    assert (len(easy.queries), len(hard.queries)) == (30, 70)
    strangers = sum(int(q.id[1:]) >= 30 for q in easy.queries)
    assert 4 <= strangers <= 17  # of 15 that are dealt anew 10.5 are expected


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"borders": (0.7, 0.4)}, "not increasing between 0 and 1"),
        ({"borders": (1.0,)}, "not increasing between 0 and 1"),
        ({"borders": (0.5,), "weights": {"calls": 0.0}}, "at least one feature"),
        ({"mixed": 2.0}, "not a share"),
    ],
)
def test_a_wrong_setting_stops_with_one_line(settings, said):
    with pytest.raises(BadInput, match=said):
        CurriculumConfig(**settings)


def test_a_bucket_without_a_query_is_refused(catalogue):
    with pytest.raises(BadInput, match="bucket 1 has none"):
        buckets(QUERIES, catalogue, CurriculumConfig(borders=(0.1,)), 0)


OWN = OwnCompletions((Completion((1, 2), (3, 4)),) * 3)  # what a base said to plain prompts


def parts_of(codec, catalogue, **curriculum):
    queries = [
        Query(f"q{n}", f"Area of radius {n}?" + " please" * n, ((AREA,),)) for n in range(12)
    ]
    config = sft.SftConfig(
        documents={"none": 1.0}, replay_pairs=1, unqueried=1, replay=0.1, epochs=2,
        curriculum=CurriculumConfig(weights={"length": 1.0}, **curriculum),
        training=TrainingConfig(batch_tokens=256, row_tokens=128),
    )  # fmt: skip
    library = Library(catalogue, DocumentsConfig(), 0)
    order = buckets(queries, catalogue, config.curriculum, 0)
    paced = paced_batches(
        lambda parts, epoch: sft.bucket_examples(config, codec, library, parts, OWN, epoch),
        order, config.epochs, config.curriculum.epochs, config.training, 0, codec.pad,
    )  # fmt: skip
    return config, library, order, paced


def test_batches_keep_buckets_apart_and_lose_nothing(grown, catalogue):
    """An ordered epoch has the labels of an unordered one; later epochs have no order."""
    codec = grown("tiny")
    config, library, order, paced = parts_of(codec, catalogue, borders=(0.25, 0.75))
    first, second = numbers_by_epoch(paced)
    assert sorted(first) == first and set(first) == {0, 1, 2}
    assert set(second) == {UNORDERED}
    examples = sft.bucket_examples(config, codec, library, [b.queries for b in order], OWN, 0)
    assert [len(b.queries) for b in order] == [3, 6, 3]
    assert min(map(len, examples)) > 3  # each has something of what is replayed
    batches = list(paced.batches)
    for bucket, part in enumerate(examples):
        mine = [b for number, b in zip(first, batches, strict=False) if number == bucket]
        real = sum(int((b["weights"] > 0).sum()) for b in mine)
        assert real == sum(len(example.ids) for example in part)
    *_, plain = parts_of(codec, catalogue)
    assert plain.beside(1) is None and plain.taught == {}
    everything = sum(len(example.ids) for part in examples for example in part)
    whole = sft.epoch_examples(
        config, codec, library, [q for b in order for q in b.queries], OWN, 0
    )
    assert everything == sum(len(example.ids) for example in whole)


def numbers_by_epoch(paced):
    """The buckets of the first epoch's batches, and those of the second."""
    border = list(paced.numbers).index(UNORDERED)
    return list(paced.numbers[:border]), list(paced.numbers[border:])


def test_every_row_of_the_log_says_its_bucket(grown, catalogue, tmp_path):
    codec = grown("tiny")
    _, _, order, paced = parts_of(codec, catalogue, borders=(0.25, 0.75))
    first = list(paced.numbers).count(0)
    with RunLog(tmp_path, "sft", {}) as log:
        log.beside = paced.beside(1)
        for step in (1, first, first + 1, len(paced.numbers)):
            log.log(step, {"train/loss": 1.0})
        log.log(step, {"gate/document_to_token": 1.0})
    rows = read_log(tmp_path / "sft.jsonl")
    assert [row.get("train/bucket") for row in rows] == [0.0, 0.0, 1.0, None, None]
    assert rows[0]["train/difficulty"] == order[0].mean < rows[2]["train/difficulty"]
    taught = paced.taught["curriculum"]
    assert [row["queries"] for row in taught] == [3, 6, 3]
    assert [row["batches"] for row in taught] == [list(paced.numbers).count(n) for n in range(3)]


def test_a_share_of_documents_modes_is_needed():
    with pytest.raises(BadInput, match="no mode has a share"):
        load_config(sft.SftConfig, None, ["documents={none: 0}"])


def test_it_is_off_unless_set_and_set_by_words():
    assert sft.SftConfig().curriculum.borders == ()
    config = load_config(sft.SftConfig, None, ["curriculum={borders: [0.4, 0.7], mixed: 0.1}"])
    assert config.curriculum.borders == (0.4, 0.7)
    with pytest.raises(BadInput, match="not increasing between 0 and 1"):
        load_config(sft.SftConfig, None, ["curriculum.borders=[0.7, 0.4]"])
