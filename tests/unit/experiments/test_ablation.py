from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.errors import DataError
from writing_rl.experiments.ablation.arms import ARMS, COMPARISONS, Trial
from writing_rl.experiments.ablation.groups import mean_of, parts_of
from writing_rl.experiments.ablation.held_out import held_out
from writing_rl.experiments.ablation.intervals import difference, mean
from writing_rl.experiments.ablation.page import as_markdown, draw
from writing_rl.experiments.ablation.plot_judge import Told, read_story
from writing_rl.experiments.ablation.results import BEFORE, MEASURES, collect
from writing_rl.experiments.ablation.run import command, is_done, overrides, selection_commands
from writing_rl.quickstart.dataset import draw_quickstart, to_rows, write_rows
from writing_rl.quickstart.plots import STRAYS
from writing_rl.quickstart.stories import LEVELS, draw_subject, write_story

STEPS = 36


# The plot judge


def subject_and_beats(seed: int) -> tuple[str, list[str]]:
    subject = draw_subject(random.Random(seed))
    return subject.prompt, [subject.fill(wordings[0]) for wordings in subject.plot.beats]


@given(st.integers(0, 10_000))
def test_a_whole_story_has_all_points_and_each_flaw_costs_one(seed: int) -> None:
    prompt, beats = subject_and_beats(seed)
    assert read_story(prompt, " ".join(beats)) == Told(6, 6, 0, 0)
    assert read_story(prompt, " ".join([*beats, beats[-1]])).points == 5
    assert read_story(prompt, " ".join([*beats, STRAYS[0]])).points == 5
    assert read_story(prompt, " ".join(beats[:3])).points == 3
    assert read_story(prompt, " ".join(beats)[:-3]).points == 4  # a beat less, and a sentence that breaks off
    assert read_story(prompt, " ".join([beats[1], beats[0], *beats[2:]])).points == 5
    assert read_story(prompt, "").points == 0


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_story_for_another_prompt_has_fewer_points(one: int, other: int) -> None:
    prompt, _ = subject_and_beats(one)
    their_prompt, theirs = subject_and_beats(other)
    if prompt != their_prompt:
        assert read_story(prompt, " ".join(theirs)).points < 6


def test_points_rise_with_the_levels_of_the_stories() -> None:
    rng = random.Random(0)
    means = []
    for level in LEVELS:
        subjects = [draw_subject(rng) for _ in range(100)]
        means.append(
            np.mean([read_story(each.prompt, write_story(each, level, rng)).points for each in subjects])
        )
    assert means == sorted(means)
    assert (means[0], means[-1]) == (0, 6)


@given(st.text(max_size=200))
def test_any_text_has_from_0_to_6_points(text: str) -> None:
    assert 0 <= read_story(subject_and_beats(1)[0], text).points <= 6


def test_a_prompt_of_somebody_else_is_no_prompt() -> None:
    with pytest.raises(ValueError, match=r"no prompt of the quick start: 'Write a poem\.'"):
        read_story("Write a poem.", "Text.")


# Arms and commands


def test_every_comparison_is_of_arms_that_are_there() -> None:
    assert all(arm in ARMS for comparison in COMPARISONS for arm in comparison.arms)


def test_the_printed_command_is_the_one_that_is_run() -> None:
    said = command(Trial(ARMS["static"], 2), STEPS)
    assert said.startswith("QUICKSTART_SEED=2 EXPERIMENT_NAME=ablation-static-2 writing-rl train")
    assert all(override in said for override in overrides(Trial(ARMS["static"], 2), STEPS))
    assert "DATA_DIR=data/ablation/margin-1 " in command(Trial(ARMS["margin"], 1), STEPS)


def test_all_choices_of_data_of_a_seed_use_the_same_scores_of_the_policy() -> None:
    margin, chance = (selection_commands(Trial(ARMS[name], 1)) for name in ("margin", "random"))
    assert margin[:2] == chance[:2]
    assert margin[2][margin[2].index("--policy") + 1] == chance[2][chance[2].index("--policy") + 1]


# Intervals


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=30))
def test_the_interval_holds_the_mean_and_no_value_beyond_the_data(values: list[float]) -> None:
    interval = mean({0: values})
    assert min(values) - 1e-9 <= interval.low <= interval.value + 1e-9
    assert interval.value - 1e-9 <= interval.high <= max(values) + 1e-9


def test_the_interval_has_the_width_that_the_normal_distribution_gives() -> None:
    values = np.random.default_rng(1).normal(size=(3, 400))
    interval = mean(dict(enumerate(values.tolist())))
    expected = 1.96 * np.sqrt((values.std(axis=1) ** 2 / 400).sum()) / 3
    assert (interval.high - interval.low) / 2 == pytest.approx(expected, rel=0.05)
    assert interval.value == pytest.approx(values.mean())
    assert interval.by_seed == pytest.approx(tuple(values.mean(axis=1)))


def test_a_difference_is_taken_prompt_by_prompt_over_shared_seeds() -> None:
    prompts = np.random.default_rng(0).normal(size=50)
    interval = difference({0: prompts + 1, 1: prompts}, {0: prompts, 2: prompts})
    assert (interval.value, interval.low, interval.high) == pytest.approx((1, 1, 1))
    with pytest.raises(ValueError, match="no seed"):
        difference({0: prompts}, {1: prompts})
    with pytest.raises(ValueError, match="different prompts"):
        difference({0: prompts}, {0: prompts[1:]})


# Groups


def judged(step: int, id: int, outcome: str, reference: int = 0, training: bool = True) -> dict[str, Any]:
    about = {"step": step, "id": id, "rollout": f"uid-{id}_0", "training": training}
    return {**about, "outcome": outcome, "reference_index": reference}


def test_a_group_teaches_where_its_rollouts_differ() -> None:
    lines = [
        *(judged(1, 0, "win"), judged(1, 0, "win"), judged(1, 1, "win"), judged(1, 1, "tie")),
        *(judged(2, 0, "loss", 2), judged(2, 0, "win", 2), judged(2, 0, "unscored", 2)),
        *(judged(3, 0, "loss", 4), judged(3, 0, "loss", 4), judged(3, 1, "win", training=False)),
    ]
    first, second, last = parts_of(lines, 3)
    assert (first.informative, first.reward, first.reference) == (0.5, 0.875, 0)
    assert (second.informative, second.reward, second.reference) == (1, 0.5, 2)
    assert (last.informative, last.reward, last.reference) == (0, 0, 4)
    assert mean_of([[first], [last]])[0].informative == 0.25
    assert parts_of([judged(1, id, "win") for id in range(3)], 3) == []  # PPO
    assert parts_of([], 3) == []
    assert parts_of([*lines, *lines], 3) == [first, second, last]  # started again from nothing


# From the logs of trainings to the page


def pretend_training(folder: Path, arm: str, level: int, seed: int = 0, last: int = STEPS) -> None:
    """What a training leaves: texts of a level in its last validation."""
    data = folder / "data" / "quickstart"
    if not data.exists():
        data.mkdir(parents=True)
        texts = draw_quickstart(seed, train_rows=2, test_rows=8, corpus_texts=2)
        write_rows(to_rows(texts.test, "test"), data / "test.parquet")
        (folder / "prompts.json").write_text(json.dumps([sample.references for sample in texts.test]))
    references: list[list[str]] = json.loads((folder / "prompts.json").read_text())
    logs = folder / "logs" / f"ablation-{arm}-{seed}"
    (logs / "judge").mkdir(parents=True)
    (logs / "metrics").mkdir()
    steps = [
        {
            "step": step,
            "data": {"writing_rl/reference_index/mean": step / STEPS, "val-aux/writing/win/mean@1": 0.5},
        }
        for step in range(last + 1)
    ]
    (logs / "metrics" / "a.jsonl").write_text("".join(f"{json.dumps(step)}\n" for step in steps))
    lines: list[dict[str, Any]] = [
        {**judged(step, id, "loss", training=False), "response": texts[level if step else 0]}
        for step in (0, last)
        for id, texts in enumerate(references)
    ]
    lines += [
        {**judged(step, 0, outcome), "response": "no text of a validation"}
        for step in range(1, last + 1)
        for outcome in ("win", "loss")
    ]
    content = "".join(f"{json.dumps(line)}\n" for line in lines) + '{"step": 36, "tor'
    (logs / "judge" / "comparisons-host-0001.jsonl").write_text(content)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_trainings_become_tables_and_a_plot(there: Path) -> None:
    pretend_training(there, "dynamic", 4)
    pretend_training(there, "fixed", 2)
    pretend_training(there, "static", 3, last=20)  # still under way
    results = collect([0, 1], STEPS)
    by_name = {result.arm: result for result in results.arms}
    assert list(by_name) == [BEFORE, "dynamic", "fixed"]
    assert by_name["dynamic"].measures["plot points"].value == 6
    assert by_name["dynamic"].measures["against best"].value == 0.5  # it is the best reference
    assert by_name["fixed"].measures["plot points"].value == 3
    assert by_name["fixed"].measures["against best"].value == 0
    assert by_name[BEFORE].measures["plot points"].value == 0
    assert by_name["dynamic"].reference == (1.0,)
    (row,) = results.differences
    assert (row.comparison, row.other, row.arm) == ("Curriculum", "dynamic", "fixed")
    assert row.measures["plot points"].value == 3

    page = as_markdown(results, "a.png")
    assert "| Curriculum | dynamic − fixed | 3.00 [3.00, 3.00]" in page
    assert "EXPERIMENT_NAME=ablation-fixed-0 writing-rl train" in page
    assert "| dynamic | 1.00 / 1.00 / 1.00 | 0.50 / 0.50 / 0.50 |" in page
    assert draw(results).startswith(b"\x89PNG")
    assert set(json.loads(json.dumps(results.as_json()))["arms"][0]["measures"]) == set(MEASURES)


def test_a_training_is_done_when_its_last_validation_is(there: Path) -> None:
    pretend_training(there, "fixed", 2, last=20)
    trial = Trial(ARMS["fixed"], 0)
    assert is_done(trial, 20)
    assert not is_done(trial, STEPS)
    assert not is_done(Trial(ARMS["static"], 0), STEPS)


def test_a_transcript_that_is_not_whole_is_an_error(there: Path) -> None:
    pretend_training(there, "fixed", 2)
    with pytest.raises(
        DataError, match="logs/ablation-fixed-0/judge holds 0 texts of the validation of step 35"
    ):
        held_out(Trial(ARMS["fixed"], 0), 35)
