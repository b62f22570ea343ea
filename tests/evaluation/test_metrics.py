"""Metrics: intervals and tests against hand-worked numbers, outcomes of scripted replies."""

from dataclasses import replace

import numpy as np
import pytest

from tinr.evaluation.metrics import (
    IN_FAMILY,
    METRICS,
    Outcome,
    Rate,
    as_one,
    design_effect,
    families_of,
    number_of_clusters,
    outcome,
    paired_p,
    rate,
    summarise,
)
from tinr.records import Call, Query, Reply, ToolDoc

A, B = Call("a", {"x": 1, "y": 2}), Call("b", {"s": "oak"})
TWO = Query("1", "Both?", ((A, B),), "42")
NONE = Query("2", "Hello")


def reply(*calls: Call, response: str | None = "42", problems: tuple[str, ...] = ()) -> Reply:
    """A reply that names what it calls."""
    return Reply(
        thought="so",
        named=tuple(call.name for call in calls),
        calls=calls,
        response=response,
        problems=problems,
        observed=bool(calls),
    )


EMPTY = Reply(problems=("does not begin with <think>",))

# Wilson: z = 1.96, z^2 = 3.84146; centre (p + z^2/2n) / (1 + z^2/n), half width
# z/(1 + z^2/n) * sqrt(p(1 - p)/n + z^2/4n^2).
INTERVALS = {
    # centre (0.8 + 0.19207)/1.38415 = 0.71674, half 1.41600 * sqrt(0.016 + 0.00960) = 0.22658
    "8 of 10": ([True] * 8 + [False] * 2, 0.8, 0.49016, 0.94332),
    # low 0, high z^2/(n + z^2) = 3.84146/13.84146
    "0 of 10": ([False] * 10, 0.0, 0.0, 0.27753),
    # low n/(n + z^2) = 10/13.84146, high 1
    "10 of 10": ([True] * 10, 1.0, 0.72247, 1.0),
    # centre 0.5, half 0.98/(1 + 0.0384146) * sqrt(0.0025 * (1 + 0.0384146)) * 2 = 0.09617
    "50 of 100": ([True, False] * 50, 0.5, 0.40383, 0.59617),
    # shares count as they are: mean 0.5 of n = 1; half 1.96/4.84146 * sqrt(0.25 + 0.96037)
    "a half": ([0.5], 0.5, 0.05462, 0.94538),
}


@pytest.mark.parametrize("case", INTERVALS)
def test_wilson_intervals(case: str) -> None:
    outcomes, value, low, high = INTERVALS[case]
    found = rate(outcomes)
    assert (found.value, found.n) == (pytest.approx(value), len(outcomes))
    assert (found.low, found.high) == (pytest.approx(low, abs=2e-5), pytest.approx(high, abs=2e-5))


def test_outcomes_that_agree_within_a_phrasing_count_as_few() -> None:
    """20 phrasings of 5 outcomes that agree: as 20 outcomes, a little fewer."""
    hits = [phrasing < 15 for phrasing in range(20) for _ in range(5)]
    clusters = [(f"p{phrasing}",) for phrasing in range(20) for _ in range(5)]
    found, alone = rate(hits, clusters), rate(hits)
    assert found.value == alone.value == 0.75 and found.n == 100
    assert found.effective is not None and 16 < found.effective < 20
    assert alone.effective is None and alone.low is not None and found.low is not None
    assert found.low < alone.low


def test_a_query_of_two_phrasings_is_tied_to_both() -> None:
    """Hand-worked, with one more cluster of one value 0 (the mean size is 4 / 3).

    Values 1, 1, 0, 0 and 0; residuals .6, .6, -.4, -.4, -.4; the first three hang together, in two
    clusters. Pairs that share: .36 + .36 + .16 + .16 + .16 = 1.2 each with itself, 2 * .36 for the
    first two, -2 * .24 for the second and third. Spread 1.2, four clusters, five values.
    """
    values = np.array([1.0, 1.0, 0.0, 0.0])
    expected = (1.2 + 0.72 - 0.48) / 1.2 * 4 / 3 * 4 / 5
    clusters = [("a",), ("a", "b"), ("b",), ()]
    assert design_effect(values, clusters) == pytest.approx(expected)
    assert number_of_clusters(clusters) == 3


def test_clusters_never_narrow_an_interval() -> None:
    hits = [True, False] * 50  # each phrasing is half right: less varied than chance
    clusters = [(str(number // 2),) for number in range(100)]
    found, alone = rate(hits, clusters), rate(hits)
    assert found.low is not None and alone.low is not None and found.low <= alone.low
    assert design_effect(np.array(hits, float), [()] * 100) == pytest.approx(1, abs=0.02)
    assert rate(hits, [()] * 100).effective == pytest.approx(100, abs=2)


def test_outcomes_that_are_all_alike_count_by_their_phrasings() -> None:
    """What fails, fails as a whole: of six phrasings one may yet, of 81 as well."""
    for count, phrasings, least in ((60, 6, 0.4), (250, 81, 0.94)):
        clusters = [(str(number % phrasings),) for number in range(count)]
        all_right = rate([True] * count, clusters)
        one_wrong = rate([True] * (count - 1) + [False], clusters)
        assert all_right.low is not None and one_wrong.low is not None
        assert least < all_right.low < rate([True] * phrasings).low + 0.001
        assert one_wrong.low == pytest.approx(all_right.low, abs=0.02)
    assert rate([True, False] * 30, [("a",)] * 60).effective == 1.0


def test_an_interval_by_phrasing_holds_the_truth_about_as_often_as_it_says() -> None:
    """Phrasings, each right with a chance of its own, 7 queries each: the mean is within."""
    rng = np.random.default_rng(3)
    for phrasings in (6, 30):
        clusters = [(str(phrasing),) for phrasing in range(phrasings) for _ in range(7)]
        held = held_by_query = 0
        for _ in range(300):
            chances = np.repeat(rng.beta(1.5, 0.5, phrasings), 7)  # mean .75
            hits = (rng.random(7 * phrasings) < chances).tolist()
            for is_clustered in (True, False):
                found = rate(hits, clusters if is_clustered else ())
                assert found.low is not None and found.high is not None
                is_held = found.low <= 0.75 <= found.high
                held += is_held and is_clustered
                held_by_query += is_held and not is_clustered
        assert held >= 0.92 * 300 > held_by_query, phrasings


def test_a_rate_of_nothing_is_unmeasured_not_zero() -> None:
    assert rate([]) == Rate(None, 0, None, None)


@pytest.mark.parametrize(
    ("both", "gained", "lost", "p"),
    [
        (5, 0, 0, 1.0),
        (5, 3, 3, 1.0),
        (0, 6, 0, 0.03125),  # 2 * 1/64
        (0, 0, 6, 0.03125),
        (9, 1, 5, 0.21875),  # 2 * (1 + 6)/64
        (0, 9, 1, 0.021484375),  # 2 * (1 + 10)/1024
    ],
)
def test_mcnemar_exact_p(both: int, gained: int, lost: int, p: float) -> None:
    before = [True] * both + [False] * gained + [True] * lost
    after = [True] * both + [True] * gained + [False] * lost
    assert paired_p(before, after) == pytest.approx(p)


def test_pairs_must_match() -> None:
    with pytest.raises(ValueError):
        paired_p([True], [True, False])


JUDGED = ("name_em", "call_em", "tool_acc", "param_acc", "answer_acc", "format_ok", "abstain_acc")
OUTCOMES = {
    "right": (TWO, reply(A, B), (True, True, 1.0, 1.0, True, True, None)),
    "in any order": (TWO, reply(B, A), (True, True, 1.0, 1.0, True, True, None)),
    # one of b's tools missing: half the tools, half the arguments
    "one missing": (TWO, reply(A), (False, False, 0.5, 0.5, True, True, None)),
    "one too many": (TWO, reply(A, B, B), (False, False, 1.0, 1.0, True, True, None)),
    # a has one of two arguments: (1/2 + 1)/2
    "an argument wrong": (
        TWO,
        reply(Call("a", {"x": 1, "y": 9}), B),
        (True, False, 1.0, 0.75, True, True, None),
    ),
    "another tool": (TWO, reply(Call("c", {})), (False, False, 0.0, 0.0, True, True, None)),
    "wrong answer": (TWO, reply(A, B, response="41"), (True, True, 1.0, 1.0, False, True, None)),
    "bad form": (
        TWO,
        reply(A, B, problems=("text outside the tags",)),
        (True, True, 1.0, 1.0, True, False, None),
    ),
    "no response": (TWO, reply(A, B, response=None), (True, True, 1.0, 1.0, False, False, None)),
    "empty": (TWO, EMPTY, (False, False, 0.0, 0.0, False, False, None)),
    "abstains": (NONE, reply(), (None, None, None, None, None, True, True)),
    "calls without need": (NONE, reply(A), (None, None, None, None, None, False, False)),
    "names without need": (
        NONE,
        Reply(thought="so", named=("a",), response="x"),
        (None, None, None, None, None, False, False),
    ),
    # saying nothing is no abstaining
    "empty, none expected": (NONE, EMPTY, (None, None, None, None, None, False, False)),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_outcomes_of_scripted_replies(case: str) -> None:
    query, given, expected = OUTCOMES[case]
    found = outcome(given, query)
    assert tuple(getattr(found, metric) for metric in JUDGED) == expected


# call_em, strict, lenient, call_em of 0.5.0; x = 1, y = 2 is expected, and y = 2 is the default
ONE = Query("3", "One?", ((A,),))
MATCHES = {  # exact, strict, lenient; exact where nothing is known of defaults
    "to the letter": (A, (True, True, True, True)),
    "one as 1.0": (Call("a", {"x": 1.0, "y": 2}), (True, False, True, True)),
    "a default left out": (Call("a", {"x": 1}), (True, False, True, False)),
    "another value than the default": (Call("a", {"x": 1, "y": 3}), (False, False, False, False)),
    "another value": (Call("a", {"x": 3, "y": 2}), (False, False, False, False)),
}


@pytest.mark.parametrize("case", MATCHES)
def test_strict_and_lenient_matching_stand_side_by_side(case: str) -> None:
    given, expected = MATCHES[case]
    properties = {"x": {"type": "number"}, "y": {"type": "integer", "default": 2}}
    documents = {"a": ToolDoc("a", "", {"type": "object", "properties": properties})}
    found = outcome(reply(given), ONE, documents)
    judged = (found.call_em, found.call_em_strict, found.call_em_lenient)
    assert judged == expected[:3]
    assert found.param_acc == 1.0 or not found.call_em
    unread = outcome(reply(given), ONE)  # without documents nothing is known of defaults
    assert unread.call_em is expected[3]


def test_defaults_are_those_of_each_call_s_own_document() -> None:
    """`twin` counts as `a` but has another default: y = 2 there and y = 5 here are left out."""

    def document(name: str, default: int) -> ToolDoc:
        y = {"type": "integer", "default": default}
        return ToolDoc(name, "", {"type": "object", "properties": {"x": {}, "y": y}})

    documents = {"a": document("a", 2), "twin": document("twin", 5)}
    same = {"a": "a", "twin": "a"}
    for y, right in ((5, True), (2, False)):
        given = reply(Call("twin", {"x": 1, "y": y}))
        found = outcome(given, Query("5", "One?", ((Call("a", {"x": 1}),),)), documents, same)
        assert (found.call_em, found.name_em) == (right, True)


def test_the_order_of_parallel_calls_matters_to_strict_matching_alone() -> None:
    found = outcome(reply(B, A), TWO)
    assert (found.call_em, found.call_em_strict, found.call_em_lenient) == (True, False, True)


def test_a_reference_without_arguments_has_only_its_names_judged() -> None:
    bare = Query("4", "One?", ((Call("a", {}),),), flags=("no_reference_arguments",))
    found = outcome(reply(A), bare)
    assert found.name_em is True and found.tool_acc == 1.0
    assert found.call_em is found.call_em_strict is found.call_em_lenient is None
    assert found.param_acc is None


def test_empty_replies_stay_in_every_denominator() -> None:
    replies = [reply(A, B), EMPTY, EMPTY, EMPTY]
    rates = summarise([outcome(given, TWO) for given in replies])
    for metric in ("name_em", "call_em", "tool_acc", "param_acc", "answer_acc", "format_ok"):
        assert (rates[metric].value, rates[metric].n) == (0.25, 4), metric
    assert rates["abstain_acc"] == Rate(None, 0, None, None)


def test_a_metric_counts_only_the_queries_that_have_it() -> None:
    made = [outcome(reply(A, B), TWO), outcome(reply(), NONE), outcome(reply(A), NONE)]
    rates = summarise(made)
    assert set(rates) == {*METRICS, IN_FAMILY}
    assert set(METRICS) == set(Outcome.__dataclass_fields__)
    assert (rates["call_em"].value, rates["call_em"].n) == (1.0, 1)
    assert (rates["abstain_acc"].value, rates["abstain_acc"].n) == (0.5, 2)
    assert (rates["format_ok"].value, rates["format_ok"].n) == (pytest.approx(2 / 3), 3)


def test_equivalent_tools_count_as_one_and_only_when_said():
    given, query = reply(Call("twin", A.arguments)), Query("q", "x", ((A,),))
    assert outcome(given, query).call_em is False
    merged = outcome(*as_one(given, query, {"a": "a", "twin": "a"}))
    assert merged.call_em is True and merged.name_em is True
    assert outcome(*as_one(given, query, {})) == outcome(given, query)


def test_to_name_a_tool_is_to_find_its_family_and_the_tool_in_it() -> None:
    families = {"a": "a", "b": "a"}
    cases = {
        "right": (reply(A, B), True, True),
        "a neighbour": (reply(A, A), False, True),
        "another": (reply(A, Call("c", {})), False, False),
        "one too many": (reply(A, B, B), False, False),
    }
    found = {name: outcome(said, TWO, families=families) for name, (said, *_) in cases.items()}
    assert {n: (o.name_em, o.family_em) for n, o in found.items()} == {
        n: (named, family) for n, (_, named, family) in cases.items()
    }
    rates = summarise(list(found.values()))
    assert (rates["family_em"].value, rates["family_em"].n) == (0.5, 4)
    assert (rates["name_in_family"].value, rates["name_in_family"].n) == (0.5, 2)
    assert rates["name_em"].value == rates["family_em"].value * rates["name_in_family"].value
    assert outcome(reply(A, B), TWO).family_em is None and outcome(EMPTY, NONE).family_em is None


def test_a_tool_that_is_tried_again_after_an_error_is_named_once() -> None:
    """A repeated call that did not fail is one too many, and so is another tool's."""
    wrong = Call("a", {"x": 1, "y": "two"})
    tried = replace(reply(wrong, A, B), failed=(0,))
    found = outcome(tried, TWO)
    assert (found.name_em, found.call_em, found.mended) == (True, False, True)
    assert outcome(reply(wrong, A, B), TWO).name_em is False
    assert outcome(replace(reply(Call("c", {}), A, B), failed=(0,)), TWO).name_em is False
    assert outcome(replace(reply(wrong, B), failed=(0,)), TWO).name_em is True  # given up


def test_a_family_is_of_tools_with_documents_that_are_alike() -> None:
    tools = [
        ToolDoc("next_prime", "Find the next prime after a number.", {}),
        ToolDoc("previous_prime", "Find the previous prime before a number.", {}),
        ToolDoc("write_morse", "Turn letters into dots and dashes.", {}),
    ]
    families = families_of(tools)
    assert families["next_prime"] == families["previous_prime"] and "write_morse" not in families
