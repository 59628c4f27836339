"""A picture of how far a judge agrees with people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Picture

from writing_rl.calibration import agreement
from writing_rl.calibration.agreement import Figure, name_of
from writing_rl.calibration.agreement_counts import ORDERS
from writing_rl.calibration.report import ORDER_TITLES
from writing_rl.calibration.requirements import Requirements

# Colours of Okabe and Ito, which people tell apart whatever colours they see; shapes tell them apart again.
_STYLES = {"given": ("#0072B2", "o"), "swapped": ("#E69F00", "s"), "both": ("#009E73", "D")}
_CEILING, _ASKED, _BAR = "#CC79A7", "#D55E00", "#56B4E9"

_AGREEMENT = {
    agreement.ACCURACY: "accuracy\n(A, B or tie)",
    agreement.DECIDED: "accuracy\nwithout ties",
    agreement.KAPPA: "Cohen's\nkappa",
}
#: Which of these each ceiling belongs to.
_CEILINGS = {agreement.CEILING: agreement.ACCURACY, agreement.CEILING_DECIDED: agreement.DECIDED}
_BIASES = {
    agreement.POSITION_BIAS: "position bias\n(first − second)",
    agreement.FLIP_RATE: "flip rate\n(orders disagree)",
    agreement.LENGTH_BIAS: "length bias\n(judge − people)",
}


def draw(path: Path, title: str, figures: Mapping[str, Figure], requirements: Requirements) -> None:
    """Draws the figures into a PNG file; one that is there is replaced.

    Args:
        path: The file.
        title: What was compared with what.
        figures: Those of `agreement.measure`.
        requirements: What is asked of a judge.
    """
    with matplotlib.rc_context({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}):
        picture = Picture(figsize=(12, 5.8), layout="constrained")
        FigureCanvasAgg(picture)
        picture.suptitle(title, parse_math=False)  # names may hold a dollar sign
        left, right = picture.subplots(1, 2, width_ratios=(1.25, 1))
        _draw_agreement(left, figures, requirements)
        _draw_biases(right, figures, requirements)
        for axes in (left, right):
            axes.grid(axis="y", alpha=0.3)
            axes.set_axisbelow(True)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, frameon=False)
        picture.savefig(path, dpi=130, format="png")


def _draw_agreement(axes: Axes, figures: Mapping[str, Figure], requirements: Requirements) -> None:
    for order, shift in zip(ORDERS, (-0.26, 0.0, 0.26), strict=True):
        color, marker = _STYLES[order]
        shown = [figures[name_of(name, order)] for name in _AGREEMENT]
        beside = [place + shift for place in range(len(shown))]
        axes.vlines(beside, [one.low for one in shown], [one.high for one in shown], color, linewidth=2)
        values = [one.value for one in shown]
        axes.plot(beside, values, marker, color=color, markersize=8, label=ORDER_TITLES[order])
        for place, one in zip(beside, shown, strict=True):
            _write_value(axes, place, one, f"{one.value:.2f}")
    ceilings = [figures[name].value for name in _CEILINGS]
    if not all(math.isnan(ceiling) for ceiling in ceilings):
        places = [list(_AGREEMENT).index(name) for name in _CEILINGS.values()]
        _level(axes, places, ceilings, _CEILING, "one person and the others")
    decided = list(_AGREEMENT).index(agreement.DECIDED)
    _level(axes, [decided], [requirements.accuracy], _ASKED, "least that is asked", dashed=True)
    axes.set_title("agreement with people, 95 % intervals", fontsize=12)
    axes.set_xticks(range(len(_AGREEMENT)), list(_AGREEMENT.values()))
    lows = [figures[name_of(name, order)].low for name in _AGREEMENT for order in ORDERS]
    axes.set_ylim(min([0.0, *(low for low in lows if not math.isnan(low))]) - 0.02, 1.08)


def _draw_biases(axes: Axes, figures: Mapping[str, Figure], requirements: Requirements) -> None:
    for place, name in enumerate(_BIASES):
        one = figures[name]
        axes.bar(place, one.value, width=0.5, color=_BAR)
        axes.vlines(place, one.low, one.high, "black", linewidth=2)
        # Adding 0 makes a zero of a negative one.
        text = f"{round(one.value, 2) + 0.0:{'.2f' if name == agreement.FLIP_RATE else '+.2f'}}"
        _write_value(axes, place, one, text)
    asked = (requirements.bias, -requirements.bias, requirements.flips)
    _level(axes, [0, 0, 1], asked, _ASKED, "most that is asked", dashed=True)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_title("bias (0 is best), 95 % intervals", fontsize=12)
    axes.set_xticks(range(len(_BIASES)), list(_BIASES.values()))
    axes.set_xlim(-0.6, len(_BIASES) - 0.4)
    axes.margins(y=0.1)


def _level(
    axes: Axes, places: Sequence[int], values: Sequence[float], color: str, label: str, dashed: bool = False
) -> None:
    """Draws a line across each place; values that are not there are left out."""
    ends = [place - 0.42 for place in places], [place + 0.42 for place in places]
    axes.hlines(values, *ends, color, "dashed" if dashed else "solid", label=label, linewidth=2, zorder=1)


def _write_value(axes: Axes, place: float, figure: Figure, text: str) -> None:
    """Writes a value above its interval."""
    if not math.isnan(figure.value):
        top = (place, max(figure.high, figure.value))
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
        axes.annotate(text, top, (0, 7), textcoords="offset points", ha="center", fontsize=9, bbox=box)
