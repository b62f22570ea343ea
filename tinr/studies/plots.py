"""Plots for the docs as SVG. Text stays text, and the same data gives the same bytes."""

from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any

Paint = Callable[[Sequence[Any]], None]  # takes matplotlib's axes, left to right
STYLE: Any = {"svg.hashsalt": "tinr", "svg.fonttype": "none", "font.size": 9}


def as_svg(paint: Paint, panels: int = 1, size: tuple[float, float] = (9, 3.8)) -> str:
    """Paint `panels` axes side by side on a figure of `size` inches, each with a grid."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(1, panels, figsize=size, layout="constrained", squeeze=False)
        paint(axes[0])
        for axis in axes[0]:
            axis.grid(alpha=0.3)
        out = StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
        pyplot.close(figure)
    return out.getvalue()
