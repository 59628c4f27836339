from __future__ import annotations

import dataclasses
import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from writing_rl.curriculum.rules import GroupRule, Kind, Promotion
from writing_rl.curriculum.state import Curriculum, Saved, StepReport
from writing_rl.judging.verdict import Outcome

WIN, TIE, LOSS, UNSCORED = Outcome.WIN, Outcome.TIE, Outcome.LOSS, Outcome.UNSCORED
KEYS = ("0", "1", "7")

steps = st.integers(1, 4)
keys = st.sampled_from(KEYS)
outcomes = st.sampled_from(Outcome)


class CurriculumMachine(RuleBasedStateMachine):
    """The curriculum against a model that keeps every told outcome in one flat mapping."""

    @initialize(
        counts=st.tuples(*[st.integers(1, 4) for _ in KEYS]),
        group=st.sampled_from(GroupRule),
        wins=st.integers(1, 3),
        losses=st.none() | st.integers(1, 3),
    )
    def start(self, counts: tuple[int, ...], group: GroupRule, wins: int, losses: int | None) -> None:
        self.references = dict(zip(KEYS, counts, strict=True))
        self.rule = group
        self.wins_needed, self.losses_needed = wins, losses
        promotion = Promotion(Kind.DYNAMIC, group, wins, losses)
        self.curriculum = Curriculum(self.references, dict.fromkeys(KEYS, 0), promotion)
        self.model = dict.fromkeys(KEYS, 0)
        self.won_in_a_row = dict.fromkeys(KEYS, 0)
        self.lost_in_a_row = dict.fromkeys(KEYS, 0)
        self.finished: set[str] = set()
        self.told: dict[tuple[int, str, str], Outcome] = {}
        self.met: dict[tuple[int, str], int] = {}

    @rule(step=steps, key=keys)
    def assign(self, step: int, key: str) -> None:
        met = self.met.setdefault((step, key), self.model[key])
        assert self.curriculum.assign(step, key) == met

    @rule(edits=st.dictionaries(keys, st.integers(0, 3)))
    def edit(self, edits: dict[str, int]) -> None:
        possible = {key: min(index, self.references[key] - 1) for key, index in edits.items()}
        changed = {key: index for key, index in possible.items() if index != self.model[key]}
        moves = self.curriculum.edit(possible)
        assert {move.key: (move.before, move.after) for move in moves} == {
            key: (self.model[key], index) for key, index in changed.items()
        }
        for key, index in changed.items():
            self.model[key] = index
            self.won_in_a_row[key] = self.lost_in_a_row[key] = 0
            self.finished.discard(key)

    @rule(step=steps, key=keys, session=st.integers(0, 3), outcome=outcomes, times=st.integers(1, 2))
    def tell(self, step: int, key: str, session: int, outcome: Outcome, times: int) -> None:
        for _ in range(times):
            self.curriculum.record(step, key, f"u_{session}", outcome)
        self.told[step, key, f"u_{session}"] = outcome
        self.met.setdefault((step, key), self.model[key])

    def holds(self, hits: int, of: int) -> bool:
        return {
            GroupRule.ANY: hits >= 1,
            GroupRule.ALL: 0 < hits == of,
            GroupRule.MAJORITY: hits > of - hits,
        }[self.rule]

    @rule(step=steps)
    def commit(self, step: int) -> None:
        report = self.curriculum.commit(step)
        moved = {}
        for key in KEYS:
            group = [o for (s, k, _), o in self.told.items() if (s, k) == (step, key) and o is not UNSCORED]
            if not group or self.met[step, key] != self.model[key]:
                continue
            won = self.holds(group.count(WIN), len(group))
            lost = not won and self.holds(group.count(LOSS), len(group))
            self.won_in_a_row[key] = self.won_in_a_row[key] + 1 if won else 0
            self.lost_in_a_row[key] = self.lost_in_a_row[key] + 1 if lost else 0
            change = 0
            if self.won_in_a_row[key] == self.wins_needed:
                self.won_in_a_row[key] = 0
                if self.model[key] + 1 < self.references[key]:
                    change = 1
                else:
                    self.finished.add(key)
            elif self.losses_needed and self.lost_in_a_row[key] >= self.losses_needed and self.model[key]:
                change = -1
            if change:
                self.model[key] += change
                moved[key] = self.model[key]
                self.won_in_a_row[key] = self.lost_in_a_row[key] = 0
                self.finished.discard(key)
        assert {move.key: move.after for move in report.moves} == moved
        assert all(abs(move.after - move.before) == 1 for move in report.moves)
        assert sum(report.outcomes.values()) == sum(s == step for s, _, _ in self.told)
        assert report.samples_at == Counter(self.model.values())
        assert report.outcomes_at == {
            index: Counter(
                o for (s, k, _), o in self.told.items() if s == step and self.met[step, k] == index
            )
            for index in {self.met[s, k] for s, k in self.met if s == step}
        }
        assert report.finished == len(self.finished) / len(KEYS)
        assert report.last == sum(self.model[key] == self.references[key] - 1 for key in KEYS) / len(KEYS)
        self.told = {told: outcome for told, outcome in self.told.items() if told[0] > step}
        self.met = {met: index for met, index in self.met.items() if met[0] > step}

    @rule()
    def resume(self) -> None:
        """From a checkpoint, in a new process."""
        saved = self.curriculum.save()
        promotion = Promotion(Kind.DYNAMIC, self.rule, self.wins_needed, self.losses_needed)
        self.curriculum = Curriculum(self.references, dict.fromkeys(KEYS, 0), promotion)
        self.curriculum.restore(Saved(**json.loads(json.dumps(dataclasses.asdict(saved)))))
        self.told.clear()
        self.met.clear()

    @rule(state=st.dictionaries(keys, st.just(0)))
    def restore(self, state: dict[str, int]) -> None:
        self.curriculum.restore(Saved({**state, "no such sample": 3}))
        self.model.update(state)
        self.won_in_a_row = dict.fromkeys(KEYS, 0)
        self.lost_in_a_row = dict.fromkeys(KEYS, 0)
        self.finished.clear()
        self.told.clear()
        self.met.clear()

    @invariant()
    def only_commits_edits_and_restores_move_a_reference(self) -> None:
        assert self.curriculum.finished == self.finished
        assert self.curriculum.indexes == self.model


TestCurriculumAgainstAModel = CurriculumMachine.TestCase
TestCurriculumAgainstAModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def curriculum(
    *, references: int = 4, index: int = 0, group_rule: GroupRule = GroupRule.MAJORITY
) -> Curriculum:
    promotion = Promotion(group_rule=group_rule)
    return Curriculum({"0": references, "1": references}, {"0": index, "1": index}, promotion)


def moved(report: StepReport) -> dict[str, int]:
    return {move.key: move.after for move in report.moves}


@given(st.lists(outcomes, min_size=1, max_size=16))
def test_all_rollouts_of_a_step_meet_the_same_reference(told: list[Outcome]) -> None:
    state = curriculum(group_rule=GroupRule.ANY)
    met = []
    for number, outcome in enumerate(told):
        met.append(state.assign(1, "0"))
        state.record(1, "0", f"u_{number}", outcome)
    assert set(met) == {0}
    state.commit(1)
    assert state.assign(2, "0") == (WIN in told)


def test_eight_wins_are_one_step() -> None:
    state = curriculum()
    for session in range(8):
        state.record(1, "0", f"u_{session}", WIN)
    assert moved(state.commit(1)) == {"0": 1}
    assert state.indexes == {"0": 1, "1": 0}


def test_committing_a_step_twice_changes_nothing() -> None:
    state = curriculum()
    state.record(1, "0", "u_0", WIN)
    state.commit(1)
    assert moved(state.commit(1)) == {}
    assert state.indexes["0"] == 1


def test_telling_twice_does_not_tip_a_majority() -> None:
    state = curriculum()
    state.record(1, "0", "u_0", WIN)
    state.record(1, "0", "u_1", LOSS)
    state.record(1, "0", "u_0", WIN)
    assert moved(state.commit(1)) == {}


def test_an_uncommitted_earlier_step_is_forgotten() -> None:
    state = curriculum()
    state.record(1, "0", "u_0", WIN)
    state.commit(2)
    assert moved(state.commit(1)) == {}


def test_a_later_step_under_way_is_kept() -> None:
    state = curriculum()
    state.record(2, "0", "u_0", WIN)
    state.commit(1)
    assert moved(state.commit(2)) == {"0": 1}


def test_the_last_reference_stays() -> None:
    state = curriculum(references=2, index=1)
    state.record(1, "0", "u_0", WIN)
    report = state.commit(1)
    assert moved(report) == {}
    assert report.last == 1.0
    assert report.finished == 0.5


def test_a_restored_state_replaces_references_and_forgets_outcomes() -> None:
    state = curriculum(index=1)
    state.record(5, "0", "u_0", WIN)
    state.restore(Saved({"0": 3, "gone": 2}))
    assert state.indexes == {"0": 3, "1": 1}
    assert moved(state.commit(5)) == {}


def test_an_unknown_sample_is_an_error() -> None:
    with pytest.raises(KeyError):
        curriculum().assign(1, "8")


def test_the_figures_of_a_step() -> None:
    state = Curriculum({"0": 3, "1": 3, "2": 1}, {"0": 0, "1": 2, "2": 0})
    for key, told in {"0": [WIN, WIN, LOSS], "1": [TIE, UNSCORED]}.items():
        for number, outcome in enumerate(told):
            state.record(1, key, f"{key}_{number}", outcome)
    assert state.commit(1).metrics() == {
        "writing_rl/win_rate": 2 / 5,
        "writing_rl/tie_rate": 1 / 5,
        "writing_rl/loss_rate": 1 / 5,
        "writing_rl/unscored_rate": 1 / 5,
        "writing_rl/win_rate_at/0": 2 / 3,
        "writing_rl/win_rate_at/2": 0.0,
        "writing_rl/reference_index/mean": 1.0,
        "writing_rl/reference_index/p10": 0.0,
        "writing_rl/reference_index/p50": 1.0,
        "writing_rl/reference_index/p90": 2.0,
        "writing_rl/reference_index/share_at/0": 1 / 3,
        "writing_rl/reference_index/share_at/1": 1 / 3,
        "writing_rl/reference_index/share_at/2": 1 / 3,
        "writing_rl/reference_index/last_share": 2 / 3,
        "writing_rl/reference_index/finished_share": 0.0,
        "writing_rl/promotions": 1.0,
        "writing_rl/demotions": 0.0,
    }


def test_a_step_without_rollouts_has_figures() -> None:
    figures = curriculum().commit(1).metrics()
    assert figures["writing_rl/win_rate"] == 0.0
    assert figures["writing_rl/reference_index/mean"] == 0.0


def test_steps_that_overlap_move_a_sample_once_for_each_reference_that_it_beat() -> None:
    state = curriculum()
    for step in (1, 2):  # the second begins before the first is committed
        assert state.assign(step, "0") == 0
        state.record(step, "0", "u_0", WIN)
    assert moved(state.commit(1)) == {"0": 1}
    assert state.assign(2, "0") == 0  # a rollout that comes late meets what its group meets
    assert moved(state.commit(2)) == {}
    assert state.assign(3, "0") == 1


def test_what_a_person_sets_is_not_moved_by_the_step_under_way() -> None:
    state = curriculum()
    state.record(1, "0", "u_0", WIN)
    assert [tuple(move) for move in state.edit({"0": 3, "1": 0})] == [("0", 0, 3, "manual")]
    assert moved(state.commit(1)) == {}
    assert state.assign(2, "0") == 3


def test_a_fixed_curriculum_never_moves_and_still_has_figures() -> None:
    state = Curriculum({"0": 3}, {"0": 1}, Promotion(Kind.FIXED))
    state.record(1, "0", "u_0", WIN)
    report = state.commit(1)
    assert moved(report) == {}
    assert report.metrics()["writing_rl/win_rate"] == 1.0


def test_a_static_curriculum_gives_each_reference_the_same_share_of_the_training() -> None:
    state = Curriculum({"0": 4, "1": 2, "2": 1}, {"0": 0, "1": 0, "2": 0}, Promotion(Kind.STATIC))
    state.total_steps = 8
    met: dict[str, list[int]] = {"0": [], "1": [], "2": []}
    for step in range(1, 9):
        for key in met:
            met[key].append(state.assign(step, key))
            state.record(step, key, "u_0", LOSS)
        state.commit(step)
    assert met == {"0": [0, 0, 1, 1, 2, 2, 3, 3], "1": [0] * 4 + [1] * 4, "2": [0] * 8}


def test_a_single_lucky_win_does_not_promote_where_two_are_asked_for() -> None:
    state = Curriculum({"0": 3}, {"0": 0}, Promotion(wins_to_promote=2))
    for step, outcome in enumerate((WIN, TIE, WIN, LOSS, WIN, UNSCORED, WIN), start=1):
        state.record(step, "0", "u_0", outcome)
        assert moved(state.commit(step)) == ({"0": 1} if step == 7 else {})
