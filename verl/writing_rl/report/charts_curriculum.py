"""Charts of the curriculum: outcomes, the distribution of the reference index, and paths of samples."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from writing_rl.judging.verdict import Outcome
from writing_rl.report.drawing import (
    CURVES,
    HEAT,
    INK,
    LINES,
    LOSS,
    TIE,
    UNSCORED,
    WIN,
    Chart,
    Key,
)
from writing_rl.report.headline import outcome_rates
from writing_rl.report.metrics import thinned
from writing_rl.report.run_data import Positions, Run
from writing_rl.report.samples import Story

#: Points of the stacked areas; more only flicker.
MOST_POINTS = 140
#: Columns and rows of the heat map's picture; more are put together.
MOST_COLUMNS, MOST_ROWS = 600, 40

_OUTCOMES = {
    Outcome.WIN: Key("win", WIN),
    Outcome.TIE: Key("tie", TIE),
    Outcome.LOSS: Key("loss", LOSS),
    Outcome.UNSCORED: Key("unscored", UNSCORED),
}
_SHARE_AT = "writing_rl/reference_index/share_at/"


def outcomes_chart(run: Run, title: str = "Outcomes against the current references") -> Chart | None:
    """Shares of win, tie, loss and unscored as stacked areas; None before the first step."""
    rates = outcome_rates(run)
    if not any(rates.values()):
        return None
    caption = (
        "Every rollout of a step against the reference that its prompt has reached. In a good run the share "
        "of wins stays near or above a half while references get harder; it falls where the curriculum "
        "outruns the writer. Unscored should be a hairline at the top."
    )
    draw = functools.partial(_draw_outcomes, rates=rates)
    return Chart("outcomes", title, caption, draw, list(_OUTCOMES.values()), wide=True)


def _draw_outcomes(axes: Axes, rates: Mapping[Outcome, Mapping[int, float]]) -> None:
    steps = sorted(set().union(*rates.values()))
    full = {o: thinned({step: rates[o].get(step, 0.0) for step in steps}, MOST_POINTS) for o in _OUTCOMES}
    places: list[float] = list(full[Outcome.WIN])
    values = [list(full[outcome].values()) for outcome in _OUTCOMES]
    if len(places) == 1:  # one step has no area
        places = [places[0] - 0.4, places[0] + 0.4]
        values = [row * 2 for row in values]
    colours = [key.colour for key in _OUTCOMES.values()]
    axes.stackplot(places, values, colors=colours, linewidth=0)
    axes.set_ylim(0, 1)
    axes.set_xlim(places[0], places[-1])
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.grid(False)


def distribution(run: Run) -> tuple[list[int], numpy.ndarray] | None:
    """The share of samples at each index (rows) after each step (columns), and the steps.

    By the journal; where there is none, by the metrics. None where there is neither.
    """
    if run.positions is not None:
        return list(run.positions.steps), _shares(run.positions)
    shared = {
        step: {int(key.removeprefix(_SHARE_AT)): value for key, value in figures.items() if _is_share(key)}
        for step, figures in run.figures.items()
    }
    shared = {step: shares for step, shares in shared.items() if shares}
    if not shared:
        return None
    matrix = numpy.zeros((max(max(shares) for shares in shared.values()) + 1, len(shared)))
    for column, shares in enumerate(shared.values()):
        for index, value in shares.items():
            matrix[index, column] = value
    return list(shared), matrix


def _is_share(key: str) -> bool:
    return key.startswith(_SHARE_AT) and key.removeprefix(_SHARE_AT).isdigit()


def _shares(positions: Positions) -> numpy.ndarray:
    return positions.counts / numpy.maximum(1, positions.counts.sum(axis=0))


def distribution_chart(run: Run, title: str = "Where the references are") -> Chart | None:
    """The distribution of the reference index over the steps as a heat map; None where nothing tells it."""
    found = distribution(run)
    if found is None:
        return None
    steps, matrix = found
    caption = (
        "Each column is a step, each row a reference index, and the stronger its colour, the more samples "
        f"are there (at most {matrix.max():.0%} in one cell); the line is the mean. In a good run a band "
        "climbs steadily and stays together. A row that stays strong is a reference that the writer cannot "
        "beat; a band at the top means that references have run out."
    )
    draw = functools.partial(_draw_distribution, steps=steps, matrix=matrix)
    legend = [Key("samples: the stronger, the more", HEAT)]
    if matrix.shape[1] > 1:
        legend.append(Key("mean", INK, LINES[0]))
    return Chart("reference_index", title, caption, draw, legend, wide=True)


def _draw_distribution(axes: Axes, steps: Sequence[int], matrix: numpy.ndarray) -> None:
    cells, rows = _put_together(matrix)
    # The page shows through where nobody is, so that the picture fits light and dark.
    picture = numpy.zeros((*cells.shape, 4), dtype=numpy.uint8)
    picture[..., :3] = [int(HEAT[place : place + 2], 16) for place in (1, 3, 5)]
    picture[..., 3] = numpy.rint(255 * numpy.sqrt(cells / max(1e-9, cells.max())))
    left, right = steps[0] - 0.5, steps[-1] + 0.5
    extent = (left, right, -0.5, cells.shape[0] * rows - 0.5)
    axes.imshow(picture, origin="lower", aspect="auto", interpolation="none", extent=extent)
    if len(steps) > 1:
        means = (matrix * numpy.arange(matrix.shape[0])[:, None]).sum(axis=0)
        curve = thinned(dict(zip(steps, means.tolist(), strict=True)), MOST_POINTS)
        axes.plot(list(curve), list(curve.values()), color=INK, linewidth=1.6)
    axes.set_xlim(left, right)
    axes.set_ylabel("reference index")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(False)


def _put_together(matrix: numpy.ndarray) -> tuple[numpy.ndarray, int]:
    """A matrix of at most so many cells, and how many rows one of them holds; cells are sums over indexes."""
    columns = -(-matrix.shape[1] // MOST_COLUMNS)
    rows = -(-matrix.shape[0] // MOST_ROWS)
    picked = matrix[:, columns - 1 :: columns] if columns > 1 else matrix
    padded = numpy.pad(picked, ((0, -picked.shape[0] % rows), (0, 0)))
    return padded.reshape(-1, rows, padded.shape[1]).sum(axis=1), rows


def paths_chart(run: Run, improved: Sequence[Story], stuck: Sequence[Story]) -> Chart | None:
    """The way of single samples; None without a journal, or where no sample is shown."""
    stories = [(story, CURVES[0], LINES[0]) for story in improved] + [
        (story, CURVES[1], LINES[1]) for story in stuck
    ]
    if run.positions is None or not stories:
        return None
    caption = "The samples of the tables below: the most improved climb to the end, the stuck ones end flat."
    legend = [Key("most improved", CURVES[0], LINES[0])] if improved else []
    legend += [Key("stuck", CURVES[1], LINES[1])] if stuck else []
    draw = functools.partial(_draw_paths, positions=run.positions, stories=stories)
    return Chart("paths", "Ways of single samples", caption, draw, legend)


def _draw_paths(axes: Axes, positions: Positions, stories: Sequence[tuple[Story, str, object]]) -> None:
    for place, (story, colour, line) in enumerate(stories):
        shift = 0.5 * ((place + 0.5) / len(stories) - 0.5)  # lines that lie on each other are told apart
        way = [
            (positions.first_step, positions.start.get(story.key, 0)),
            *positions.changes.get(story.key, ()),
        ]
        way.append((positions.steps[-1], way[-1][1]))
        steps, indexes = zip(*way, strict=True)
        axes.step(
            steps,
            [index + shift for index in indexes],
            where="post",
            color=colour,
            linestyle=line,
            linewidth=1.4,
            alpha=0.9,
        )
    axes.set_ylabel("reference index")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
