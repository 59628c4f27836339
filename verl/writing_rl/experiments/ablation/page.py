"""The results as a page in Markdown and a plot."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from writing_rl.experiments.ablation.arms import ARMS, COMPARISONS
from writing_rl.experiments.ablation.groups import Part
from writing_rl.experiments.ablation.intervals import Interval
from writing_rl.experiments.ablation.results import BEFORE, MEASURES, ArmResult, Results

#: What the measures are, under the tables.
LEGEND = """\
Each training ends with one text for each of 96 held-out prompts. *Plot points* (0 to 6) are those of the plot
judge, which knows how the quick start's stories are built and which no training uses: beats of the plot in
their order, less sentences that are none or say one again; *beats told* leaves flaws out. *Against best* is
the win rate against the best reference, a tie being half, by the offline judge without its margin for ties.
*Offline score* (0 to 10) is what the training's own judge measures. In brackets: 95 % bootstrap intervals,
clustered by prompt; then the mean of each seed.
"""


GROUPS = """\
What training had to learn from, in its first, second and last third: GRPO learns nothing from a group of
rollouts that all have the same reward. An informative group is one of the others.
"""


def as_markdown(results: Results, picture: str) -> str:
    """The page.

    Args:
        results: The figures.
        picture: File name of the plot.
    """
    lines = [f"![Held-out texts by arm]({picture})", "", LEGEND]
    lines += _table(
        ("arm", "what is done", *MEASURES, "mean reference index at the end"),
        [
            (result.arm, _about(result.arm), *_figures(result), _seeds(result.reference))
            for result in results.arms
        ],
    )
    lines += ["", "Differences, prompt by prompt, over the seeds that both have:", ""]
    lines += _table(
        ("comparison", "difference", *MEASURES),
        [
            (
                row.comparison,
                f"{row.other} − {row.arm}",
                *(_interval(row.measures[name]) for name in MEASURES),
            )
            for row in results.differences
        ],
    )
    lines += ["", GROUPS]
    lines += _table(
        ("arm", "informative groups", "mean reward", "mean reference index met"),
        [
            (result.arm, *(_thirds(result.parts, name) for name in ("informative", "reward", "reference")))
            for result in results.arms
            if result.parts
        ],
    )
    lines += ["", "Each training, by itself:", "", "```", *results.commands, "```", ""]
    return "\n".join(lines)


def draw(results: Results) -> bytes:
    """The plot, as PNG: plot points and win rate against the best reference, by comparison."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    by_name = {result.arm: result for result in results.arms}
    groups = [
        (comparison.title, [by_name[arm] for arm in comparison.arms if arm in by_name])
        for comparison in COMPARISONS
    ]
    figure = Figure(figsize=(10, 1.4 + 0.3 * sum(len(arms) + 1 for _, arms in groups)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, sharey=True)
    for axis, measure in zip(axes, ("plot points", "against best"), strict=True):
        place, ticks = 0.0, []
        if BEFORE in by_name:
            axis.axvline(
                by_name[BEFORE].measures[measure].value, color="0.6", linestyle=":", label="before training"
            )
        for title, arms in groups:
            for result in arms:
                interval = result.measures[measure]
                errors = [[interval.value - interval.low], [interval.high - interval.value]]
                axis.errorbar(interval.value, place, xerr=errors, fmt="o", color="#0072b2", capsize=3)
                axis.plot(
                    interval.by_seed, [place] * len(interval.by_seed), "|", color="#d55e00", markersize=9
                )
                ticks.append((place, f"{title}: {result.arm}" if result is arms[0] else result.arm))
                place += 1
            place += 0.6
        axis.set_yticks([at for at, _ in ticks], [label for _, label in ticks])
        axis.tick_params(axis="y", length=0)
        axis.set_xlabel(
            {"plot points": "plot points, of 6", "against best": "win rate against the best reference"}[
                measure
            ]
        )
        axis.grid(axis="x", color="0.9")
        axis.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
    axes[0].invert_yaxis()
    axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle(
        "Held-out texts after training: mean with 95 % interval, and each seed (orange)", fontsize=10
    )
    content = io.BytesIO()
    figure.savefig(content, dpi=150)
    return content.getvalue()


def _about(name: str) -> str:
    return "the model before training" if name == BEFORE else ARMS[name].about


def _figures(result: ArmResult) -> list[str]:
    return [f"{_interval(interval)}; {_seeds(interval.by_seed)}" for interval in result.measures.values()]


def _interval(interval: Interval) -> str:
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _seeds(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.2f}" for value in values)


def _thirds(parts: Sequence[Part], name: str) -> str:
    return " / ".join(f"{getattr(part, name):.2f}" for part in parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def write(results: Results, out: Path) -> None:
    """Writes `ablation.md`, `ablation.png` and `ablation.json` into a folder."""
    import json

    from writing_rl.util.atomic_files import write_whole

    write_whole(out / "ablation.png", draw(results))
    write_whole(out / "ablation.json", json.dumps(results.as_json(), indent=1) + "\n")
    write_whole(out / "ablation.md", as_markdown(results, "ablation.png"))
