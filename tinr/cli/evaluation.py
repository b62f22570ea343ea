"""Commands that measure checkpoints on suites of queries: eval and compare."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tinr import __version__
from tinr.cli.options import (
    DATA,
    REGISTRY,
    AsJson,
    Checkpoint,
    Constrained,
    Data,
    Documents,
    Executors,
    RegistryFolder,
    rate_cells,
    table_console,
)
from tinr.records import BadInput

if TYPE_CHECKING:
    from tinr.evaluation.comparison import Contenders, Phrasings
    from tinr.evaluation.evaluate import SuiteResult
    from tinr.evaluation.suites import Suite

Size = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Queries per split, half as many without a tool; default: 300 of a shipped suite, "
        "all of any other.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("eval")(evaluate_checkpoint)
    app.command("compare")(compare_checkpoints)


def evaluate_checkpoint(
    checkpoint: Checkpoint,
    suite: Annotated[
        str,
        typer.Option(
            help="in_domain, out_of_domain, a real set (bfcl, tinr, acebench, apibank, nestful, "
            "toolalpaca, metatool), or a folder."
        ),
    ],
    documents: Documents = "none",
    size: Size = None,
    retriever: Annotated[
        str | None,
        typer.Option(help="bm25, lsa, or a sentence-transformers model; default: as trained."),
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Documents from the retriever.")] = None,
    candidates: Annotated[
        int | None,
        typer.Option(help="in_prompt: number of documents, with the right ones; 0: all."),
    ] = None,
    data: Data = DATA,
    out: Annotated[Path | None, typer.Option(help="Folder for replies and summary.")] = None,
    verdicts: Annotated[
        Path | None,
        typer.Option(help="Small file for the verdicts only; `tinr compare` pools such files."),
    ] = None,
    arm: Annotated[
        str, typer.Option(help="With --verdicts: name of the arm; default: the phase.")
    ] = "",
    equivalent: Annotated[
        Path | None,
        typer.Option(
            help="File of groups of tools that count as one, from `catalogue check --groups`."
        ),
    ] = None,
    earlier: Annotated[
        int,
        typer.Option(min=0, help="Number of other queries, with answers, before each query."),
    ] = 0,
    constrained: Constrained = False,
    executors: Executors = None,
    registry: RegistryFolder = REGISTRY,
    as_json: AsJson = False,
) -> None:
    """Measure naming, calling, answers, format and abstention, with 95 % intervals.

    Example: tinr eval --checkpoint grpo@latest --suite in_domain --documents none
    """
    from tinr.checkpoints.open import open_checkpoint
    from tinr.checkpoints.registry import Registry
    from tinr.data.earlier_turns import after_others
    from tinr.evaluation import contenders
    from tinr.evaluation import evaluate as ev
    from tinr.evaluation.suites import same_names
    from tinr.evaluation.verdicts import write_verdicts
    from tinr.files import make_folder
    from tinr.rollout.tools.executor import Executor
    from tinr.rollout.tools.own_tools import executor_of

    ev.documents_mode(documents)
    overrides = _prompt_overrides(documents, retriever, top_k, candidates)
    shelf = Registry(registry)
    card, model, codec, catalogue = open_checkpoint(shelf, checkpoint)
    if warning := contenders.untrained(card, documents):
        typer.echo(warning, err=True)
    prompt = contenders.trained_prompt(card)
    prompt = replace(prompt, **overrides)
    writes_documents = documents in ("in_prompt", "retrieved") and codec.writes_names
    loaded_suite = ev.load_suite(suite, size, catalogue, data, writes_documents)
    equivalents = (
        ev.read_equivalent(equivalent, loaded_suite.catalogue)
        if equivalent
        else same_names(loaded_suite)
    )
    ev.check_splits(loaded_suite.queries, contenders.trained_tools(shelf, card))
    queries = [
        after_others(query, loaded_suite.queries, earlier, Random(f"earlier/{query.id}"))
        for query in loaded_suite.queries
    ]
    # a foreign tool may have the name of one of ours; ours must not run instead
    is_own_catalogue = loaded_suite.catalogue is catalogue
    make_folder(out)
    with (
        executor_of(catalogue, executors)
        if is_own_catalogue
        else Executor(loaded_suite.catalogue, {}) as executor
    ):
        result = ev.evaluate(
            model,
            codec,
            queries,
            loaded_suite.catalogue,
            executor,
            documents,
            prompt=prompt,
            same=equivalents,
            constrained=constrained,
            title=f"{loaded_suite.name}, documents {documents}",
        )
    rates = ev.by_split(result)
    summary = {
        "checkpoint": card.id,
        "suite": suite,
        "documents": documents,
        "earlier": earlier,
        "prompt": asdict(prompt),
        "eval": ev.plain(rates),
        "cost": ev.costs(result),
        "unscorable": dict(loaded_suite.left_out) | dict(result.unscorable),
        "unasked": dict(result.unasked),
    }
    if constrained:
        summary["constrained"] = {
            "stuck": sum(conversation.row.stuck for conversation in result.done)
        }
    if out is not None:
        _keep(out, loaded_suite, result, summary)
    if verdicts is not None:
        facts = {
            "checkpoint": card.id,
            "version": __version__,
            "suite": suite,
            "size": size,
            "tools": len(catalogue.tools),
            "documents": documents,
            "earlier": earlier,
            "cost": summary["cost"],
            "training": {
                c.phase: {"tokens": c.tokens, "seconds": round(c.seconds)}
                for c in shelf.lineage(card.id)
            },
        }
        write_verdicts(verdicts, result, arm=arm or card.phase, seed=card.seed, facts=facts)
    if as_json:
        print(json.dumps(summary))
        return
    _print(card.id, summary)


def _prompt_overrides(
    documents: str, retriever: str | None, top_k: int | None, candidates: int | None
) -> dict[str, Any]:
    """Return the options that override the trained prompt; BadInput if the mode lacks one."""
    options = {"retriever": retriever, "top_k": top_k, "candidates": candidates}
    overrides = {key: value for key, value in options.items() if value is not None}
    for key in overrides:
        if documents != ("in_prompt" if key == "candidates" else "retrieved"):
            option = f"--{key.replace('_', '-')}"
            raise BadInput(f"{option} has no meaning with --documents {documents}; leave it out")
    return overrides


def _keep(out: Path, suite: "Suite", result: "SuiteResult", summary: dict[str, Any]) -> None:
    """Write replies and summary, and for BFCL also the result files of its own package."""
    from tinr.evaluation import evaluate as ev
    from tinr.evaluation.bfcl_export import write_results

    ev.write_replies(out, result, suite.catalogue.by_name)
    ev.write_summary(out / f"summary.{result.documents}.json", summary)
    if suite.name == "bfcl":
        replies = [(conversation.query, conversation.reply) for conversation in result.done]
        write_results(out / "bfcl", replies, suite.catalogue.by_name, suite.source_names)


def _print(checkpoint: str, summary: dict[str, Any]) -> None:
    console = table_console()
    title = f"{checkpoint}, documents {summary['documents']}"
    table = Table("split", "metric", "value", "95 % interval", "n", title=title)
    for split, metrics in summary["eval"].items():
        for name, rate in metrics.items():
            table.add_row(split, name, *rate_cells(rate))
    console.print(table)
    cost = summary["cost"]
    console.print(
        f"per query: {cost['prompt_tokens']:.0f} prompt tokens, "
        f"{cost['generated_tokens']:.0f} generated, {cost['seconds']:.3f} s"
    )
    _print_some(console, "not scored", summary["unscorable"])
    _print_some(console, "not sent, counted as wrong", summary["unasked"])


def _print_some(console: Console, title: str, reasons: dict[str, str]) -> None:
    for query, reason in list(reasons.items())[:5]:
        console.print(f"{title}: {query}: {reason}", markup=False)
    if len(reasons) > 5:
        console.print(f"{title}: {len(reasons)} queries in total")


def compare_checkpoints(
    refs: Annotated[
        list[str],
        typer.Argument(
            help="REF or REF=MODE; the first is the baseline. Or files from `tinr eval --verdicts`."
        ),
    ],
    suite: Annotated[
        list[str] | None, typer.Option(help="Suite; repeatable; default: both shipped ones.")
    ] = None,
    size: Size = None,
    data: Data = DATA,
    registry: Annotated[
        list[Path] | None, typer.Option(help="Checkpoint registry; repeatable, one per seed.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder in which evaluations are cached.")
    ] = None,
    several: Annotated[
        bool, typer.Option("--several", help="Only queries that expect two or more calls.")
    ] = False,
    baseline: Annotated[
        str, typer.Option(help="With files: the arm to compare the others with.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Compare checkpoints on the same queries with paired tests, and state the conclusions.

    Example: tinr compare sft@latest grpo@latest --suite in_domain
    """
    from tinr.evaluation.standing import show, standing
    from tinr.evaluation.verdicts import pooled, read_verdicts

    if all(ref.endswith(".jsonl") for ref in refs):
        if suite or size or registry or out:
            raise BadInput(
                f"compare {refs[0]}: with files, give only --baseline, --several and --json"
            )
        files = [read_verdicts(Path(ref)) for ref in refs]
        runs, phrasings = pooled(files, baseline, several)
    elif baseline:
        raise BadInput("--baseline is for files; for checkpoints, put the baseline first")
    else:
        runs, phrasings = _measured(refs, suite, size, data, registry, out, several)
    comparison = standing(runs, phrasings)
    if as_json:
        print(json.dumps(comparison))
    else:
        show(comparison, table_console())


def _measured(
    refs: Sequence[str],
    suite: Sequence[str] | None,
    size: int | None,
    data: Path,
    registry: Sequence[Path] | None,
    out: Path | None,
    several: bool,
) -> "tuple[Contenders, Phrasings]":
    """Return the runs of checkpoints; evaluate those that are not cached."""
    from tinr.checkpoints.open import open_catalogue
    from tinr.checkpoints.registry import Registry
    from tinr.evaluation.contenders import phrasings_of, read_contender, values_of
    from tinr.files import make_folder

    contenders = [read_contender(ref) for ref in refs]
    if len({contender.name for contender in contenders}) < max(2, len(contenders)):
        raise BadInput("compare: give two or more different checkpoints, REF or REF=MODE")
    suites = suite or ["in_domain", "out_of_domain"]
    folders = registry or [REGISTRY]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise BadInput(f"--registry {folders[0]} ...: one is given twice; give one per seed")
    shelves = [Registry(folder) for folder in folders]
    for contender in contenders:
        for shelf in shelves:
            open_catalogue(shelf, contender.ref)  # raises BadInput before anything is measured
    make_folder(out)
    runs = {
        contender.name: [
            values_of(shelf, contender, suites, size, out, several, data) for shelf in shelves
        ]
        for contender in contenders
    }
    return runs, phrasings_of(shelves[0], contenders[0].ref, suites, size, data)
