"""`tinr traces` and `tinr queries`: queries with reference calls, and their thoughts."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tinr.cli.options import AsJson, show_problems
from tinr.records import BadInput, RunFailed

app = typer.Typer(help="Import queries; build and check reasoning traces.", no_args_is_help=True)
queries_app = typer.Typer(help="Write queries from documents.", no_args_is_help=True)
Catalogues = Annotated[
    list[str], typer.Option(help="Catalogue folder, or a shipped corpus; repeatable.")
]


@app.command("import")
def import_(
    sources: Annotated[list[str], typer.Argument(help="Files or folders of queries with calls.")],
    catalogue: Annotated[Path, typer.Option(help="The imported catalogue that they use.")],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("queries.jsonl"),
    keep_refused: Annotated[
        bool, typer.Option(help="Keep queries whose calls do not fit their tools' documents.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Convert queries with reference calls: BFCL, ACEBench, API-Bank, chat logs, ...

    Queries that are changed or not imported are listed with the reason, in full beside OUT.

    Example: tinr traces import chats.json --catalogue tools/ --out tools/queries.jsonl
    """
    from tinr.catalogue.importing.queries.read_queries import import_queries
    from tinr.catalogue.importing.read import REPORT, files_of
    from tinr.catalogue.load import load_catalogue, read_queries, write_jsonl
    from tinr.files import not_over

    report_path = out.with_name(f"{out.stem}.{REPORT}")
    source_files = [file for source in sources for file in files_of(source)]
    for path in (out, report_path):
        not_over(path, [*sources, *source_files])
    lines, problems = import_queries(sources, catalogue, keep_refused)
    write_jsonl(out, lines)
    write_jsonl(report_path, map(vars, problems))
    read_queries(out, load_catalogue(catalogue))  # raises if the file cannot be read back
    lost = [problem for problem in problems if problem.kind == "lost"]
    faults = Counter(problem.fault for problem in problems if problem.fault)
    refused = Counter(problem.fault for problem in lost if problem.fault)
    called = sum(bool(line["calls"]) for line in lines)
    if as_json:
        summary = {"queries": len(lines), "with_calls": called, "faults": dict(faults)}
        print(json.dumps({**summary, "problems": list(map(str, problems))}, ensure_ascii=False))
        return
    show_problems("not imported", lost)
    show_problems("note", [problem for problem in problems if problem.kind != "lost"])
    print(f"{len(lines)} queries in {out}, {len(lost)} not imported; see {report_path}")
    if refused:
        kinds = ", ".join(f"{kind} {count}" for kind, count in refused.most_common())
        share = called / (called + refused.total())
        print(
            f"kept {share:.1%} of the queries with calls; calls that do not fit the documents: "
            f"{kinds} (--keep-refused keeps them unchanged)"
        )


@app.command()
def build(
    queries: Annotated[Path, typer.Option(help="Queries with reference calls.")],
    catalogue: Catalogues,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("traces.jsonl"),
    endpoint: Annotated[
        str,
        typer.Option(help="OpenAI-compatible base URL of a teacher; default: composed thoughts."),
    ] = "",
    model: Annotated[str, typer.Option(help="The teacher's model.")] = "",
    thoughts: Annotated[
        Path | None, typer.Option(help="Traces with existing thoughts, to be checked.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Setting of the teacher, as key=value; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add thoughts to queries: a teacher's, existing ones, or composed ones.

    Example: tinr traces build --queries q.jsonl --catalogue tools/ \\
    --endpoint http://localhost:8000/v1 --model qwen --set price_out=0.6
    """
    from tinr.catalogue.load import load_catalogue, query_line, read_queries, write_jsonl
    from tinr.config_files import load_config, override
    from tinr.data.teacher import thought_writer
    from tinr.data.thoughts import composed, judge_all
    from tinr.files import not_over

    not_over(out, [queries, *([thoughts] if thoughts else [])])
    loaded_catalogue = load_catalogue(catalogue)
    loaded_queries = read_queries(queries, loaded_catalogue)
    if endpoint and thoughts:
        raise BadInput("--endpoint and --thoughts: give only one of them")
    if not endpoint and (model or setting):
        option = "--model" if model else "--set"
        raise BadInput(f"{option} needs a teacher; give its --endpoint, or leave it out")
    if endpoint:
        if not model:
            raise BadInput("--endpoint needs --model; name the teacher's model")
        teacher_settings = [override("endpoint", endpoint), override("model", model)]
        settings = [*teacher_settings, *(setting or [])]
        config = load_config(thought_writer.TeacherConfig, None, settings)
        journal = out.with_name(out.name + ".journal")
        lines, usage, reasons = thought_writer.build_traces(
            loaded_queries, loaded_catalogue, config, journal
        )
        summary: dict[str, Any] = {
            **vars(usage),
            "reasons": dict(reasons),
            "price": round(usage.price(config), 4),
        }
        _check_answered(usage, lines, endpoint, out)
        # a teacher gets only queries with calls: without calls its thoughts cannot be checked
        queries_without_calls = [query for query in loaded_queries if not query.calls]
        lines += [query_line(composed(query, loaded_catalogue)) for query in queries_without_calls]
        summary["composed_without_calls"] = len(queries_without_calls)
    elif thoughts:
        lines, reasons = judge_all(thoughts, loaded_queries, loaded_catalogue)
        summary = {"reasons": reasons}
    else:
        lines, summary = (
            [query_line(composed(query, loaded_catalogue)) for query in loaded_queries],
            {},
        )
    write_jsonl(out, lines)
    summary = {"queries": len(loaded_queries), "traces": len(lines), **summary}
    if as_json:
        print(json.dumps(summary, ensure_ascii=False))
        return
    for reason, count in sorted(summary.pop("reasons", {}).items(), key=lambda item: -item[1]):
        print(f"{count:6}  {reason}")
    print(f"{out}: " + ", ".join(f"{name} {value}" for name, value in summary.items()))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="Traces, or queries.")],
    catalogue: Catalogues,
    unseen: Annotated[
        Path | None, typer.Option(help="File of tool names, one per line, that must not be called.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check length, coverage, duplicates, and leaks of unseen tools (exit code 1).

    Example: tinr traces check traces.jsonl --catalogue tools/ --unseen unseen.txt
    """
    from tinr.catalogue.load import load_catalogue, read_queries
    from tinr.data import thoughts

    loaded_catalogue = load_catalogue(catalogue)
    unseen_names: list[str] = []
    if unseen is not None:
        unseen_names = _lines_of_names(unseen)
        unknown_names = [name for name in unseen_names if name not in loaded_catalogue.by_name]
        if unknown_names:
            raise BadInput(
                f"{unseen}: {unknown_names[0]!r} is not in the catalogue; correct the name"
            )
    report = thoughts.check(read_queries(file, loaded_catalogue), loaded_catalogue, unseen_names)
    if as_json:
        print(json.dumps(asdict(report), ensure_ascii=False))
    else:
        median, p95, longest = report.words
        print(
            f"{report.traces} traces, words per thought: "
            f"median {median}, 95 % {p95}, maximum {longest}"
        )
        print(f"{report.tools} tools called, {len(report.uncovered)} of the catalogue never called")
        for first, second in report.duplicates[:10]:
            print(f"duplicate query: {first}, {second}")
        for reason, count in sorted(report.reasons.items(), key=lambda item: -item[1]):
            print(f"{count} thoughts would be rejected: {reason}")
    if report.leaks:
        raise RunFailed(
            f"{file}: {len(report.leaks)} unseen tools are called, such as {report.leaks[0]!r}; "
            "remove these traces"
        )


def _check_answered(usage: Any, lines: Sequence[Any], endpoint: str, out: Path) -> None:
    """Raise BadInput if a teacher answered nothing at all."""
    if usage.failed and not usage.answered and not lines:
        raise BadInput(
            f"{endpoint}: none of {usage.requests} requests was answered; check the address "
            f"and the server ({out} is unchanged)"
        )


def _lines_of_names(path: Path) -> list[str]:
    """Read a file of tool names, one per line; without empty lines and outer spaces."""
    if not path.is_file():
        raise BadInput(f"{path}: no such file; give a file with one tool name per line")
    return [name for line in path.read_text("utf-8").splitlines() if (name := line.strip())]


@queries_app.callback()
def queries_group() -> None:
    """Write queries from documents."""


@queries_app.command("build")
def build_queries(
    catalogue: Annotated[
        list[str], typer.Option(help="Catalogue folder, or a shipped corpus; repeatable.")
    ],
    endpoint: Annotated[str, typer.Option(help="OpenAI-compatible base URL of a teacher.")],
    model: Annotated[str, typer.Option(help="The teacher's model.")],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("queries.jsonl"),
    unseen: Annotated[
        Path | None, typer.Option(help="File of tool names, one per line, that get no query.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting, as key=value; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let a teacher write questions for every tool, each checked by a round trip.

    Kinds: plain, vague, missing (a value), two (tools), decoy (a near tool), negated, enumerated,
    option.

    Example: tinr queries build --catalogue tools/ --endpoint http://localhost:8000/v1 \\
    --model qwen --set each=2 --set price_out=0.6
    """
    from tinr.catalogue.load import load_catalogue, write_jsonl
    from tinr.config_files import load_config, override
    from tinr.data.teacher.question_writer import QuestionConfig
    from tinr.data.teacher.question_writer import build_queries as written

    loaded_catalogue = load_catalogue(catalogue)
    names: list[str] = []
    if unseen is not None:
        names = _lines_of_names(unseen)
    settings = [override("endpoint", endpoint), override("model", model), *(setting or [])]
    config = load_config(QuestionConfig, None, settings)
    journal = out.with_name(out.name + ".journal")
    lines, usage, reasons = written(loaded_catalogue, config, journal, names)
    _check_answered(usage, lines, endpoint, out)
    if not lines:
        raise RunFailed(f"no question was kept ({dict(reasons)}); {out} is unchanged")
    write_jsonl(out, lines)
    summary = {"queries": len(lines), "not_kept": reasons.total(), **vars(usage)}
    summary |= {"price": round(usage.price(config), 4)}
    if as_json:
        print(json.dumps({**summary, "reasons": dict(reasons)}, ensure_ascii=False))
        return
    for reason, count in reasons.most_common():
        print(f"{count:6}  {reason}")
    print(f"{out}: " + ", ".join(f"{name} {value}" for name, value in summary.items()))
