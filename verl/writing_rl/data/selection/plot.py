"""A picture of a selection of data."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from writing_rl.data.selection.report import Selection
from writing_rl.data.selection.select import Candidate

# Colours of Okabe and Ito, which people tell apart whatever colours they see; shapes tell them apart again.
_KEPT, _LEFT_OUT = ("#0072B2", "o"), ("#E69F00", "s")


def draw(selection: Selection, title: str) -> bytes:
    """Draws the margins, and the policy's scores against the best references', as a PNG file.

    Args:
        selection: What to draw; rows without a policy score are not in it.
        title: What it is a picture of.
    """
    kept, left_out = selection.kept, selection.left_out
    with matplotlib.rc_context({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}):
        picture = Figure(figsize=(12, 5.8), layout="constrained")
        FigureCanvasAgg(picture)
        picture.suptitle(title, parse_math=False)  # names may hold a dollar sign
        left, right = picture.subplots(1, 2)
        _draw_margins(left, kept, left_out, selection.rule.above)
        _draw_scores(right, kept, left_out)
        for axes in (left, right):
            axes.grid(alpha=0.3)
            axes.set_axisbelow(True)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, frameon=False)
        content = io.BytesIO()
        picture.savefig(content, dpi=130, format="png")
    return content.getvalue()


def _draw_margins(
    axes: Axes, kept: Sequence[Candidate], left_out: Sequence[Candidate], above: float | None
) -> None:
    margins = [[candidate.margin for candidate in part] for part in (kept, left_out)]
    axes.hist(
        margins,
        bins=40,
        stacked=True,
        color=[_KEPT[0], _LEFT_OUT[0]],
        label=[f"kept ({len(kept):,})", f"left out ({len(left_out):,})"],
    )
    axes.axvline(0, color="black", linewidth=0.8)
    if above is not None:
        axes.axvline(above, color="#D55E00", linestyle="dashed", linewidth=2, label="threshold")
    axes.set_title("margin: what the policy can still learn", fontsize=12)
    axes.set_xlabel("best reference's score − policy's score")
    axes.set_ylabel("rows, kept and left out stacked")


def _draw_scores(axes: Axes, kept: Sequence[Candidate], left_out: Sequence[Candidate]) -> None:
    drawn: list[float] = []
    for name, part, (color, marker) in (("left out", left_out, _LEFT_OUT), ("kept", kept, _KEPT)):
        # Grades are often whole numbers, so that many rows share a place: the larger the mark, the more.
        counts = Counter((one.best, one.policy) for one in part if one.policy is not None)
        if not counts:
            continue
        best, policy = zip(*counts, strict=True)
        unit = min(40.0, max(6.0, 6000 / len(part)))
        sizes = [unit * (1 + math.log2(count)) for count in counts.values()]
        axes.scatter(best, policy, s=sizes, c=color, marker=marker, alpha=0.6, linewidths=0, label=name)
        drawn += (min(*best, *policy), max(*best, *policy))
    ends = min(drawn), max(drawn)
    axes.plot(ends, ends, color="black", linewidth=0.8, label="no margin")
    axes.set_title("larger marks: more rows with these scores", fontsize=12)
    axes.set_xlabel("score of the best reference")
    axes.set_ylabel("mean score of the policy")
