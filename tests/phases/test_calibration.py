"""Tree search over fragments, pairs of siblings, and the phase around them."""

import copy
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from calibration_parts import random_model
from conftest import CIRCLE
from transformers import LlamaConfig, LlamaForCausalLM

from phases import align, calibrate, reject, sft
from tinr.catalogue.load import write_jsonl
from tinr.chat.codec import IGNORE, Piece, stop_ids
from tinr.chat.parse import parse
from tinr.chat.render import render_calls, render_names, render_response, render_thought
from tinr.checkpoints.registry import Registry
from tinr.config import PairsConfig, SearchConfig
from tinr.config_files import load_config
from tinr.data.packing import Example
from tinr.evaluation.errors.faults import counted
from tinr.evaluation.errors.grades import judge
from tinr.records import Call, Query, RunFailed
from tinr.rollout.conversation import Environment, make_prompts
from tinr.rollout.generate import DraftTable, Row, generate
from tinr.rollout.tools.executor import Executor
from tinr.training.preference import hard_queries as hard_room
from tinr.training.preference import rounds
from tinr.training.preference import search as search_room
from tinr.training.preference.expansion import Fan, copied
from tinr.training.preference.hard_queries import hardest, perplexities
from tinr.training.preference.rounds import changes, gather_pairs, measure
from tinr.training.preference.search import search
from tinr.training.preference.sibling_pairs import overlap, sibling_pairs
from tinr.training.preference.tree import Node, Tree, back_up, select

AREA = Query("q1", "Area of a circle of radius 2?", ((Call("circle_area", {"radius": 2}),),))
NONE = Query("q2", "Hello there.")


@pytest.fixture
def executor(catalogue):
    return Executor(catalogue, {"circle_area": lambda radius, digits=2: 3.14 * radius})


def leaf(parent=None, prior=1.0, **facts) -> Node:
    node = Node((), room=None, prior=prior, parent=parent, **facts)
    if parent is not None:
        parent.children.append(node)
    return node


def test_worth_goes_up_to_the_root_as_a_mean():
    """Two replies through one child, 0.25 and -0.5: its mean -0.125, the root's too; not a sum."""
    root = leaf()
    child = leaf(root)
    for worth in (0.25, -0.5):
        back_up(leaf(child), worth)
    assert (child.visits, child.mean) == (2, pytest.approx(-0.125))
    assert (root.visits, root.mean) == (2, pytest.approx(-0.125))


def test_selection_weighs_mean_prior_and_visits():
    """ln 4 = 1.386. a: -0.25 + 0.5 sqrt(1.386/3) = 0.090; b: 0.025 + 0.1 sqrt(1.386/2) = 0.108;
    without exploration b's mean wins as well; with twice the exploration a wins: 0.430 > 0.192."""
    root = leaf(visits=4)
    a = leaf(root, prior=0.5, visits=2, total=-0.5)
    b = leaf(root, prior=0.1, visits=1, total=0.025)
    assert select(root, SearchConfig(exploration=1.0)) is b
    assert select(root, SearchConfig(exploration=0.0)) is b
    assert select(root, SearchConfig(exploration=2.0)) is a


def test_what_has_ended_or_is_deep_enough_is_not_expanded():
    root = leaf(visits=3)
    leaf(root, ended=True, visits=1)
    deep = leaf(root, depth=2, visits=1)
    assert select(root, SearchConfig(depth=3)) is deep
    assert select(root, SearchConfig(depth=2)) is None


FOREST = SearchConfig(fragment=12, completion=64, iterations=3)


def grown_forest(codec, catalogue, executor, seed=0):
    queries = [AREA, NONE, Query("q3", "And of radius 5?", AREA.turns)]
    prompts = make_prompts(codec, queries, [()] * 3)
    return search(random_model(codec), codec, queries, prompts, catalogue, executor, FOREST, seed)


def test_a_tree_of_whatever_a_random_model_writes(codec, catalogue, executor):
    """Ids are joined, never re-tokenised; siblings differ; every leaf is judged; counts add up."""
    trees, spent = grown_forest(codec, catalogue, executor)
    nodes = [node for tree in trees for node in tree.nodes()]
    below = [node for node in nodes if node.parent is not None]
    born = [node for node in below if node.verdict is not None]
    assert spent.nodes == len(born) > 9 and spent.tokens >= sum(len(n.wrote) for n in born)
    for node in below:
        joined = node.parent.ids + node.wrote
        assert node.ids[: len(joined)] == joined and 0 < node.prior <= 1
        trunk = node.verdict is None  # what all samples have alike is no decision
        assert node.depth == node.parent.depth + (not trunk)
        assert len(node.children) > 1 if trunk else node.reply is not None
    for node in nodes:
        wrote = [child.wrote for child in node.children]
        assert len(set(wrote)) == len(wrote)
    for tree in trees:
        judged = [node for node in tree.nodes() if node.verdict is not None]
        assert tree.root.visits == len(judged)
        assert tree.root.total == pytest.approx(sum(n.verdict.worth for n in judged))


def test_a_search_is_judged_by_what_a_conversation_can_reach(codec, catalogue):
    """Tools without code: the reference ends at the first call, as the conversation does."""
    chained = Query("q", "Both.", (*AREA.turns, (Call("length_convert", {}),)), answer="1")
    prompts, nothing = make_prompts(codec, [chained], [()]), Executor(catalogue, {})
    (tree,), _ = search(random_model(codec), codec, [chained], prompts, catalogue, nothing, FOREST)
    assert (tree.query.turns, tree.query.answer) == (AREA.turns, None)


def test_every_reply_is_the_greedy_one_of_its_node_alone(codec, catalogue, executor):
    trees, _ = grown_forest(codec, catalogue, executor)
    stops, model = stop_ids(codec), random_model(codec)
    judged = [(t, n) for t in trees for n in t.nodes() if n.verdict is not None]
    going = [(tree, node) for tree, node in judged if not node.ended]
    assert len(going) > 9
    for tree, node in going:
        room = copied(node.room)
        [row] = generate(
            model, [[*tree.prompt, *node.ids]],
            lambda _, ids, room=room, node=node: room.respond([*node.ids, *ids]), stops,
            max_tokens=FOREST.completion - len(node.ids), pad=codec.pad,
        )  # fmt: skip
        room.finish([*node.ids, *row.ids])
        assert parse(room.spoken) == node.reply


def test_samples_are_cut_where_they_part_and_nothing_is_written_twice(codec, catalogue, executor):
    """a-, a-b- and c part behind x-; the first is what the leaf's greedy reply says anyway."""
    x, a, b, c, line = (codec.encode_plain(text)[0] for text in ("x", "a", "b", "c", "\n"))
    begun = tuple(codec.encode([Piece("<think>", token=True)])[0])
    verdict = judge(parse([]), AREA, catalogue)
    said = Node(begun, Environment(codec, catalogue, executor, "none"), verdict=verdict,
                greedy=(*begun, x, line, a, line, b))  # fmt: skip
    fan = Fan.of(codec, said, SearchConfig(samples=4, fragment=2))
    for index in (x, line):
        assert fan.feed({place: (index, True) for place in range(4)}) == ([], [])
    assert fan.trunk == 2 and not fan.parted
    assert fan.feed({0: (a, True), 1: (a, True), 2: (c, True), 3: (c, True)}) == ([], [])
    over, greedy = fan.feed({0: (line, True), 1: (b, True), 2: (c, True), 3: (c, True)})
    assert (over, greedy) == ([0, 3], [1, 2])  # known; a border by length twice; said before
    rows = [Row([x, line, a, line], [1] * 4, [-1.0] * 4, True),
            Row([x, line, a, b, b], [1] * 5, [-1.0] * 4 + [0.0], False),
            Row([x, line, c, c, c], [1] * 5, [-1.0] * 4 + [0.0], False),
            Row([x, line, c, c], [1] * 4, [-1.0] * 4, True)]  # fmt: skip
    children = fan.children(rows)
    assert [child.wrote for child in children] == [(a, line), (a, b), (c, c)]
    assert [child.verdict for child in children] == [verdict, None, None]
    assert all(child.ids[:3] == (*begun, x, line) and child.prior == math.exp(-1)
               for child in children)  # fmt: skip
    [trunk] = said.children
    assert trunk.children == children and trunk.ids == (*begun, x, line)


def test_what_all_samples_call_is_called_once(codec, catalogue):
    """A tool that says something else each time parts no samples."""
    times = iter(range(9))
    executor = Executor(catalogue, {"circle_area": lambda radius: next(times)})
    root = Node((), Environment(codec, catalogue, executor, "none"))
    fan = Fan.of(codec, root, SearchConfig())
    ids = codec.encode(render_calls([Call("circle_area", {"radius": 2})]))[0]
    for index in ids:
        fan.feed({place: (index, True) for place in range(3)})
    answers = [fan.respond(place, ids) for place in range(3)]
    assert answers[0] and answers == [answers[0]] * 3 and next(times) == 1
    for index in answers[0]:
        fan.feed({place: (index, False) for place in range(3)})
    assert not fan.parted and fan.trunk == len(ids) + len(answers[0])
    rooms = [one.room for one in fan.samples]
    assert all(room.turns == 1 and room.spoken == rooms[0].spoken for room in rooms)
    assert rooms[0].spoken is not rooms[1].spoken


def test_the_same_seed_grows_the_same_trees(grown, catalogue, executor):
    codec = grown("tiny")
    first, again, other = (
        [
            node.ids
            for tree in grown_forest(codec, catalogue, executor, seed)[0]
            for node in tree.nodes()
        ]
        for seed in (0, 0, 1)
    )
    assert first == again != other


@pytest.fixture
def scripted(grown, catalogue, monkeypatch):
    """A policy that thinks, then names two tools in turn, and calls what it has named, rightly."""
    codec = grown("tiny")

    def encode(*parts):
        return codec.encode([piece for part in parts for piece in part])[0]

    thought = encode(render_thought(["so"]))
    right, wrong = (encode(render_names([name])) for name in ("circle_area", "length_convert"))
    calls = {
        "right": encode(render_calls([Call("circle_area", {"radius": 2})])),
        "wrong": encode(render_calls([Call("length_convert", {"length": 2, "source": "metre",
                                                              "target": "foot"})])),
    }  # fmt: skip
    scripts = [
        [*thought, *named, *calls[kind], *encode(render_response("12.6"))]
        for named, kind in ((right, "right"), (wrong, "wrong"), (right, "right"))
    ]

    def generate(
        model, prompts, respond, stops, *, max_tokens, pad, group, temperature, seed, steer
    ):
        table = DraftTable(len(prompts) * group, max_tokens)
        alive = np.arange(len(prompts) * group)
        while not table.over.all() and table.step < max_tokens:
            said = [table.own[: table.step, row].sum() for row in alive]
            script = [scripts[row % len(scripts)] for row in alive]
            ids = [s[min(n, len(s) - 1)] for s, n in zip(script, said, strict=True)]
            running = table.write(alive, np.array(ids), np.full(len(ids), -0.1), None)
            table.answer(table.steer(running, steer), respond, stops)
        return table.rows()

    monkeypatch.setattr(search_room, "generate", generate)
    return codec, right, wrong


def test_siblings_become_a_pair_of_the_fragments_that_differ(scripted, catalogue, executor):
    """The thought decides nothing; then two names, of which one ends in the right call."""
    codec, right, wrong = scripted
    prompts = make_prompts(codec, [AREA], [()])
    trees, _ = search(
        None,
        codec,
        [AREA],
        prompts,
        catalogue,
        executor,
        SearchConfig(iterations=1),  # type: ignore[arg-type]
    )
    [thought] = trees[0].root.children
    assert [list(child.wrote) for child in thought.children] == [right[:3], wrong[:3]]
    [pair] = sibling_pairs(trees, catalogue, PairsConfig())
    assert list(pair.prompt) == [*prompts[0], *thought.ids]
    assert (list(pair.chosen), list(pair.rejected)) == (right[:3], wrong[:3])
    assert pair.kind == "wrong_name"
    assert codec.id(codec.frame.close) not in [*pair.chosen, *pair.rejected]  # no end of turn


@pytest.mark.parametrize(
    ("means", "wrote", "pairs"),
    [
        ((0.25, -0.5), ((1, 2, 3), (4, 5, 6)), 1),
        ((0.25, 0.2), ((1, 2, 3), (4, 5, 6)), 0),  # the gap is less than 0.1
        ((-0.35, -0.5), ((1, 2, 3), (4, 5, 6)), 0),  # the best is too bad
        ((0.25, -0.5), (tuple(range(40)), (*range(39), 99)), 0),  # 39 of 40 tokens are shared
    ],
)
def test_a_pair_needs_a_gap_a_good_side_and_a_difference(catalogue, means, wrote, pairs):
    root = Node((), room=None)
    for mean, ids in zip(means, wrote, strict=True):
        root.children.append(Node(ids, None, parent=root, wrote=ids, visits=2, total=2 * mean))
    assert len(sibling_pairs([Tree(AREA, (9,), root)], catalogue, PairsConfig())) == pairs


def test_overlap_counts_repetitions():
    assert overlap([1, 1, 2], [1, 3, 3]) == pytest.approx(1 / 3)
    assert overlap([1, 2], [2, 1]) == 1.0


def test_perplexity_is_that_of_the_example_alone(grown):
    """Batched with others and padded, each has the value it has by itself."""
    codec = grown("tiny")
    model = random_model(codec)
    examples = [
        Example(ids, [IGNORE, *ids[1:]]) for ids in ([5, 6, 7], [9, 8, 7, 6, 5, 4], [3, 30])
    ]
    for example, found in zip(examples, perplexities(model, examples, codec.pad), strict=True):
        ids = torch.tensor([list(example.ids)])
        with torch.no_grad():
            logp = model(ids).logits[0, :-1].log_softmax(-1)
        expected = logp.gather(1, ids[0, 1:, None]).mean().neg().exp().item()
        assert found == pytest.approx(expected, rel=1e-3)


def test_the_hardest_share_is_taken_of_both_kinds():
    queries = [AREA] * 6 + [NONE] * 4
    scores = [1, 6, 2, 5, 3, 4, 9, 7, 8, 10]
    kept = hardest([Query(str(n), "", q.turns) for n, q in enumerate(queries)], scores, 0.34)
    assert [q.id for q in kept] == ["1", "3", "9"]  # 2 of 6 with a call, 1 of 4 without


def test_a_killed_search_goes_on_from_what_it_kept(
    grown, catalogue, executor, tmp_path, monkeypatch
):
    codec = grown("tiny")
    depth = SearchConfig(fragment=8, completion=8, iterations=2)
    settings = (depth, PairsConfig(gap=0, least=-1))
    asked = [Query(f"q{n}", f"Radius {n}?", AREA.turns) for n in range(4)]
    monkeypatch.setattr(rounds, "CHUNK", 2)
    args = (random_model(codec), codec, asked, catalogue, executor, *settings, tmp_path, 0)
    whole = gather_pairs(*args)
    assert len(list(tmp_path.glob("pairs-*.json"))) == 2 and whole.pairs and whole.queries == 4
    (tmp_path / "pairs-000002.json").unlink()  # killed before the second chunk was kept
    again = gather_pairs(*args)
    assert [p.chosen for p in again.pairs] == [list(p.chosen) for p in whole.pairs]
    monkeypatch.setattr(rounds, "search", None)  # all is kept: nothing is searched
    assert gather_pairs(*args).spent.nodes == whole.spent.nodes


def test_what_a_judge_left_to_the_rules_is_searched_again(
    grown, catalogue, executor, tmp_path, monkeypatch
):
    """Its grades would else stand for a model's in every run that shares the search."""
    codec = grown("tiny")
    settings = (SearchConfig(fragment=8, completion=8, iterations=1), PairsConfig(gap=0, least=-1))
    args = (random_model(codec), codec, [AREA], catalogue, executor, *settings, tmp_path, 0)

    def graded(unanswered):
        def judged(replies):
            return [judge(reply, query, catalogue) for reply, query in replies]

        judged.counts = lambda: (3, unanswered)
        return judged

    assert gather_pairs(*args, graded(3)).spent.unanswered == 3
    with monkeypatch.context() as once:
        once.setattr(rounds, "search", None)  # steps were made with these pairs: they stay
        assert gather_pairs(*args, graded(0), begun=True).spent.unanswered == 3
    assert gather_pairs(*args, graded(1)).spent.unanswered == 1  # it was there this time
    monkeypatch.setattr(rounds, "search", None)
    assert gather_pairs(*args, graded(3)).spent.unanswered == 1  # and what it said is kept


def test_measure_counts_every_reply(grown, catalogue, executor):
    codec = grown("tiny")
    found = counted(measure(random_model(codec), codec, [AREA, NONE], catalogue, executor))
    assert found["n"] == 2 == sum(found["grades"].values())
    assert found["deficiencies"]


@pytest.fixture
def warmed(tmp_path, tiny_tokenizer, catalogue):
    """The words of a command line for a tiny policy that was aligned and warmed up."""
    base = copy.deepcopy(tiny_tokenizer)
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(vocab_size=len(base), hidden_size=32, intermediate_size=64,
                    num_hidden_layers=1, num_attention_heads=2, tie_word_embeddings=True)
    ).save_pretrained(tmp_path / "base")  # fmt: skip
    base.save_pretrained(tmp_path / "base")
    write_jsonl(tmp_path / "tools" / "tools.jsonl", (vars(doc) for doc in catalogue.tools))
    asked = [
        {"id": f"q{n}", "query": f"Area of a circle of radius {n}?",
         "calls": [{"name": CIRCLE.name, "arguments": {"radius": n}}]}
        for n in range(1, 13)
    ]  # fmt: skip
    write_jsonl(tmp_path / "queries.jsonl", asked)
    words = [f"registry={tmp_path / 'registry'}", f"run={tmp_path / 'run'}"]
    queries = f"queries={tmp_path / 'queries.jsonl'}"
    align.run(load_config(align.AlignConfig, None, [
        *words, f"base={tmp_path / 'base'}", f"catalogue=[{tmp_path / 'tools'}]", "epochs=1",
        "min_recall={}", "replay=0",
    ]))  # fmt: skip
    sft.run(load_config(sft.SftConfig, None, [*words, queries, "tolerance=1", "replay=0"]))
    return [
        *words, queries, "tolerance=1", "holdout=4", "hard_fraction=1", "search.fragment=12",
        "search.completion=16", "search.iterations=2", "unqueried=1", "traces=4",
        "preference.optimiser.learning_rate=0.001", "preference.bf16=false",
    ]  # fmt: skip


def test_the_phase_publishes_what_it_calibrated(warmed, tmp_path):
    """A policy that knows nothing has no good siblings, so here any pair will do."""
    words = [*warmed, "pairs.gap=0", "pairs.least=-1", "rounds=2"]
    card = calibrate.run(load_config(calibrate.CalibrateConfig, None, words))
    assert card.phase == "calibrate" and len(card.metrics["rounds"]) == 2
    assert all(r["pairs"] > 0 and r["steps"] > 0 for r in card.metrics["rounds"])
    assert card.metrics["before"]["n"] == card.metrics["after"]["n"] == 4
    registry = Registry(tmp_path / "registry")
    assert [c.phase for c in registry.lineage(card.id)] == ["base", "align", "sft", "calibrate"]
    assert not list(registry.root.glob("steps/calibrate*"))
    log = (tmp_path / "run" / "calibrate.jsonl").read_text().splitlines()
    steps = [int(row.split('"step": ')[1].split(",")[0]) for row in log]
    assert all(a <= b for a, b in pairwise(steps))  # the second round counts on
    again = calibrate.run(load_config(calibrate.CalibrateConfig, None, words))
    assert again.id == card.id


def test_a_round_without_a_pair_ends_in_one_line(warmed, tmp_path):
    words = [*warmed, "pairs.gap=9"]
    with pytest.raises(RunFailed, match="gave no pair with a better side"):
        calibrate.run(load_config(calibrate.CalibrateConfig, None, words))
    assert not [c for c in Registry(tmp_path / "registry").cards() if c.phase == "calibrate"]


def test_another_loss_trains_on_the_pairs_of_the_same_search(warmed, tmp_path, monkeypatch):
    """What the parent's policy is searched for depends on no setting of the training."""
    words = [*warmed, "pairs.gap=0", "pairs.least=-1"]
    simpo = calibrate.run(load_config(calibrate.CalibrateConfig, None, words))
    monkeypatch.setattr(rounds, "search", None)
    monkeypatch.setattr(
        calibrate, "measure", lambda *a: {"q1": ["poor"]} if a[-1] == "after" else None
    )
    more = ["preference.loss=dpo", "preference.beta=0.1"]
    dpo = calibrate.run(load_config(calibrate.CalibrateConfig, None, [*words, *more]))
    costs = [
        {k: v for k, v in card.metrics["rounds"][0].items() if k != "steps"}
        for card in (simpo, dpo)
    ]
    assert costs[0] == costs[1] and costs[0]["tokens"] > 0 and dpo.id != simpo.id
    assert dpo.metrics["before"] == simpo.metrics["before"]
    monkeypatch.undo()
    monkeypatch.setattr(rounds, "search", None)
    with pytest.raises(TypeError):  # a longer search is another one
        calibrate.run(load_config(calibrate.CalibrateConfig, None, [*words, "search.iterations=3"]))


def test_rejection_sampling_is_asked_the_same_hard_queries(warmed, tmp_path, monkeypatch):
    words = [word for word in warmed if word.split(".")[0] not in ("search", "preference")]
    sampled = ["sampling.budget=200", "sampling.max_tokens=16", "training.bf16=false"]
    with pytest.raises(RunFailed, match=r"none of .* replies was right"):
        reject.run(load_config(reject.RejectConfig, None, [*words, *sampled]))
    sampled += ["sampling.grades=[excellent, acceptable, fair, poor]", "hard_fraction=0.5"]
    card = reject.run(load_config(reject.RejectConfig, None, [*words, *sampled]))
    assert card.phase == "reject" and 200 <= card.metrics["sampled"]["tokens"] < 200 + 16
    assert card.metrics["sampled"]["queries"] == 4  # half of the 8 that are not held apart
    hard = list((tmp_path / "registry" / "steps").glob("search-*/hard.json"))
    monkeypatch.setattr(hard_room, "perplexities", None)  # calibrate finds them there
    calibrated = ["pairs.gap=0", "pairs.least=-1", "hard_fraction=0.5"]
    calibrate.run(load_config(calibrate.CalibrateConfig, None, [*warmed, *calibrated]))
    assert list((tmp_path / "registry" / "steps").glob("search-*/hard.json")) == hard
    again = reject.run(load_config(reject.RejectConfig, None, [*words, *sampled]))
    assert again.id == card.id


def test_changes_are_paired_by_query():
    """Of 8 wrong values 6 were mended, none came: p = 2 / 64, and Holm's factor is at most 3."""
    wrong, right = ["acceptable", "wrong_value"], ["excellent"]
    before = {f"q{n}": wrong if n < 8 else right for n in range(20)}
    after = {f"q{n}": wrong if n < 2 else right for n in range(20)}
    found = changes(before, after)
    assert list(found) == ["excellent", "acceptable", "wrong_value"]
    assert found["wrong_value"]["difference"] == pytest.approx(-0.3)
    assert found["wrong_value"]["p"] == pytest.approx(0.03125)
    assert found["excellent"]["p_holm"] == pytest.approx(0.09375)
