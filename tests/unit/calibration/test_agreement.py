from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.calibration.agreement import Figure, measure
from writing_rl.calibration.labelled import LabelledPair, majority
from writing_rl.calibration.order_verdicts import OrderVerdicts
from writing_rl.judging.pairs import Pair
from writing_rl.judging.verdict import Verdict

A, B, TIE = Verdict.A, Verdict.B, Verdict.TIE
Judged = tuple[LabelledPair, OrderVerdicts]
OTHER = {A: B, B: A, TIE: TIE, None: None}
FEW = 50

VERDICTS = st.sampled_from([A, B, TIE, None])
VOTES = st.lists(st.sampled_from([A, B, TIE]), min_size=1, max_size=4)


def judged(
    votes: Sequence[Verdict] | Verdict,
    given: Verdict | None,
    swapped: Verdict | None,
    lengths: tuple[int, int] = (1, 2),
    prompt: str = "p",
) -> Judged:
    """A pair of one judge: orders that disagree are a tie, and one that is unscored leaves none."""
    votes = (votes,) if isinstance(votes, Verdict) else tuple(votes)
    both = None if given is None or swapped is None else given if given is swapped else TIE
    pair = Pair(0, prompt, "x" * lengths[0], "x" * lengths[1])
    return LabelledPair(pair, votes, majority(votes)), OrderVerdicts("j", given, swapped, both)


PAIRS = st.lists(
    st.builds(
        judged,
        VOTES,
        VERDICTS,
        VERDICTS,
        st.tuples(st.integers(1, 5), st.integers(1, 5)),
        st.sampled_from(["p", "q", "r"]),
    ),
    min_size=1,
    max_size=20,
)


def mirrored(pairs: Sequence[Judged]) -> list[Judged]:
    """The same with the two texts named the other way round."""
    return [
        judged(
            [OTHER[vote] for vote in labelled.votes],
            OTHER[verdicts.swapped],
            OTHER[verdicts.given],
            labelled.lengths[::-1],
            labelled.pair.prompt,
        )
        for labelled, verdicts in pairs
    ]


def same(one: Figure, other: Figure) -> bool:
    values = ((one.value, other.value), (one.low, other.low), (one.high, other.high))
    return all(a == pytest.approx(b, nan_ok=True, abs=1e-9) for a, b in values) and one.count == other.count


def test_figures_of_a_small_example() -> None:
    pairs = [
        judged([A, A, B], A, A, (9, 4)),
        judged([A, A, A], A, B, (4, 9)),
        judged([B, B, B], A, B, (4, 9)),
        judged([TIE, TIE, A], TIE, TIE, (4, 9)),
        judged([B, B, B], None, B, (4, 4)),
    ]
    found = {name: figure.value for name, figure in measure(pairs, resamples=FEW).items()}
    assert found == pytest.approx(
        {
            "accuracy/given": 3 / 4,
            "accuracy/swapped": 4 / 5,
            "accuracy/both": 2 / 4,
            "accuracy_without_ties/given": 2 / 3,
            "accuracy_without_ties/swapped": 3 / 4,
            "accuracy_without_ties/both": 1.0,
            # Labels A, A, B, C, verdicts A, A, A, C: 7 of 16 by chance.
            "kappa/given": (3 / 4 - 7 / 16) / (1 - 7 / 16),
            # Labels A, A, B, C, B, verdicts A, B, B, C, B: 9 of 25 by chance.
            "kappa/swapped": (4 / 5 - 9 / 25) / (1 - 9 / 25),
            # Labels A, A, B, C, verdicts A, C, C, C: 5 of 16 by chance.
            "kappa/both": (2 / 4 - 5 / 16) / (1 - 5 / 16),
            "unscored/given": 1 / 5,
            "unscored/swapped": 0.0,
            "unscored/both": 1 / 5,
            # Of the first four pairs: first A, A, A and none; with response_b first B, and B.
            "position_bias": (5 - 1) / 8,
            "flip_rate": 2 / 4,
            # Six verdicts on three pairs; the longer text wins with A, B and B.
            "judge_longer": 4 / 6,
            "people_longer": 4 / 6,
            "length_bias": 0.0,
            # Three votes a pair: 2 to 1 is an agreement of a third.
            "ceiling": (1 + 1 / 3 + 1 + 1 / 3 + 1) / 5,
            # Without ties: the fourth pair has one vote that is none, and its others are.
            "ceiling_without_ties": (1 + 3 + 3 + 3) / (3 + 3 + 3 + 3),
        }
    )


@pytest.mark.parametrize("order", ["given", "swapped", "both"])
def test_a_judge_that_always_agrees(order: str) -> None:
    pairs = [judged(label, label, label) for label in (A, B, TIE, A)]
    found = measure(pairs, resamples=FEW)
    for name in ("accuracy", "accuracy_without_ties", "kappa"):
        assert found[f"{name}/{order}"].value == 1
    assert found["position_bias"].value == found["flip_rate"].value == found["length_bias"].value == 0


def test_a_judge_that_tosses_a_coin_agrees_by_chance() -> None:
    draw = random.Random(0)
    pairs = [
        judged(*(draw.choice([A, B, TIE]) for _ in range(3)), prompt=str(number)) for number in range(4000)
    ]
    found = measure(pairs, resamples=200)
    for order in ("given", "swapped"):
        kappa = found[f"kappa/{order}"]
        assert kappa.value == pytest.approx(0, abs=0.03)
        assert kappa.low < 0 < kappa.high
        assert found[f"accuracy_without_ties/{order}"].value == pytest.approx(0.5, abs=0.03)
    assert found["flip_rate"].value == pytest.approx(2 / 3, abs=0.03)


@pytest.mark.parametrize(
    ("given", "swapped", "bias", "flips"), [(A, B, 1, 1), (B, A, -1, 1), (A, A, 0, 0), (TIE, TIE, 0, 0)]
)
def test_a_position_that_always_wins(given: Verdict, swapped: Verdict, bias: int, flips: int) -> None:
    found = measure([judged(A, given, swapped), judged(B, given, swapped)], resamples=FEW)
    assert (found["position_bias"].value, found["flip_rate"].value) == (bias, flips)


def test_a_judge_that_counts_words() -> None:
    pairs = [judged(A, B, B, (1, 2)), judged(B, B, B, (1, 2)), judged(A, A, A, (3, 3))]
    found = measure(pairs, resamples=FEW)
    assert [found[name].value for name in ("judge_longer", "people_longer", "length_bias")] == [1, 0.5, 0.5]
    assert (found["length_bias"].count, found["length_bias"].low >= 0) == (4, True)


def test_what_is_not_there_has_no_figure() -> None:
    found = measure([judged(TIE, None, TIE)], resamples=FEW)
    for name in ("accuracy/given", "accuracy_without_ties/swapped", "kappa/swapped", "flip_rate", "ceiling"):
        assert math.isnan(found[name].value)
        assert format(found[name]) == "-"
    assert (found["accuracy/given"].count, found["accuracy/given"].prompts) == (0, 0)
    assert found["accuracy/swapped"].value == 1


@given(PAIRS)
def test_shares_stay_shares_and_intervals_in_order(pairs: list[Judged]) -> None:
    for name, figure in measure(pairs, resamples=FEW).items():
        low, high = (-1, 1) if name.startswith(("kappa", "position", "length")) else (0, 1)
        if not math.isnan(figure.value):
            assert low - 1e-9 <= figure.low <= figure.high <= high + 1e-9, name
            assert low - 1e-9 <= figure.value <= high + 1e-9, name
        assert 0 <= figure.prompts <= 3


@given(PAIRS)
def test_the_names_of_the_two_texts_make_no_difference(pairs: list[Judged]) -> None:
    found, other = measure(pairs, resamples=FEW), measure(mirrored(pairs), resamples=FEW)
    exchanged = {"given": "swapped", "swapped": "given", "both": "both"}
    for name, figure in found.items():
        kind, _, order = name.partition("/")
        assert same(figure, other[f"{kind}/{exchanged[order]}" if order else name]), name


@given(PAIRS, st.randoms())
def test_the_order_of_the_pairs_of_a_prompt_makes_no_difference(
    pairs: list[Judged], draw: random.Random
) -> None:
    one_prompt = [judged(one.votes, v.given, v.swapped, one.lengths) for one, v in pairs]
    shuffled = draw.sample(one_prompt, len(one_prompt))
    found, other = measure(one_prompt, resamples=FEW), measure(shuffled, resamples=FEW)
    assert all(same(figure, other[name]) for name, figure in found.items())


def test_pairs_of_one_prompt_are_drawn_together() -> None:
    verdicts = [A, A, B, A, B, B, A, A] * 10
    alone = [judged(A, verdict, verdict, prompt=str(number)) for number, verdict in enumerate(verdicts)]
    in_fours = [
        judged(A, verdict, verdict, prompt=str(number // 4))
        for number, verdict in enumerate(sorted(verdicts))
    ]
    narrow = measure(alone)["accuracy/given"]
    wide = measure(in_fours)["accuracy/given"]
    assert narrow.value == wide.value == 5 / 8
    assert (narrow.prompts, wide.prompts) == (80, 20)
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    assert measure(alone, seed=0)["accuracy/given"] == narrow
    # The normal approximation of a share: 1.96 standard errors to either side.
    assert narrow.high - narrow.low == pytest.approx(2 * 1.96 * math.sqrt(15 / 64 / 80), rel=0.12)


def test_a_figure_reads_as_value_and_interval() -> None:
    figure = Figure(0.5, 0.25, 0.75, 8, 8)
    assert f"{figure}" == "0.500 [0.250, 0.750]"
    assert f"{figure:+.1f}" == "+0.5 [+0.2, +0.8]"
