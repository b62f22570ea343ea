"""An update: what moves and what does not, what is left of removed tools, and wrong use."""

import copy
import json
import shutil
from contextlib import suppress
from dataclasses import replace
from random import Random
from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from phases import align, sft, update
from tinr.catalogue.load import Catalogue, load_catalogue, read_queries, write_jsonl
from tinr.catalogue.similar import difference
from tinr.chat.codec import Piece, token_of
from tinr.checkpoints.model import tables_of, vocabulary_rows
from tinr.checkpoints.open import open_checkpoint
from tinr.checkpoints.registry import Registry
from tinr.checkpoints.retired_rows import compact, retire
from tinr.checkpoints.step_checkpoints import Steps
from tinr.cli.main import app
from tinr.command import guarded
from tinr.config_files import load_config
from tinr.data.alignment_examples import PairMix
from tinr.data.replay import aligned_examples, requests_of_one_tool
from tinr.evaluation.removal import final_states, naming_probability, naming_prompts, shares_run
from tinr.records import BadInput, GateFailed, ToolDoc
from tinr.training import new_rows, update_training
from tinr.training.catalogue_change import MOST_LIKELY
from tinr.training.new_rows import NewRows, RowsConfig

SQUARE = ToolDoc(
    "square_area",
    "Area of a square from one side.",
    {"type": "object", "properties": {"side": {"type": "number"}}, "required": ["side"]},
)


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def work(request, tmp_path, tiny_tokenizer, catalogue):
    """A folder with a tiny policy that knows circle_area, length_convert and city.find."""
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(vocab_size=len(tiny_tokenizer), hidden_size=32, intermediate_size=64,
                    num_hidden_layers=1, num_attention_heads=2, tie_word_embeddings=request.param)
    ).save_pretrained(tmp_path / "base")  # fmt: skip
    tiny_tokenizer.save_pretrained(tmp_path / "base")
    write_tools(tmp_path / "old", catalogue.tools)
    align.run(
        load_config(align.AlignConfig, None, [
            f"base={tmp_path / 'base'}", f"catalogue=[{tmp_path / 'old'}]", "epochs=1",
            "replay=0", "min_recall={}", "training.checkpoint_steps=0", *places(tmp_path),
        ])
    )  # fmt: skip
    return tmp_path


def write_tools(folder, tools) -> None:
    folder.mkdir(exist_ok=True)
    write_jsonl(folder / "tools.jsonl", (vars(doc) for doc in tools))


def places(folder) -> list[str]:
    return [f"registry={folder / 'registry'}", f"run={folder / 'run'}"]


def published(folder) -> list[str]:
    """The ids of the updates in a registry."""
    return [card.id for card in Registry(folder / "registry").cards() if card.phase == "update"]


def updated(folder, tools, *overrides: str):
    write_tools(folder / "new", tools)
    settings = [
        "parent=align@latest", f"catalogue=[{folder / 'new'}]", "min_recall={}", "max_forgotten=1",
        "rows.evaluations=6", "training.compile=false", *places(folder), *overrides,
    ]  # fmt: skip
    return update.run(load_config(update.UpdateConfig, None, settings))


def parts(folder, ref):
    """The weights of a checkpoint, with the tables' rows by entry."""
    _, model, codec, _ = open_checkpoint(Registry(folder / "registry"), ref)
    tables = {id(table) for table in tables_of(model)}
    layers = {n: p.detach() for n, p in model.named_parameters() if id(p) not in tables}
    rows = [
        {token: table[index].detach() for token, index in codec.vocabulary.items()}
        for table in tables_of(model)
    ]
    return layers, rows, codec


def test_only_what_changed_moves(work, catalogue):
    """A tool each is added, removed, renamed and changed; all else is the same to the last bit."""
    _, length, city = catalogue.tools
    renamed = replace(length, name="convert_length")
    changed = replace(city, description="Find a town by its name.")
    card = updated(work, [renamed, changed, SQUARE], "train=rows")
    assert card.metrics["changes"] == {"added": 1, "removed": 1, "renamed": 1, "changed": 1}
    assert card.data_position["retired"] == ["circle_area", "length_convert"]
    old_layers, old_rows, _ = parts(work, "align@latest")
    new_layers, new_rows, codec = parts(work, card.id)
    assert old_layers.keys() == new_layers.keys()
    assert all(torch.equal(old_layers[name], new_layers[name]) for name in old_layers)
    touched = {token_of(n) for n in ("circle_area", "length_convert", "city.find")}
    for old_table, new_table in zip(old_rows, new_rows, strict=True):
        assert all(
            torch.equal(row, new_table[token]) != (token in touched)
            for token, row in old_table.items()
        )
        old_row = old_table[token_of("length_convert")]
        assert torch.equal(new_table[token_of("convert_length")], old_row)
    assert token_of("square_area") in codec.vocabulary
    assert [c.phase for c in Registry(work / "registry").lineage(card.id)][-2:] == [
        "align",
        "update",
    ]
    # the same command again makes nothing anew
    assert updated(work, [renamed, changed, SQUARE], "train=rows").id == card.id


def test_a_removed_tool_is_not_produced_and_comes_back_with_new_rows(work, catalogue):
    card = updated(work, catalogue.tools[1:])
    before_and_after = card.metrics["removed_probability"]
    assert before_and_after["after"] < min(MOST_LIKELY, before_and_after["before"])
    assert card.data_position["steps"] == 0  # nothing was trained
    again = updated(work, catalogue.tools, f"parent={card.id}")
    assert again.data_position["retired"] == [] and again.metrics["changes"]["added"] == 1


def test_compacting_takes_retired_entries_out_and_keeps_every_other_row(work, catalogue):
    circle, _, city = catalogue.tools
    card = updated(work, [circle, city, SQUARE], "compact=true")
    _, old_rows, _ = parts(work, "align@latest")
    _, rows, codec = parts(work, card.id)
    assert card.data_position["retired"] == []
    assert token_of("length_convert") not in codec.vocabulary
    assert codec.encode([Piece(token_of("square_area"), token=True)])[0] == [
        codec.vocabulary[token_of("square_area")]
    ]
    assert sorted(codec.vocabulary.values()) == list(range(len(codec.vocabulary)))
    for old_table, table in zip(old_rows, rows, strict=True):
        assert all(torch.equal(row, old_table[token]) for token, row in table.items()
                   if token in old_table)  # fmt: skip
    # once more, when all that is left to do is compacting: of an update without it
    second = updated(work, [circle, city, SQUARE], "parent=align@latest")
    compacted = updated(work, [circle, city, SQUARE], f"parent={second.id}", "compact=true")
    assert compacted.data_position["retired"] == []


@pytest.mark.parametrize("work", [True], indirect=True)
def test_a_killed_update_goes_on_and_ends_with_the_same_rows(work, catalogue, monkeypatch):
    tools = [*catalogue.tools, SQUARE, replace(SQUARE, name="cube_area", description="Of a cube.")]
    shutil.copytree(work / "registry", work / "other" / "registry")
    whole = updated(work, tools, f"registry={work / 'other' / 'registry'}")
    log, steps = new_rows.RunLog.log, []

    def killed(self, step, values):
        steps.append(step)
        if steps == [1, 2]:
            raise KeyboardInterrupt
        log(self, step, values)

    monkeypatch.setattr(new_rows.RunLog, "log", killed)
    with pytest.raises(KeyboardInterrupt):
        updated(work, tools)
    assert published(work) == []
    resumed = updated(work, tools)
    assert steps[:2] == [1, 2] and {*steps[2:]} == {2}  # the first row was there
    assert resumed.tokens == whole.tokens > 0  # its cost, too
    pairs = zip(parts(work, resumed.id)[1], parts(work / "other", whole.id)[1], strict=True)
    for table, known in pairs:
        for token, row in known.items():  # sums may differ in the last bit
            torch.testing.assert_close(table[token], row, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("work", [True], indirect=True)
def test_adapters_move_the_layers_and_no_row_but_the_new_ones(work, catalogue):
    card = updated(work, [*catalogue.tools, SQUARE], "train=adapters", "epochs=1")
    old_layers, old_rows, _ = parts(work, "align@latest")
    new_layers, new_rows, _ = parts(work, card.id)
    moved = [name for name, part in old_layers.items() if not torch.equal(part, new_layers[name])]
    assert any("q_proj" in name for name in moved)
    for old_table, table in zip(old_rows, new_rows, strict=True):
        assert all(torch.equal(row, table[token]) for token, row in old_table.items())


@pytest.mark.parametrize("work", [True], indirect=True)
def test_adapters_follow_only_if_the_rows_do_not_pass(work, catalogue, capsys):
    tools = [*catalogue.tools, SQUARE]
    rows_card = updated(work, tools, "epochs=1")
    assert "adapters" not in capsys.readouterr().err
    old_layers, new_layers = parts(work, "align@latest")[0], parts(work, rows_card.id)[0]
    assert all(torch.equal(part, new_layers[name]) for name, part in old_layers.items())
    high_limit = "min_recall={document_to_token: 1.1}"  # more than all: no row passes
    rest = "epochs=1", "replayed=1", "accept=[document_to_token]"
    with pytest.raises(GateFailed, match="document_to_token"):
        updated(work, tools, "epochs=1", high_limit)
    message = capsys.readouterr().err
    assert "the rows alone do not pass (document to token " in message
    assert "training adapters as well" in message
    # accepted after the adapters trained: what was refused is published, not the rows alone
    refused_card = updated(work, tools, "epochs=1", high_limit, "accept=[document_to_token]")
    new_layers = parts(work, refused_card.id)[0]
    assert any(not torch.equal(part, new_layers[name]) for name, part in old_layers.items())
    accepted_card = updated(work, tools, high_limit, *rest)  # an accepted gate asks for no adapters
    new_layers = parts(work, accepted_card.id)[0]
    assert all(torch.equal(part, new_layers[name]) for name, part in old_layers.items())


@pytest.mark.parametrize("work", [True], indirect=True)
def test_adapters_are_trained_at_once_for_changed_documents_or_many_new_tools(
    work, catalogue, capsys, monkeypatch
):
    monkeypatch.setattr(update_training, "_train_rows", None)  # would raise if called
    *others, city = catalogue.tools
    changed = replace(city, description="Find a town by its name.")
    for tools, reason in (
        ([*others, changed], "a document changed: training adapters in the layers"),
        (
            [*catalogue.tools, *(replace(SQUARE, name=f"square_{i}") for i in range(3))],
            "more than 2 tools were added: training adapters in the layers",
        ),
    ):
        card = updated(work, tools, "epochs=1", "replayed=1")
        assert reason in capsys.readouterr().err.splitlines()
        old_layers, new_layers = parts(work, "align@latest")[0], parts(work, card.id)[0]
        assert any(not torch.equal(part, new_layers[name]) for name, part in old_layers.items())


@pytest.mark.parametrize("work", [True], indirect=True)
def test_adapters_start_from_the_trained_rows(work, catalogue, monkeypatch):
    """Their steps and tokens are added to the rows'; lost tools are replayed in every epoch."""
    monkeypatch.setattr(update_training, "_failures", lambda *arguments: ["schema 0 of 1"])
    monkeypatch.setattr(update_training, "_lost", lambda *arguments: ["city.find"])
    replayed_names = []
    real = update_training.aligned_examples

    def recording(codec, catalogue, mix, rng, **only):
        if mix.schema and not mix.blind:
            replayed_names.append({*only["only"]})
        return real(codec, catalogue, mix, rng, **only)

    monkeypatch.setattr(update_training, "aligned_examples", recording)
    tools = [*catalogue.tools, SQUARE]
    settings = "epochs=2", "replayed=1", "neighbours=1", "max_forgotten=1"
    card = updated(work, tools, *settings)
    assert replayed_names == [{"circle_area", "length_convert", "city.find"}] * 2
    log = [json.loads(line) for line in (work / "run" / "update.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in log if "train/loss" in row]
    assert steps == sorted(steps) and card.data_position["steps"] > 1
    old_layers, new_layers = parts(work, "align@latest")[0], parts(work, card.id)[0]
    assert any(not torch.equal(part, new_layers[name]) for name, part in old_layers.items())


@pytest.mark.parametrize("work", [True], indirect=True)
def test_adapters_killed_halfway_end_with_the_same_weights(work, catalogue, monkeypatch):
    tools = [*catalogue.tools, SQUARE]
    settings = "train=adapters", "epochs=30", "training.checkpoint_steps=2"
    shutil.copytree(work / "registry", work / "other" / "registry")
    whole = updated(work, tools, *settings, f"registry={work / 'other' / 'registry'}")
    log, steps = new_rows.RunLog.log, []

    def killed(self, step, values):
        if "train/loss" in values:
            steps.append(step)
            if len(steps) == 3:
                raise KeyboardInterrupt
        log(self, step, values)

    monkeypatch.setattr(new_rows.RunLog, "log", killed)
    with pytest.raises(KeyboardInterrupt):
        updated(work, tools, *settings)
    assert published(work) == []
    resumed = updated(work, tools, *settings)
    assert 1 < steps[3] <= steps[2]  # the first steps were there
    known_layers, known_rows, _ = parts(work / "other", whole.id)
    layers, rows, _ = parts(work, resumed.id)
    assert all(torch.equal(part, layers[name]) for name, part in known_layers.items())
    for table, known in zip(rows, known_rows, strict=True):
        assert all(torch.equal(table[token], row) for token, row in known.items())


@pytest.mark.parametrize("work", [True], indirect=True)
def test_an_update_killed_after_its_adapters_does_not_train_again(work, catalogue, monkeypatch):
    """Its log keeps the rows of both trainings."""
    monkeypatch.setattr(update_training, "_failures", lambda *arguments: ["schema 0 of 1"])
    tools, path = [*catalogue.tools, SQUARE], work / "run" / "update.jsonl"
    measure, losses = update.forgotten, []

    def killed(*arguments):
        raise KeyboardInterrupt

    def logged_losses():
        rows = map(json.loads, path.read_text().splitlines())
        return [(row["step"], row["train/loss"]) for row in rows if "train/loss" in row]

    for forgotten in (killed, measure):
        monkeypatch.setattr(update, "forgotten", forgotten)
        with suppress(KeyboardInterrupt):
            updated(work, tools, "epochs=40")
        losses.append(logged_losses())
    assert len(losses[0]) > 2 and losses[0][0][0] == 1  # one row, then the adapters' steps
    assert losses[1] == losses[0] and len(published(work)) == 1


@pytest.mark.parametrize("work", [True], indirect=True)
def test_queries_beside_a_checkpoint_serve_as_contrast_and_stay_with_the_child(
    work, catalogue, monkeypatch
):
    """Without those of removed and changed tools, and by the new names of renamed ones."""
    circle, length, _ = catalogue.tools
    asked = [
        {"id": "q1", "query": "Area for radius 3?",
         "calls": [{"name": "circle_area", "arguments": {"radius": 3}}]},
        {"id": "q2", "query": "Find Ulm.",
         "calls": [{"name": "city.find", "arguments": {"name": "Ulm"}}]},
    ]  # fmt: skip
    write_jsonl(work / "queries.jsonl", asked)
    sft.run(
        load_config(sft.SftConfig, None, [
            f"queries={work / 'queries.jsonl'}", "keep_queries=true", "replay=0", "replay_pairs=0",
            "unqueried=0", "tolerance=1", "training.checkpoint_steps=0", *places(work),
        ])
    )  # fmt: skip
    card = updated(work, [replace(circle, name="disc_area"), length], "parent=sft@latest")
    folder = Registry(work / "registry").path(card)
    queries = read_queries(folder / "queries.jsonl", load_catalogue(folder))
    assert [(q.id, [c.name for c in q.calls]) for q in queries] == [("q1", ["disc_area"])]
    replayed, traced = [], []
    real, real_traces = update_training.aligned_examples, update_training.trace_examples

    def recording(codec, catalogue, mix, rng, only):
        replayed.append((sorted(only), bool(mix.pseudo)))
        return real(codec, catalogue, mix, rng, only=only)

    def recording_traces(codec, library, queries, *rest):
        traced.append([query.id for query in queries])
        return real_traces(codec, library, queries, *rest)

    monkeypatch.setattr(update_training, "aligned_examples", recording)
    monkeypatch.setattr(update_training, "trace_examples", recording_traces)
    settings = "parent=sft@latest", "train=adapters", "epochs=1"
    updated(work, [*catalogue.tools, SQUARE], *settings)
    known = [(["length_convert"], True), (["circle_area", "city.find"], False)]
    assert replayed == [(["square_area"], True), *known] and sorted(traced[0]) == ["q1", "q2"]
    replayed.clear()
    updated(work, [*catalogue.tools, SQUARE], *settings, "contrast_queries=0")
    assert replayed[1:] == [(sorted(catalogue.names), True)] and traced[1:] == [[]]


@pytest.mark.parametrize("work", [True], indirect=True)
def test_nothing_changed_publishes_nothing(work, catalogue, capsys):
    card = updated(work, catalogue.tools)
    assert card.phase == "align"
    assert "already knows this catalogue" in capsys.readouterr().err
    assert published(work) == []


def test_what_is_computed_once_gives_the_loss_of_the_whole_model(
    model, codec, catalogue, monkeypatch
):
    monkeypatch.setattr(new_rows, "use_bf16", lambda wanted: False)
    new_id = codec.tool_ids["circle_area"]
    mix = PairMix.only(memorise=2, naming=3)
    examples = aligned_examples(codec, catalogue, mix, Random(0))
    rows = NewRows(model, [new_id])
    rows.rows[-1].normal_().mul_(2)
    with rows.live():
        known = new_rows.fixed_positions(rows, examples, codec.pad)
    rows.write()
    losses = {True: [], False: []}
    for example in examples:
        end = list(example.ids).index(new_id) + 1 if new_id in example.ids else example.width
        logits = model(torch.tensor([list(example.ids[:end])])).logits[0]
        for n in range(1, end):
            if example.labels[n] != -100:
                loss = torch.nn.functional.cross_entropy(
                    logits[n - 1], torch.tensor(example.labels[n])
                )
                losses[example.labels[n] == new_id].append(loss)
    expected = sum(torch.stack(part).mean() for part in losses.values())
    torch.testing.assert_close(known.loss(rows), expected, rtol=1e-4, atol=1e-4)


def test_what_stands_before_a_new_token_is_computed_once_for_the_same_loss(
    model, codec, catalogue, monkeypatch
):
    monkeypatch.setattr(new_rows, "use_bf16", lambda wanted: False)
    new_id, mix = codec.tool_ids["circle_area"], PairMix.only(schema=2, pseudo=4)
    examples = aligned_examples(codec, catalogue, mix, Random(3), only=["circle_area"])
    rows, losses = NewRows(model, [new_id]), []
    rows.rows[0].normal_()
    with rows.live(), torch.no_grad():
        loss = new_rows.Continuations(rows, examples, codec.pad).loss()
    rows.write()
    for example in examples:
        start = list(example.ids).index(new_id)
        logits = model(torch.tensor([list(example.ids)])).logits[0, start:-1]
        targets = torch.tensor(example.labels[start + 1 :])
        losses += torch.nn.functional.cross_entropy(logits, targets, reduction="none")[
            targets != -100
        ].tolist()
    assert len({example.width for example in examples}) > 3  # else nothing is padded
    assert float(loss) == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_new_rows_learn(model, codec, catalogue, tmp_path, monkeypatch):
    monkeypatch.setattr(new_rows, "use_bf16", lambda wanted: False)
    name = "circle_area"
    fixed = aligned_examples(codec, catalogue, PairMix.only(memorise=4), Random(0), only=[name])
    behind = aligned_examples(codec, catalogue, PairMix.only(schema=1), Random(1), only=[name])
    losses, rows = [], NewRows(model, [codec.tool_ids[name]])
    with rows.live(), torch.no_grad():
        before = new_rows.fixed_positions(rows, fixed, codec.pad).loss(rows)
        before += new_rows.Continuations(rows, behind, codec.pad).loss()
    new_rows.train_rows(
        rows, [torch.tensor(2.0)] * len(rows.rows), fixed, [behind], RowsConfig(), codec.pad,
        SimpleNamespace(log=lambda step, values: losses.append(values["train/loss"])),
        Steps(tmp_path),
    )  # fmt: skip
    assert losses[0] < before - 4
    index = codec.tool_ids[name]
    assert all(abs(table[index].norm() - 2) < 0.01 for table in tables_of(model))


@pytest.mark.parametrize("work", [True], indirect=True)
def test_a_confusable_newcomer_is_named(work, catalogue, capsys):
    twin = replace(catalogue.tools[0], name="disc_area", returns="Square feet.")
    updated(work, [*catalogue.tools, twin])
    warning = [line for line in capsys.readouterr().err.splitlines() if "similar documents" in line]
    assert len(warning) == 1 and "disc_area" in warning[0] and "circle_area" in warning[0]


@pytest.mark.parametrize("work", [True], indirect=True)
def test_gates_stop_an_update(work, catalogue):
    with pytest.raises(GateFailed, match=r"document_to_token.*Raise epochs"):
        updated(work, [*catalogue.tools, SQUARE], "min_recall={document_to_token: 1.1}")
    assert published(work) == []


@pytest.mark.parametrize("work", [True], indirect=True)
def test_wrong_use_is_told_in_one_line(work, catalogue, capsys):
    def told(*words: str, code: int = 2) -> str:
        assert guarded(lambda: app(words, standalone_mode=False)) == code
        lines = capsys.readouterr().err.strip().splitlines()
        return lines[-1]

    registry = ["--registry", str(work / "registry"), f"run={work / 'run'}"]
    old = str(work / "old")
    assert "no such" in told("update", "--checkpoint", "align@latest", "--catalogue",
                             str(work / "nowhere"), *registry)  # fmt: skip
    assert "phase is base" in told("update", "--checkpoint", "base@latest", "--catalogue", old,
                                    *registry)  # fmt: skip
    write_tools(work / "new", [*catalogue.tools, replace(SQUARE, name="square area")])
    assert "square area" in told("update", "--checkpoint", "align@latest", "--catalogue",
                                 str(work / "new"), *registry)  # fmt: skip


def test_a_token_that_the_vocabulary_has_already_is_refused(qwen_tokenizer, catalogue):
    """Of a base whose own entries look like tool tokens."""
    tokenizer = copy.deepcopy(qwen_tokenizer)
    tokenizer.add_tokens([token_of("square_area")])
    changes = difference({}, {"square_area": SQUARE})
    with pytest.raises(BadInput, match="rename the tool"):
        update._check_tokens(changes, tokenizer, [], "align-1")
    update._check_tokens(changes, tokenizer, ["square_area"], "align-1")  # retired: it comes back


@pytest.mark.parametrize("sign", [-1, 1])
def test_retired_rows_are_below_every_other_entry_of_any_head(model, codec, catalogue, sign):
    """Also where all logits are negative: there a row of zeros would win."""
    prompts = naming_prompts(codec, catalogue, catalogue.tools)
    states = final_states(model, [ids for rows in prompts.values() for ids in rows])
    index = codec.tool_ids["city.find"]
    with torch.no_grad():  # push all logits one way
        direction = states.mean(0) / states.mean(0).norm()
        vocabulary_rows(model)[1].weight.add_(sign * 9 * direction)
        logits = vocabulary_rows(model)[1](states)
    assert (logits * sign).min() > 3  # else this tests nothing
    retire(model, [index], states)
    assert naming_probability(model, codec, {"city.find": prompts["city.find"]}) < 1e-8
    assert (vocabulary_rows(model)[1](states).argmin(-1) == index).all()


def test_new_rows_are_read_and_predicted_as_if_they_stood_in_the_tables(model, codec, catalogue):
    ids = [codec.tool_ids["circle_area"], codec.tool_ids["city.find"]]
    rows = NewRows(model, ids)
    for table in rows.rows:
        table.add_(torch.randn_like(table))
    prompt = torch.tensor([[5, *ids, 7]])
    plain = model(prompt).logits
    with rows.live():
        live = rows.model(prompt).logits
    rows.write()
    torch.testing.assert_close(live.float(), model(prompt).logits, rtol=2e-2, atol=2e-2)
    assert not torch.allclose(plain, live.float(), atol=1e-3)


@pytest.mark.parametrize(
    ("reply", "shares"),
    [("Area of a circle from its radius.", True), ("area OF a  circle from, its", False),
     ("the area of a circle from here", True), ("Area of a circle", False), ("", False)],
)  # fmt: skip
def test_five_words_in_a_row_are_a_recital(reply, shares):
    assert shares_run(reply, "Area of a circle from its radius.") == shares


def test_what_another_document_says_too_is_no_recital():
    """Parameters of one API are worded alike; only what a removed tool alone says is its own."""
    gone = "Take a worn book out for good. number: integer. Number of the book"
    others = ["Show a book. number: integer. Number of the book"]
    assert not shares_run("number: integer. Number of the book", gone, others)
    assert shares_run("Take a worn book out", gone, others)
    assert shares_run("for good. number: integer. Number", gone, others)


def test_compact_without_a_retired_entry_changes_nothing(model, codec):
    vocabulary = dict(codec.vocabulary)
    rows = [table.clone() for table in tables_of(model)]
    compact(model, codec.tokenizer, [])
    assert codec.tokenizer.get_vocab() == vocabulary
    assert all(torch.equal(a, b) for a, b in zip(rows, tables_of(model), strict=True))


def test_a_part_of_the_catalogue_is_replaced(work, catalogue, capsys):
    """The OpenAPI file of one tool changed; the other two tools came from elsewhere."""
    circle, *others = catalogue.tools
    write_tools(work / "part", [circle])
    child = updated(work, [SQUARE], f"replaces=[{work / 'part'}]")
    _, folder = Registry(work / "registry").open(child.id)
    assert load_catalogue(folder).names == sorted([SQUARE.name, *(doc.name for doc in others)])
    assert child.metrics["changes"] == {"added": 1, "removed": 1, "renamed": 0, "changed": 0}
    for old, new, says in (
        ([SQUARE], [circle], f"replaces: tool '{SQUARE.name}' is not in align@latest"),
        ([circle], others, f"has another tool '{others[0].name}'"),
    ):
        write_tools(work / "part", old)
        with pytest.raises(BadInput, match=says):
            updated(work, new, f"replaces=[{work / 'part'}]")


def test_the_new_catalogue_is_what_the_child_knows(work, catalogue):
    card = updated(work, [*catalogue.tools[:2], SQUARE])
    folder = Registry(work / "registry").path(card)
    assert load_catalogue(folder).names == ["circle_area", "length_convert", "square_area"]
    assert card.catalogue_hash == Catalogue((*catalogue.tools[:2], SQUARE)).hash


def test_examples_run_in_few_groups_that_are_not_too_large():
    """Every example is in one group; a group is small when padded, or one long example."""
    widths = sorted([19] * 3 + [39, 39, 51, 95, 95, 95, 700, 900, 1500, 3000])
    groups = list(new_rows._groups(widths))
    assert [n for first, end in groups for n in range(first, end)] == [*range(len(widths))]
    sizes = [widths[end - 1] * (end - first) for first, end in groups]
    assert [size for size in sizes if size > new_rows.GROUP_TOKENS] == [3000]
    assert len(groups) == 4 and list(new_rows._groups([5])) == [(0, 1)]


def test_the_examples_behind_a_new_token_end_the_turn_after_it_too(grown, catalogue):
    """Else a document's answer goes on behind its token, and its recall is 0."""
    codec, name = grown("tiny"), catalogue.names[0]
    mix = update.UpdateConfig(parent="x", catalogue=("x",)).behind
    examples = requests_of_one_tool(codec, catalogue, mix, Random(0), [name])[codec.tool_ids[name]]
    token, close = codec.tool_ids[name], codec.id(codec.frame.close)
    ends = [[*one.ids[one.ids.index(token) :]] for one in examples]
    assert [token, close] in ends


def test_a_near_tie_that_a_batch_decides_is_not_lost(monkeypatch):
    """The tools that a child misses are asked again in the batch in which its parent is asked."""
    docs = [ToolDoc(name, f"Do {name}.", {"type": "object"}) for name in ("a", "b", "c", "d")]
    everything, asked = Catalogue(tuple(docs)), []

    def missed(model, codec, catalogue):
        asked.append((model, catalogue.names))
        lost = {4: {"a", "b", "c"}, 3: {"b", "c"}}.get(len(catalogue.tools), {"c"})
        return [doc for doc in catalogue.tools if doc.name in lost]

    monkeypatch.setattr(update_training, "not_recalled", missed)
    monkeypatch.setattr(update_training, "load_catalogue", lambda folder: everything)
    monkeypatch.setattr(update_training, "Codec", lambda tokenizer: tokenizer)
    config = update.UpdateConfig(max_forgotten=0.5)
    phase = SimpleNamespace(load=lambda: ("parent", ""), folder="")
    found = update_training.forgotten(phase, config, "child", "", everything)
    assert found == {"n": 4, "names": ["b"]}
    assert asked == [
        ("child", ["a", "b", "c", "d"]), ("child", ["a", "b", "c"]), ("parent", ["b", "c"]),
    ]  # fmt: skip
