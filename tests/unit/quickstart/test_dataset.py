"""The quick start's texts: reproducible, rising in quality, and in the schema of the training data."""

import itertools
import random
from pathlib import Path

import pytest

from tests.commands import writing_rl
from writing_rl.judging.grade import offline_grade
from writing_rl.judging.offline.measures import score_text
from writing_rl.quickstart.dataset import MIN_STEP, Quickstart, draw_quickstart, to_rows, write_rows
from writing_rl.quickstart.plots import BEATS_PER_PLOT, PLOTS
from writing_rl.quickstart.stories import LEVELS, draw_subject, write_story


@pytest.fixture(scope="module")
def texts() -> Quickstart:
    return draw_quickstart(3, train_rows=40, test_rows=20, corpus_texts=200)


def test_a_seed_fixes_every_text(texts: Quickstart) -> None:
    assert texts == draw_quickstart(3, train_rows=40, test_rows=20, corpus_texts=200)
    assert texts != draw_quickstart(4, train_rows=40, test_rows=20, corpus_texts=200)


def test_every_plot_has_all_its_beats() -> None:
    assert {len(plot.beats) for plot in PLOTS} == {BEATS_PER_PLOT}


def test_levels_get_better_by_construction() -> None:
    for lower, higher in itertools.pairwise(LEVELS):
        assert higher.beats > lower.beats
        assert (higher.repeats, higher.strays) <= (lower.repeats, lower.strays)
        assert higher.slip <= lower.slip
        assert higher.broken_end <= lower.broken_end


def test_the_judge_agrees_before_any_selection() -> None:
    rng = random.Random(0)
    agreed = total = 0
    for _ in range(200):
        subject = draw_subject(rng)
        scores = [score_text(subject.prompt, write_story(subject, level, rng)).total for level in LEVELS]
        agreed += sum(lower < higher for lower, higher in itertools.pairwise(scores))
        total += len(LEVELS) - 1
    assert agreed / total > 0.9


def test_the_judge_agrees_with_the_order_of_the_references(texts: Quickstart) -> None:
    for sample in (*texts.train, *texts.test):
        assert len(sample.references) == len(LEVELS)
        scores = [score_text(sample.prompt, reference).total for reference in sample.references]
        assert all(higher - lower >= MIN_STEP for lower, higher in itertools.pairwise(scores))


def test_the_best_story_is_whole() -> None:
    rng = random.Random(0)
    subject = draw_subject(rng)
    story = write_story(subject, LEVELS[-1], rng)
    assert story.count(".") == BEATS_PER_PLOT
    for word in (subject.name, subject.thing, subject.place, subject.helper):
        assert word in story


def test_no_test_prompt_was_seen_before(texts: Quickstart) -> None:
    tested = {sample.prompt for sample in texts.test}
    trained = {sample.prompt for sample in texts.train}
    assert len(tested) == len(texts.test)
    assert len(trained) == len(texts.train)
    assert not tested & trained
    assert not tested & {prompt for prompt, _ in texts.corpus}


def test_rows_follow_the_schema(texts: Quickstart, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "test.parquet"
    write_rows(to_rows(texts.test, "test"), path)
    rows = pandas.read_parquet(path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert list(rows.columns) == ["data_source", "prompt", "ability", "reward_model", "extra_info"]
    for index, (row, sample) in enumerate(zip(rows.itertuples(), texts.test, strict=True)):
        assert (row.data_source, row.ability) == ("writing", "write")
        assert [message["role"] for message in row.prompt] == ["system", "user"]
        assert row.prompt[1]["content"] == sample.prompt
        assert row.reward_model["style"] == "rule"
        truth = row.reward_model["ground_truth"]
        assert (truth["prompt"], truth["criteria"], truth["id"]) == (sample.prompt, None, index)
        assert list(truth["target"]) == list(sample.references)
        assert (row.extra_info["index"], row.extra_info["split"]) == (index, "test")
        assert list(row.extra_info["scores"]) == [
            offline_grade(sample.prompt, reference) for reference in sample.references
        ]


def test_a_quick_start_of_an_older_version_gets_its_scores(tmp_path: Path) -> None:
    import pyarrow.parquet

    (tmp_path / "base_model").mkdir()  # whose training would take a minute
    (tmp_path / "quickstart.json").write_text('{"seed": 0}\n')
    for split in ("train", "test"):
        (tmp_path / f"{split}.parquet").write_bytes(b"one without scores")
    assert writing_rl("quickstart", "--output", tmp_path).returncode == 0
    rows = pyarrow.parquet.read_table(tmp_path / "train.parquet").to_pylist()
    assert all(len(row["extra_info"]["scores"]) == 5 for row in rows)
    again = writing_rl("quickstart", "--output", tmp_path)
    assert "there already" in again.stdout
