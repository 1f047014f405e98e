"""Draws figures as SVG. matplotlib is needed for that alone."""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

Draw = Callable[[Any, dict[str, Any]], None]
"""Draws a document on a matplotlib figure."""

OURS: Final = "#b5482a"
OTHERS: Final = "#8a939b"
PALETTE: Final = (OURS, "#2f5d7c", "#5b8c5a", "#8a939b", "#c9a227")
STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tocsin",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
}


def save(path: Path, draw: Draw, document: dict[str, Any]) -> bool:
    """Draw to a file; whether matplotlib is there to do so. The same document, the same file."""
    try:
        matplotlib = importlib.import_module("matplotlib")
        figures = importlib.import_module("matplotlib.figure")
    except ImportError:
        print("matplotlib is not installed here, so nothing is drawn; `make bench-peers` sets it up", file=sys.stderr)
        return False
    with matplotlib.rc_context(STYLE):
        figure = figures.Figure(layout="constrained")
        draw(figure, document)
        figure.savefig(path, format="svg", metadata={"Date": None})
    path.write_text("".join(f"{line.rstrip()}\n" for line in path.read_text().splitlines()))
    return True


def bars(axes: Any, times: Mapping[str, float], *, ours: Sequence[str], unit: str = "µs") -> None:
    """Horizontal bars, the quickest on top, ours in another colour, each with its figure."""
    names = sorted(times, key=lambda name: -times[name])
    drawn = axes.barh(names, [times[name] for name in names], color=[OURS if n in ours else OTHERS for n in names])
    axes.bar_label(drawn, labels=[f"{times[name]:,.3g}" for name in names], padding=3)
    axes.margins(x=0.15)
    axes.set_xlabel(unit)


def lines(axes: Any, along: Sequence[float], series: Mapping[str, Sequence[float]], *, label: str, unit: str) -> None:
    """One line a series over a logarithmic scale; the other scale starts at nothing."""
    for colour, (name, values) in zip(PALETTE, series.items(), strict=False):
        axes.plot(along, values, marker="o", color=colour, label=name)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(label)
    axes.set_ylabel(unit)
    axes.grid(axis="y", color="#dddddd")
