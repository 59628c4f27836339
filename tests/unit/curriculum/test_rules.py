from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.curriculum.rules import (
    GroupRule,
    Promotion,
    Standing,
    group_loses,
    group_wins,
    parse_validation_reference,
    scheduled_index,
    validation_index,
)
from writing_rl.errors import SettingError
from writing_rl.judging.verdict import Outcome

WIN, TIE, LOSS, UNSCORED = Outcome.WIN, Outcome.TIE, Outcome.LOSS, Outcome.UNSCORED

rules = st.sampled_from(GroupRule)
groups = st.lists(st.sampled_from(Outcome), max_size=9)
places = st.integers(1, 9).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n)))


@pytest.mark.parametrize(
    ("outcomes", "majority", "any_", "all_"),
    [
        ([WIN], True, True, True),
        ([TIE], False, False, False),
        ([LOSS], False, False, False),
        ([UNSCORED], False, False, False),
        ([], False, False, False),
        ([WIN, LOSS], False, True, False),
        ([WIN, TIE], False, True, False),
        ([WIN, WIN, LOSS], True, True, False),
        ([WIN] * 4 + [LOSS] * 4, False, True, False),
        ([WIN] * 5 + [TIE] * 3, True, True, False),
        ([WIN] * 8, True, True, True),
        ([WIN, UNSCORED, UNSCORED], True, True, True),
        ([WIN, LOSS, UNSCORED], False, True, False),
    ],
)
def test_when_a_group_wins(outcomes: list[Outcome], majority: bool, any_: bool, all_: bool) -> None:
    assert group_wins(outcomes, GroupRule.MAJORITY) is majority
    assert group_wins(outcomes, GroupRule.ANY) is any_
    assert group_wins(outcomes, GroupRule.ALL) is all_


@given(place=places, outcomes=groups, rule=rules)
def test_a_step_is_at_most_one_up_and_never_past_the_last(
    place: tuple[int, int], outcomes: list[Outcome], rule: GroupRule
) -> None:
    index, references = place
    promoted = Promotion(group_rule=rule).after(Standing(index), references, outcomes).index
    assert promoted in (index, index + 1)
    assert promoted <= references - 1
    assert (promoted > index) == (group_wins(outcomes, rule) and index < references - 1)


@given(place=places, rule=rules, wins=st.integers(1, 64))
def test_any_number_of_wins_is_one_step(place: tuple[int, int], rule: GroupRule, wins: int) -> None:
    index, references = place
    after = Promotion(group_rule=rule).after(Standing(index), references, [WIN] * wins)
    assert after.index == min(index + 1, references - 1)
    assert after.finished == (index == references - 1)


@given(outcomes=groups, rule=rules, unscored=st.integers(0, 9), seed=st.randoms(use_true_random=False))
def test_unscored_rollouts_count_neither_way(
    outcomes: list[Outcome], rule: GroupRule, unscored: int, seed: object
) -> None:
    more = [*outcomes, *[UNSCORED] * unscored]
    seed.shuffle(more)  # type: ignore[attr-defined]
    assert group_wins(more, rule) == group_wins(outcomes, rule)


@given(outcome=st.sampled_from(Outcome))
def test_with_one_rollout_all_rules_agree(outcome: Outcome) -> None:
    assert {group_wins([outcome], rule) for rule in GroupRule} == {outcome is WIN}


@given(outcomes=groups)
def test_a_stricter_rule_never_promotes_where_a_laxer_one_does_not(outcomes: list[Outcome]) -> None:
    wins = [group_wins(outcomes, rule) for rule in (GroupRule.ALL, GroupRule.MAJORITY, GroupRule.ANY)]
    assert wins == sorted(wins)


@pytest.mark.parametrize(
    ("setting", "references", "index"),
    [
        ("first", 5, 0),
        ("middle", 5, 2),
        ("middle", 4, 1),
        ("middle", 2, 0),
        ("last", 5, 4),
        (0, 5, 0),
        (3, 5, 3),
        (5, 5, 4),
        (99, 2, 1),
    ],
)
def test_what_validation_compares_with(setting: str | int, references: int, index: int) -> None:
    assert validation_index(setting, references) == index


@given(
    setting=st.one_of(st.sampled_from(["first", "middle", "last"]), st.integers(0, 99)), n=st.integers(1, 9)
)
def test_validation_always_finds_a_reference(setting: str | int, n: int) -> None:
    assert 0 <= validation_index(setting, n) < n


@pytest.mark.parametrize(
    ("value", "parsed"),
    [("first", "first"), ("middle", "middle"), ("last", "last"), (2, 2), ("2", 2), ("0", 0)],
)
def test_the_setting_of_validation(value: str | int, parsed: str | int) -> None:
    assert parse_validation_reference(value) == parsed


@pytest.mark.parametrize("value", ["", "best", -1, "-1", 1.5, "1.0", None, True, "²"])
def test_a_wrong_setting_of_validation_is_named(value: object) -> None:
    with pytest.raises(SettingError) as error:
        parse_validation_reference(value)  # type: ignore[arg-type]
    assert str(error.value) == (
        f"writing_rl.curriculum.validation_reference is {value!r}: choose first, middle, last or a number "
        "from 0"
    )


@given(outcomes=groups, rule=rules)
def test_no_group_wins_and_loses(outcomes: list[Outcome], rule: GroupRule) -> None:
    assert not (group_wins(outcomes, rule) and group_loses(outcomes, rule))
    if all(outcome in (TIE, UNSCORED) for outcome in outcomes):
        assert not group_loses(outcomes, rule)


@given(done=st.floats(0, 1), references=st.integers(1, 9))
def test_a_schedule_stays_within_the_references_and_reaches_the_last(done: float, references: int) -> None:
    assert 0 <= scheduled_index(done, references) <= references - 1
    assert scheduled_index(0, references) == 0
    assert scheduled_index(1, references) == references - 1
