"""What phase 1 teaches of a catalogue: forms, what carries loss, chains."""

import json
from collections.abc import Mapping
from random import Random
from typing import Any

import jsonschema

from tinr.catalogue.load import Catalogue, load_catalogue
from tinr.catalogue.render import describe, signature
from tinr.chat.codec import FRAMES, Piece, token_of
from tinr.chat.parse import parse
from tinr.chat.render import as_text
from tinr.data.alignment_examples import LINKS, AlignmentExample, PairMix, make_pairs
from tinr.data.pseudo_queries import VAGUE_VALUES, Wording
from tool_corpora import generate

MIX = PairMix(memorise=3, recall=1, schema=2, pseudo=4, naming=2, blind=2, lacking=1)


def test_pairs_are_as_many_as_the_mix_says_and_the_seeds_alone(catalogue: Catalogue) -> None:
    pairs = list(make_pairs(catalogue, FRAMES["tinr"], MIX, Random(1)))
    counts = {(p.form, p.tool): 0 for p in pairs}
    for pair in pairs:
        counts[pair.form, pair.tool] += 1
    assert counts == {(f, n): c for n in catalogue.names for f, c in vars(MIX).items()}
    assert pairs == list(make_pairs(catalogue, FRAMES["tinr"], MIX, Random(1)))
    assert pairs != list(make_pairs(catalogue, FRAMES["tinr"], MIX, Random(2)))


def reply_of(pair: AlignmentExample) -> list[Piece]:
    """What follows the prompt of an example, without the marks of messages."""
    start = next(n for n, piece in enumerate(pair.pieces) if piece.text == "<think>")
    return [piece for piece in pair.pieces[start:] if not piece.text.startswith("<|")]


def test_what_carries_loss_in_a_pair(catalogue: Catalogue) -> None:
    for pair in make_pairs(catalogue, FRAMES["tinr"], MIX, Random(3)):
        doc = catalogue.by_name[pair.tool]
        learned = [piece for piece in pair.pieces if piece.learn]
        token = Piece(token_of(doc.name), token=True, learn=True)
        end = Piece("<|end|>", token=True, learn=True)
        if pair.form == "memorise":
            assert learned == [token, end]
        elif pair.form == "recall":
            assert learned == [Piece(describe(doc), learn=True), end]
        elif pair.form == "schema":
            assert learned == [Piece(signature(doc), learn=True), end]
        elif pair.form == "blind":  # the token in the thought is given, what follows is recalled
            assert Piece(token.text, token=True) in pair.pieces
            assert as_text(learned).startswith(f" {doc.description} ({signature(doc)})")
            assert parse(learned).named == (pair.tool,)
        elif pair.form == "lacking":  # every tool here needs a value, so it is asked for
            said = parse(reply_of(pair))
            assert said.calls == said.named == () and said.problems == ()
            assert said.response.split()[-1].rstrip(".") in doc.parameters["required"]
        else:
            assert pair.tool in parse(reply_of(pair)).named  # a misled plan has no loss
            calls = parse(learned).calls
            assert bool(calls) == (pair.form == "pseudo")
            for call in calls:
                jsonschema.validate(call.arguments, catalogue.by_name[call.name].parameters)


def test_a_pseudo_query_says_every_value_of_its_call(catalogue: Catalogue) -> None:
    wording = Wording(catalogue)
    for seed in range(60):
        for doc in catalogue.tools:
            asked, call = wording.write(doc, Random(seed))
            required: Mapping[str, Any] = doc.parameters["required"]
            assert set(required) <= set(call.arguments)
            for value in call.arguments.values():
                for said in value if isinstance(value, list) else [value]:
                    assert str(said) in asked


def test_a_chain_hands_the_result_on_and_never_says_it_before(catalogue: Catalogue) -> None:
    """The later call's value stands in the observation alone, which carries no loss."""
    mix = PairMix.only(pseudo=200)
    chains = 0
    for example in make_pairs(catalogue, FRAMES["tinr"], mix, Random(5)):
        turns = [n for n, piece in enumerate(example.pieces) if piece.text == "<tool_call>"]
        if len(turns) < 2 or not all(example.pieces[turn].learn for turn in turns):
            continue  # one call, or a first try that failed
        chains += 1
        before, between = example.pieces[: turns[0]], example.pieces[turns[0] : turns[1]]
        prompt = as_text([piece for piece in before if not piece.learn])
        assert any(link in prompt for link in LINKS)
        observed = as_text([piece for piece in between if not piece.learn])
        result = json.loads(observed.partition("<obs>")[2].partition("</obs>")[0])
        _, second = parse([piece for piece in example.pieces if piece.learn]).calls
        assert second.name == example.tool
        assert any(value == result for value in second.arguments.values())
        assert not any("<obs>" in piece.text for piece in example.pieces if piece.learn)
    assert 30 < chains < 150  # of 600: a share of SEVERAL times CHAINED


def test_no_link_of_practice_is_one_of_the_suites() -> None:
    assert not set(LINKS) & {link for side in ("dev", "test") for link in generate.LINKS[side]}


def test_no_vague_value_of_practice_is_one_of_the_suites() -> None:
    suites = {
        words
        for side in ("dev", "test")
        for kinds in generate.VAGUE[side].values()
        for words in kinds
    }
    assert not set(VAGUE_VALUES) & suites


def test_a_query_that_lacks_a_value_has_a_whole_twin(catalogue: Catalogue) -> None:
    """Every third one states the value of the second among the same words, and calls with it."""
    pairs = list(make_pairs(catalogue, FRAMES["tinr"], PairMix.only(lacking=30), Random(4)))
    assert not any(parse(reply_of(pair)).calls for pair in pairs[::3])
    for first, second in zip(pairs[1::3], pairs[2::3], strict=True):
        asking, calling = parse(reply_of(first)), parse(reply_of(second))
        assert (asking.calls, asking.named) == ((), ()) and asking.response
        (call,) = calling.calls
        jsonschema.validate(call.arguments, catalogue.by_name[call.name].parameters)
        texts = [as_text(pair.pieces).partition("<think>")[0] for pair in (first, second)]
        vague = next(v for v in sorted(VAGUE_VALUES, key=len, reverse=True) if v in texts[0])
        before, after = texts[0].split(vague, 1)
        assert texts[1].startswith(before) and texts[1].endswith(after)
        assert asking.response.split()[-1].rstrip(".") in call.arguments


def test_some_practice_calls_fail_and_are_mended_or_their_error_is_told(
    catalogue: Catalogue,
) -> None:
    mix = PairMix.only(pseudo=500)
    replies = [
        parse(reply_of(pair)) for pair in make_pairs(catalogue, FRAMES["tinr"], mix, Random(5))
    ]
    assert all(not reply.problems for reply in replies)
    failing = [reply for reply in replies if reply.failed]
    told = [reply for reply in failing if "The tool reports an error: " in reply.response]
    ended = sum(reply.response is not None for reply in replies)
    assert 0.2 < len(failing) / ended < 0.3 and 0.35 < len(told) / len(failing) < 0.65
    assert all(reply.failed[-1] < len(reply.calls) - 1 for reply in failing if reply not in told)


def test_a_neighbour_stands_in_the_same_message_more_often_than_by_chance() -> None:
    shipped = load_catalogue(("toolbox", "fieldkit"))
    wording = Wording(shipped)
    pairs = make_pairs(shipped, FRAMES["tinr"], PairMix.only(naming=6), Random(6))
    several = [
        (pair.tool, parse([p for p in pair.pieces if p.learn]).named)
        for pair in pairs
        if len(parse([p for p in pair.pieces if p.learn]).named) > 1
    ]
    near = sum(bool(set(named) & set(wording.neighbours[tool])) for tool, named in several)
    assert 0.3 < near / len(several) < 0.6  # NEAR_SHARE of one or two others; chance: .02


def results_in_practice(catalogue: Catalogue) -> list[tuple[list[str], str]]:
    """The results of the last calls of finished conversations, and the responses to them."""
    found = []
    for pair in make_pairs(catalogue, FRAMES["tinr"], PairMix.only(pseudo=60), Random(8)):
        text = as_text(pair.pieces)
        last = text.rpartition("</tool_call>")[2]
        if "<response>" in last and "reports an error" not in last:
            texts = [part.partition("</obs>")[0] for part in last.split("<obs>")[1:]]
            found.append((texts, last.partition("<response>")[2].partition("</response>")[0]))
    return found


def test_responses_repeat_objects_of_imported_tools(catalogue: Catalogue) -> None:
    """APIs return objects; results of the shipped tools are always plain values."""
    found = results_in_practice(catalogue)
    objects = [text for texts, _ in found for text in texts if text[0] in "{["]
    assert 0.4 < len([text for text in objects if "{" in text]) / len(found) < 1
    assert all(json.loads(text) for text in objects)
    assert {", " in text for text in objects if "{" in text} == {True, False}
    for texts, response in found:
        assert all(text.strip('"') in response for text in texts)
    few = Catalogue(load_catalogue(["toolbox"]).tools[:10])
    assert not any("{" in text for texts, _ in results_in_practice(few) for text in texts)
