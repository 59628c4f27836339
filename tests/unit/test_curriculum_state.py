from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from writing_rl.curriculum.rules import GroupRule
from writing_rl.curriculum.state import Curriculum
from writing_rl.judging.verdict import Outcome

WIN, TIE, LOSS, UNSCORED = Outcome.WIN, Outcome.TIE, Outcome.LOSS, Outcome.UNSCORED
KEYS = ("0", "1", "7")

steps = st.integers(1, 4)
keys = st.sampled_from(KEYS)
outcomes = st.sampled_from(Outcome)


class CurriculumMachine(RuleBasedStateMachine):
    """The curriculum against a model that keeps every told outcome in one flat mapping."""

    @initialize(counts=st.tuples(*[st.integers(1, 4) for _ in KEYS]), group_rule=st.sampled_from(GroupRule))
    def start(self, counts: tuple[int, ...], group_rule: GroupRule) -> None:
        self.references = dict(zip(KEYS, counts, strict=True))
        self.rule = group_rule
        self.curriculum = Curriculum(self.references, dict.fromkeys(KEYS, 0), group_rule)
        self.model = dict.fromkeys(KEYS, 0)
        self.told: dict[tuple[int, str, str], Outcome] = {}

    @rule(step=steps, key=keys, session=st.integers(0, 3), outcome=outcomes, times=st.integers(1, 2))
    def tell(self, step: int, key: str, session: int, outcome: Outcome, times: int) -> None:
        for _ in range(times):
            self.curriculum.record(step, key, f"u_{session}", outcome)
        self.told[step, key, f"u_{session}"] = outcome

    @rule(step=steps)
    def commit(self, step: int) -> None:
        report = self.curriculum.commit(step)
        promotions = {}
        for key in KEYS:
            group = [o for (s, k, _), o in self.told.items() if (s, k) == (step, key) and o is not UNSCORED]
            wins = group.count(WIN)
            won = {
                GroupRule.ANY: wins >= 1,
                GroupRule.ALL: 0 < wins == len(group),
                GroupRule.MAJORITY: wins > len(group) - wins,
            }[self.rule]
            if won and self.model[key] + 1 < self.references[key]:
                self.model[key] += 1
                promotions[key] = self.model[key]
        assert report.promotions == promotions
        assert sum(report.outcomes.values()) == sum(s == step for s, _, _ in self.told)
        self.told = {told: outcome for told, outcome in self.told.items() if told[0] > step}

    @rule(state=st.dictionaries(keys, st.just(0)))
    def restore(self, state: dict[str, int]) -> None:
        self.curriculum.restore({**state, "no such sample": 3})
        self.model.update(state)
        self.told.clear()

    @invariant()
    def only_commits_and_restores_move_a_reference(self) -> None:
        assert {key: self.curriculum.current(key) for key in KEYS} == self.model
        assert self.curriculum.indexes == self.model


TestCurriculumAgainstAModel = CurriculumMachine.TestCase
TestCurriculumAgainstAModel.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


def curriculum(
    *, references: int = 4, index: int = 0, group_rule: GroupRule = GroupRule.MAJORITY
) -> Curriculum:
    return Curriculum({"0": references, "1": references}, {"0": index, "1": index}, group_rule)


@given(st.lists(outcomes, min_size=1, max_size=16))
def test_all_rollouts_of_a_step_meet_the_same_reference(told: list[Outcome]) -> None:
    state = curriculum(group_rule=GroupRule.ANY)
    met = []
    for number, outcome in enumerate(told):
        met.append(state.current("0"))
        state.record(1, "0", f"u_{number}", outcome)
    assert set(met) == {0}
    state.commit(1)
    assert state.current("0") == (WIN in told)


def test_eight_wins_are_one_step() -> None:
    state = curriculum()
    for session in range(8):
        state.record(1, "0", f"u_{session}", WIN)
    assert state.commit(1).promotions == {"0": 1}
    assert state.indexes == {"0": 1, "1": 0}


def test_committing_a_step_twice_changes_nothing() -> None:
    state = curriculum()
    state.record(1, "0", "u_0", WIN)
    state.commit(1)
    assert state.commit(1).promotions == {}
    assert state.current("0") == 1


def test_telling_twice_does_not_tip_a_majority() -> None:
    state = curriculum()
    state.record(1, "0", "u_0", WIN)
    state.record(1, "0", "u_1", LOSS)
    state.record(1, "0", "u_0", WIN)
    assert state.commit(1).promotions == {}


def test_an_uncommitted_earlier_step_is_forgotten() -> None:
    state = curriculum()
    state.record(1, "0", "u_0", WIN)
    state.commit(2)
    assert state.commit(1).promotions == {}


def test_a_later_step_under_way_is_kept() -> None:
    state = curriculum()
    state.record(2, "0", "u_0", WIN)
    state.commit(1)
    assert state.commit(2).promotions == {"0": 1}


def test_the_last_reference_stays() -> None:
    state = curriculum(references=2, index=1)
    state.record(1, "0", "u_0", WIN)
    report = state.commit(1)
    assert report.promotions == {}
    assert report.finished == 1.0


def test_a_restored_state_replaces_references_and_forgets_outcomes() -> None:
    state = curriculum(index=1)
    state.record(5, "0", "u_0", WIN)
    state.restore({"0": 3, "gone": 2})
    assert state.indexes == {"0": 3, "1": 1}
    assert state.commit(5).promotions == {}


def test_an_unknown_sample_is_an_error() -> None:
    with pytest.raises(KeyError):
        curriculum().current("8")


def test_the_figures_of_a_step() -> None:
    state = Curriculum({"0": 3, "1": 3, "2": 1}, {"0": 0, "1": 2, "2": 0}, GroupRule.MAJORITY)
    for key, told in {"0": [WIN, WIN, LOSS], "1": [TIE, UNSCORED]}.items():
        for number, outcome in enumerate(told):
            state.record(1, key, f"{key}_{number}", outcome)
    assert state.commit(1).metrics() == {
        "writing_rl/win_rate": 2 / 5,
        "writing_rl/tie_rate": 1 / 5,
        "writing_rl/loss_rate": 1 / 5,
        "writing_rl/unscored_rate": 1 / 5,
        "writing_rl/reference_index/mean": 1.0,
        "writing_rl/reference_index/finished_share": 2 / 3,
        "writing_rl/promotions": 1.0,
    }


def test_a_step_without_rollouts_has_the_same_figures() -> None:
    empty, full = curriculum(), curriculum()
    full.record(1, "0", "u_0", WIN)
    assert empty.commit(1).metrics().keys() == full.commit(1).metrics().keys()
