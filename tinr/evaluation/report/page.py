"""Write report.html, report.json and report.md of a run: the same tables in three formats.

The page is one file without scripts or external addresses. Every text from the run's files is
escaped: text of a model or a user is never markup.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tinr.evaluation.metrics import Rate
from tinr.evaluation.report.replies import KINDS
from tinr.evaluation.report.sections import Report, Section, read_report
from tinr.evaluation.report.tables import (
    Cell,
    Code,
    Count,
    Figure,
    Seconds,
    Table,
    as_data,
    as_markdown,
    duration,
    escaped,
    number,
    sizes,
)
from tinr.files import write_together
from tinr.records import BadInput

FORM = 1  # version of the format of report.json
CELLS = {Rate: "rate", Figure: "figure", Count: "count", Code: "code", Seconds: "seconds"}


def write_report(run: Path, defaults: Mapping[str, Mapping[str, Any]] | None = None) -> Path:
    """Write `run/report.html`, `.json` and `.md`, all or none, and return the page's path.

    defaults: phase -> its default configuration, to mark differences. BadInput if a file of the
    run is broken or the report cannot be written.
    """
    run = Path(run)
    report = read_report(run, defaults or {})
    path = run / "report.html"
    texts = {
        path: as_page(report),
        run / "report.json": as_json(report),
        run / "report.md": as_text(report),
    }
    try:
        write_together({p: t.encode("utf-8", "replace").decode("utf-8") for p, t in texts.items()})
    except OSError as error:
        raise BadInput(
            f"{path}: cannot write it ({error.strerror}); free disk space or clear this path"
        ) from error
    return path


def as_page(report: Report) -> str:
    """The report as HTML."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "kind": kind_of,
        "duration": duration,
        "sizes": sizes,
        "numeric": numeric,
        "number": number,
        "drawn": Markup,  # only our own plots
    }
    return environment.get_template("report.html.j2").render(report=report, kinds=KINDS)


def kind_of(cell: Cell) -> str:
    """The template's name for the kind of a cell."""
    if cell is None or (isinstance(cell, Rate) and cell.value is None):
        return "none"
    if isinstance(cell, int | float):
        return "number"
    return CELLS.get(type(cell), "text")


def numeric(table: Table) -> list[bool]:
    """Whether each column holds numbers, which are aligned right."""
    numbers = {"count", "number", "seconds"}  # such a column may also have None and empty text
    columns = zip(*(row.cells for row in table.rows), strict=True)
    kinds = ({kind_of(c) for c in column if c != ""} - {"none"} for column in columns)
    return [bool(kind) and kind <= numbers for kind in kinds]


def as_json(report: Report) -> str:
    """The tables, curves, cases and conversations as JSON."""
    content = {
        "form": FORM,
        "run": report.name,
        "headline": report.headline,
        "facts": dict(report.facts),
        "sections": [_section_data(section) for section in report.sections],
        "missing": list(report.missing),
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _section_data(section: Section) -> dict[str, Any]:
    charts = [chart.table for chart in (*section.charts, *section.more) if chart.table]
    return {
        "key": section.key,
        "title": section.title,
        "note": section.note,
        "said": section.said,
        "tables": [as_data(table) for table in (*section.tables, *charts)],
        "cases": [asdict(kind) for kind in section.cases],
        "conversations": [asdict(moment) for moment in section.moments],
    }


def as_text(report: Report) -> str:
    """The tables in Markdown; cases and conversations are only in the other two files."""
    parts = [f"# Run {escaped(report.name)}", escaped(report.headline)]
    for section in report.sections:
        charts = [chart.table for chart in (*section.charts, *section.more) if chart.table]
        tables = [*section.tables, *charts]
        if not tables:
            continue
        parts += [f"## {escaped(section.title)}", *map(escaped, (section.said, section.note))]
        for table in tables:
            parts += [f"### {escaped(table.title)}", escaped(table.note), as_markdown(table)]
    if report.missing:
        parts.append(f"Not in this run: {escaped(', '.join(report.missing))}.")
    return "\n\n".join(text for text in parts if text) + "\n"
