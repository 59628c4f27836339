"""Drawing a chart: as SVG that takes the page's colours, light or dark, and as a PNG file."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

INK, MUTED, GRID = "#1b1e23", "#5a626c", "#dfe2e6"
#: Outcomes. Colours of Okabe and Ito, which people tell apart whatever colours they see.
WIN, TIE, LOSS, UNSCORED = "#0072b2", "#a9bccb", "#e08a1e", "#3c4148"
#: Several curves in one chart; lines tell them apart again.
CURVES = ("#0071b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9")
LINES = ("solid", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
#: Of the heat map; how much of it covers the page tells the value.
HEAT = "#2383c4"

#: In a page a colour is one of its variables, which differ in the light and in the dark.
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "line",
    WIN: "win",
    TIE: "tie",
    LOSS: "loss",
    UNSCORED: "unscored",
    HEAT: "heat",
    **{colour: f"curve-{number}" for number, colour in enumerate(CURVES)},
}

#: Width and height in units of the page. One that deserves the width of a page is drawn for three widths of
#: it, so that letters have the same size in each.
SIZES = {"small": (400, 250), "middle": (720, 260), "wide": (1120, 270)}
_DPI = 72  # matplotlib's units of an SVG

_STYLE: Any = {  # matplotlib types its keys, one by one
    "text.parse_math": False,  # names may hold a dollar sign
    "svg.fonttype": "none",
    "font.size": 12,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 11,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.xmargin": 0.02,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "xtick.major.width": 0.8,
    "ytick.major.size": 0,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 10,
}


@dataclass(frozen=True)
class Key:
    """An entry of a legend.

    Attributes:
        label: What it stands for.
        colour: One of those above.
        line: How its line is drawn; None: it is an area.
    """

    label: str
    colour: str
    line: Any = None


@dataclass(frozen=True)
class Chart:
    """A chart that can be drawn in several sizes.

    Attributes:
        name: Names its file.
        title: What it is a chart of.
        caption: What one should see, and what a good run looks like.
        draw: Draws it.
        legend: What its colours mean; empty where there is one.
        wide: Whether it deserves the whole width of a page.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Axes], None]
    legend: Sequence[Key] = ()
    wide: bool = False


def as_svg(chart: Chart, size: tuple[int, int]) -> str:
    """Draws a chart to be put into a page.

    Args:
        chart: The chart. Its title, caption and legend are the page's.
        size: Width and height in units of the page.
    """
    salt = f"{chart.name}-{size[0]}"  # two charts of a page must not share ids
    with _style(salt):
        picture = _draw(chart, size)
        FigureCanvasSVG(picture)
        content = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        picture.savefig(content, format="svg", transparent=True, metadata=nothing)
    return _for_page(content.getvalue(), chart.title)


def as_png(chart: Chart) -> bytes:
    """Draws a chart as a file of its own, with title and legend."""
    with _style():
        width, height = (900, 330) if chart.wide else (560, 350)
        picture = _draw(chart, (width, height + 22 * (len(chart.legend) > 1)))
        FigureCanvasAgg(picture)
        (axes, *_) = picture.axes
        axes.set_title(chart.title, loc="left", fontsize=13, fontweight="bold", pad=10)
        if chart.legend:
            handles = [_handle(key) for key in chart.legend]
            columns = 4 if chart.wide else 2
            picture.legend(handles=handles, loc="outside lower left", ncols=columns)
        content = io.BytesIO()
        picture.savefig(content, dpi=2 * _DPI, format="png", facecolor="white")
    return content.getvalue()


@contextlib.contextmanager
def _style(salt: str | None = None) -> Iterator[None]:
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": salt}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in letters that the font lacks
        yield


def for_page(colour: str) -> str:
    """A colour as the page's style knows it."""
    return f"var(--{_VARIABLES[colour]})"


def _draw(chart: Chart, size: tuple[int, int]) -> Figure:
    picture = Figure(figsize=(size[0] / _DPI, size[1] / _DPI), dpi=_DPI, layout="constrained")
    axes = picture.subplots()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=9 if size[0] > 600 else 5))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    chart.draw(axes)
    axes.set_xlabel("step")
    return picture


def _handle(key: Key) -> Any:
    if key.line is None:
        return Patch(facecolor=key.colour, label=key.label)
    return Line2D([], [], color=key.colour, linestyle=key.line, label=key.label)


#: Metadata, a style that would hold in the whole page, names of parts that nobody refers to, and fonts.
_NOT_FOR_A_PAGE = re.compile(
    r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>"
    r'| id="(?:figure|axes|patch|line2d|text|xtick|ytick|matplotlib|legend|FillBetween|LineCollection)[^"]*"'
    r"|font-family: [^;\"]+; ?",
    re.DOTALL,
)


def _for_page(svg: str, title: str) -> str:
    """Takes off what a page has already, and gives the colours to the page."""
    svg = svg[svg.index("<svg") :]
    svg = _NOT_FOR_A_PAGE.sub("", svg)
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', _opening(title), svg, count=1)
    for colour in _VARIABLES:
        svg = svg.replace(colour, for_page(colour))
    return re.sub(r"\s*\n\s*", "\n", svg)


def _opening(title: str) -> Callable[[re.Match[str]], str]:
    label = re.sub(r"[^\w ,.:%()-]", " ", title)
    return lambda match: (
        f'<svg viewBox="{match[1]}" role="img" aria-label="{label}" '
        'xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
