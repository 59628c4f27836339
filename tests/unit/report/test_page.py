"""The page that is made of what a run leaves behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.commands import writing_rl
from writing_rl.curriculum.journal import Journal, journal_of
from writing_rl.curriculum.state import Move
from writing_rl.errors import SettingError
from writing_rl.judging.client.budget import Bill
from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.compare import Call, Comparison
from writing_rl.judging.verdict import Outcome, Verdict
from writing_rl.report.charts_curriculum import distribution
from writing_rl.report.charts_curves import wilson
from writing_rl.report.collect import Folders, collect
from writing_rl.report.contents import contents_of
from writing_rl.report.cost_forecast import forecast
from writing_rl.report.headline import duration, headline, money, status
from writing_rl.report.make import default_path, make_report
from writing_rl.report.run_data import Run
from writing_rl.report.samples import most_improved, stuck
from writing_rl.report.synthetic import Size, write_run
from writing_rl.runlog.spent import spent_file, write_spent
from writing_rl.runlog.start_record import write_start
from writing_rl.runlog.train_log import LogFacts
from writing_rl.runlog.transcript import Transcript

SMALL = Size(steps=12, prompts=4, rollouts=4, samples=10, references=3, characters=60, validate_every=6)

#: What a model may write to break a page, or to be run by it.
HOSTILE = (
    "</div></details><script>alert(1)</script>{{ 7 * 7 }}{% raw %}&amp;<img src=x onerror=alert(2)>\x00\u202e"
)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "logs", tmp_path / "running_file", tmp_path / "checkpoints")


class Page(HTMLParser):
    """A page's elements, and whether each is closed where it should be."""

    OPEN = frozenset({"meta", "img", "br", "wbr", "path", "use", "image", "rect"})

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, Mapping[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(content.decode())
        assert not self._open

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.OPEN:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.OPEN:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.texts))

    def having(self, tag: str) -> list[Mapping[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def charts(self) -> set[str]:
        return {(figure.get("id") or "").removeprefix("chart-") for figure in self.having("figure")} - {""}


def page_of(folders: Folders, *names: str, refresh_s: int | None = None) -> Page:
    return Page(make_report(names, folders).page.html(refresh_s))


def judged(
    folders: Folders,
    name: str,
    groups: Sequence[tuple[int, int, int, Sequence[Outcome]]],
    text: str = "a text",
    judge: str = "judge-1",
) -> None:
    """Writes transcripts: step, sample, reference and outcomes of each group."""
    transcript = Transcript(folders.logs / name / "judge", characters=2000)
    for step, id, reference, outcomes in groups:
        for session, outcome in enumerate(outcomes):
            about = {
                "step": step,
                "id": id,
                "index": id,
                "rollout": f"u{step}-{id}_{session}",
                "training": True,
                "reference_index": reference,
            }
            call = Call(judge, Verdict.B, Answer(f"judge: {text}", latency_s=1.0), Verdict.B)
            reason = text if outcome is Outcome.UNSCORED else ""
            comparison = Comparison(outcome, reason=reason, detail=text, calls=(call,))
            texts = {"response": f"policy {step}: {text}", "reference": f"reference: {text}"}
            transcript.write(comparison, about, texts)


def logged(folders: Folders, name: str, steps: Mapping[int, Mapping[str, float]]) -> None:
    path = folders.logs / name / "metrics" / "1.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"step": step, "data": data}) + "\n" for step, data in steps.items()))


def configured(folders: Folders, name: str, settings: Mapping[str, Any]) -> None:
    write_start(folders.logs / name, settings, "1")


# --- whole pages


def test_a_page_shows_what_a_run_left(folders: Folders) -> None:
    write_run("a", folders, SMALL)
    (folders.checkpoints / "a" / "global_step_12").mkdir(parents=True)
    page = page_of(folders, "a")
    assert page.charts >= {
        "validation",
        "outcomes",
        "reference_index",
        "paths",
        "reward",
        "words",
        "tokens",
        "repetition",
        "kl_reference",
        "kl_update",
        "entropy",
        "latency",
        "cost",
        "promotions",
    }
    for words in ("Win rate against the fixed reference", "Mean reference index", "Most improved", "judge-1"):
        assert words in page.text
    assert "checkpoint of step 12" in page.text
    assert not page.having("script")
    assert not [meta for meta in page.having("meta") if meta.get("http-equiv") == "refresh"]
    links = [
        value
        for _, attributes in page.tags
        for key, value in attributes.items()
        if key.endswith(("href", "src"))
    ]
    assert all(link and link.startswith(("#", "data:image/png")) for link in links)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_a_page_that_is_watched_loads_itself_again(folders: Folders) -> None:
    write_run("a", folders, SMALL)
    report = make_report(["a"], folders)
    (refresh,) = [m for m in Page(report.page.html(30)).having("meta") if m.get("http-equiv") == "refresh"]
    assert refresh["content"] == "30"
    assert b'http-equiv="refresh"' not in report.page.html()


def test_hostile_texts_stay_texts(folders: Folders) -> None:
    groups = [(step, 7, 0, [Outcome.LOSS, Outcome.UNSCORED]) for step in (1, 2, 3)]
    judged(folders, "a", groups, HOSTILE, judge=HOSTILE)
    page = page_of(folders, "a")
    assert not page.having("script")
    assert not page.having("img")
    assert not [attributes for _, attributes in page.tags if any(key.startswith("on") for key in attributes)]
    assert "<script>alert(1)</script>{{ 7 * 7 }}{% raw %}&amp;<img src=x onerror=alert(2)>" in page.text
    assert "49" not in page.text.split("policy 3")[1][:120]
    assert "\x00" not in page.text
    policy = [
        meta["content"] for meta in page.having("meta") if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_an_experiment_may_have_any_name(folders: Folders, tmp_path: Path) -> None:
    name = "_a $x$ <b>\"'&{{1}} 海"
    write_run(name, folders, SMALL)
    report = make_report([name], folders)
    assert name in Page(report.page.html()).text
    both = make_report([name, name], folders)
    assert name in Page(both.page.html()).text
    both.write(tmp_path / "out" / "page.html")
    assert (tmp_path / "out" / "page" / "outcomes-2.png").stat().st_size > 1000


def test_secrets_stay_out(folders: Folders) -> None:
    judged(folders, "a", [(1, 7, 0, [Outcome.UNSCORED])], "Incorrect API key provided: sk-abcdefghijkl")
    settings = {
        "writing_rl": {"judge": {"base_url": "http://me:hunter22@host/v1", "api_key": "hunter22"}},
        "data": {"train_batch_size": 12},
    }
    configured(folders, "a", settings)
    text = page_of(folders, "a").text
    assert "prompts in a step12" in text
    assert "hunter22" not in text
    assert "Why comparisons were unscored Incorrect API key provided: (hidden)" in text


# --- pieces that are missing


@pytest.mark.parametrize("missing", ["metrics", "judge", "journal", "all but the journal", "spent"])
def test_what_is_missing_is_left_out(folders: Folders, missing: str) -> None:
    write_run("a", folders, SMALL)
    logs = folders.logs / "a"
    journal = journal_of(folders.index_file("a"))
    gone = {
        "metrics": [logs / "metrics"],
        "judge": [logs / "judge"],
        "journal": [journal],
        "all but the journal": [logs / "metrics", logs / "judge"],
        "spent": [logs / "judge" / "spent.json"],
    }[missing]
    for path in gone:
        path.rename(folders.logs.parent / path.name)
    page = page_of(folders, "a")
    note = {
        "metrics": "No metrics are there yet",
        "judge": "No transcript of the judge is there",
        "journal": "No journal is there",
        "all but the journal": "No metrics are there yet",
        "spent": "No log of the training is there",
    }[missing]
    assert note in page.text
    assert "reference_index" in page.charts
    assert ("outcomes" in page.charts) == (missing != "all but the journal")
    assert ("paths" in page.charts) == (missing != "journal")
    assert ("validation" in page.charts) == (missing != "all but the journal")


def test_a_run_that_has_just_begun(folders: Folders) -> None:
    (folders.logs / "a").mkdir(parents=True)
    (folders.logs / "a" / "train-20260101-000000.log").write_text("starting\n")
    page = page_of(folders, "a")
    assert "Under way: step 0" in page.text
    assert "The log of the training does not hold its settings (yet)." in page.text
    assert page.charts == set()


def test_one_step_and_one_validation(folders: Folders) -> None:
    logged(
        folders,
        "a",
        {0: {"val-aux/x/win/mean@1": 0.25}, 1: {"writing_rl/win_rate": 0.5, "critic/score/mean": 0.5}},
    )
    page = page_of(folders, "a")
    assert page.charts == {"validation", "reward", "outcomes"}
    assert "0.251 validation" in page.text


def test_damaged_files_are_noted(folders: Folders) -> None:
    write_run("a", folders, SMALL)
    journal = journal_of(folders.index_file("a"))
    journal.write_text(journal.read_text().replace('"to"', '"too"'))
    spent_file(str(folders.logs / "a")).write_text("{")
    (metrics,) = (folders.logs / "a" / "metrics").iterdir()
    metrics.write_text("{\n" + metrics.read_text())
    run = collect("a", folders)
    assert run.positions is None
    assert run.spent is None
    notes = " ".join(run.notes)
    for words in (
        "The journal cannot be read: ",
        "spent.json is damaged",
        "Lines of the metrics that cannot be read: 1.",
    ):
        assert words in notes
    # The heat map is then what the metrics say.
    found = distribution(run)
    assert found is not None
    assert found[1].sum(axis=0) == pytest.approx(1)


def test_a_journal_with_resumes_is_noted(folders: Folders) -> None:
    journal = Journal(folders.index_file("a"))
    journal.begin(0, {"7": 0})
    journal.append(1, [Move("7", 0, 1, "won")])
    journal.resume(0, {"7": 0})
    run = collect("a", folders)
    assert "it resumed at step 0." in run.notes[-1]
    assert run.positions is not None
    assert run.positions.counts.tolist() == [[1]]


def test_an_unknown_experiment_lists_those_that_there_are(folders: Folders) -> None:
    with pytest.raises(SettingError, match="there is no experiment 'x': there is none in"):
        make_report(["x"], folders)
    write_run("a", folders, SMALL)
    Journal(folders.index_file("b")).begin(0, {"7": 0})
    os.utime(journal_of(folders.index_file("b")), (1, 1))
    (folders.logs / "empty").mkdir()
    for name in ("x", "empty", "../logs/a", "", ".."):
        with pytest.raises(SettingError, match=re.escape(f"there is no experiment {name!r}: there are a, b")):
            make_report([name], folders)


# --- samples


def test_improved_and_stuck_samples_are_told_apart(folders: Folders) -> None:
    win, loss = [Outcome.WIN] * 3 + [Outcome.LOSS], [Outcome.LOSS] * 4
    groups = [
        (1, 0, 0, win),
        (1, 1, 0, loss),
        (1, 2, 0, win),
        (2, 0, 1, win),
        (2, 1, 0, loss),
        (2, 2, 1, loss),
    ]
    groups += [(3, 0, 2, win), (3, 1, 0, loss), (3, 2, 1, loss), (3, 3, 2, win)]
    judged(folders, "a", groups)
    journal = Journal(folders.index_file("a"))
    journal.begin(0, {"0": 0, "1": 0, "2": 0, "3": 2})
    journal.append(1, [Move("0", 0, 1, "won"), Move("2", 0, 1, "won")])
    journal.append(2, [Move("0", 1, 2, "won")])
    run = collect("a", folders)
    improved, not_moving = most_improved(run, 5), stuck(run, 5)
    assert [(story.key, story.start, story.end, story.met) for story in improved] == [
        ("0", 0, 2, 3),
        ("2", 0, 1, 3),
    ]
    assert [(story.key, story.since) for story in not_moving] == [("1", 3), ("2", 2)]
    last = improved[0].last
    assert last is not None
    assert (last.step, last.reference, last.outcome, last.response) == (3, 2, Outcome.WIN, "policy 3: a text")
    first = improved[0].first
    assert first is not None
    assert first.step == 1
    assert [answer.text for answer in last.answers] == ["judge: a text"]
    worst = not_moving[0].last
    assert worst is not None
    assert (worst.step, worst.outcome) == (3, Outcome.LOSS)
    assert most_improved(run, 1)[0].key == "0"


def test_writing_tasks_come_from_the_training_set(
    folders: Folders,
    tmp_path: Path,
    make_row: Callable[..., dict[str, Any]],
    write_parquet: Callable[..., Path],
) -> None:
    path = write_parquet(
        tmp_path / "train.parquet", [make_row(id, prompt=f"Write {id}. <b>") for id in range(3)]
    )
    configured(folders, "a", {"data": {"train_files": str(path)}})
    judged(folders, "a", [(step, 2, 0, [Outcome.LOSS]) for step in (1, 2)])
    text = page_of(folders, "a").text
    assert "Write 2. <b>" in text
    assert "reference 0 → 0 of 0 to 2" in text
    path.unlink()
    assert "The training set is not where the run read it" in page_of(folders, "a").text


def test_transcripts_without_texts(folders: Folders) -> None:
    transcript = Transcript(folders.logs / "a" / "judge", characters=0)
    for step in (1, 2):
        about = {"step": step, "id": 1, "rollout": f"u{step}_0", "training": True, "reference_index": 0}
        transcript.write(Comparison(Outcome.LOSS), about, {"response": "x", "reference": "y"})
    assert "The transcript keeps no texts" in page_of(folders, "a").text


# --- arithmetic


def test_the_forecast_goes_on_as_the_last_steps_did() -> None:
    def cost(total: float) -> dict[str, float]:
        return {
            "writing_rl/win_rate": 0.5,
            "writing_rl/judge/cost_usd": 1.0,
            "writing_rl/judge/total_cost_usd": total,
            "timing_s/step": 20.0,
        }

    figures = {step: cost(step * 1.0 if step <= 60 else 60 + 2.0 * (step - 60)) for step in range(1, 121)}
    run = Run("a", figures, spent=Bill(10, 5, 5, 181.0), total_steps=200)
    found = forecast(run)
    # What was counted since the last step is spent, too; the last 50 steps cost 2 each.
    assert found.spent_usd == 181.0
    assert found.end_usd == pytest.approx(181 + 80 * 2)
    assert (found.steps, found.seconds) == (80, 1600.0)
    assert forecast(Run("a", figures)).end_usd is None
    done = forecast(Run("a", figures, total_steps=120))
    assert (done.end_usd, done.steps) == (180.0, 0)
    first = forecast(Run("a", {1: cost(3.0)}, total_steps=11))
    assert first.end_usd == pytest.approx(33.0)


def test_a_cost_without_prices_is_not_zero() -> None:
    figures = {1: {"writing_rl/win_rate": 0.5, "writing_rl/judge/total_cost_usd": 0.0}}
    run = Run("a", figures, spent=Bill(9, 100, 100, 0.0), total_steps=2)
    assert forecast(run).spent_usd is None
    (cost,) = [stat for stat in headline(run) if stat.label == "Judge's cost"]
    assert (cost.value, cost.more) == ("–", "prices are not known")
    assert forecast(Run("a", spent=Bill(9, 0, 0, 0.0))).spent_usd == 0.0


def test_the_headline_names_start_and_end(folders: Folders) -> None:
    steps = {
        step: {
            "writing_rl/win_rate": 0.5,
            "writing_rl/unscored_rate": 0.02,
            "critic/score/mean": step / 10,
            "writing_rl/reference_index/mean": step / 100,
        }
        for step in range(1, 9)
    }
    steps[8]["val-aux/a/win/mean@1"] = 0.875
    logged(folders, "a", {0: {"val-aux/a/win/mean@1": 0.125}, **steps})
    found = {stat.label: (stat.value, stat.after) for stat in headline(collect("a", folders, total_steps=8))}
    assert found == {
        "Steps": ("8", ""),
        "Win rate against the fixed reference": ("0.12", "0.88"),
        "Mean reference index": ("0.01", "0.08"),
        "Mean reward": ("0.25", "0.65"),
        "Judge's cost": ("–", ""),
        "Unscored comparisons": ("2.0 %", ""),
    }


@pytest.mark.parametrize("validated", [True, False])
def test_attacks_on_the_judge_stand_beside_the_win_rate(folders: Folders, validated: bool) -> None:
    def rate(run: str, steps: dict[int, dict[str, float]]) -> str:
        logged(folders, run, steps)
        found = headline(collect(run, folders, total_steps=8))
        return next(stat.more for stat in found if stat.label.startswith("Win rate"))

    key = "writing_rl/attacks/any"
    steps = {step: {"writing_rl/win_rate": 0.5, key: step / 100} for step in range(1, 9)}
    if validated:
        steps[8]["val-aux/a/win/mean@1"] = 0.875
    before = "1 validation" if validated else "no validation yet"
    assert rate("a", steps) == f"{before}; 6.5 % of texts address the judge"
    run = collect("a", folders, total_steps=8)
    charts = [chart.name for chart in contents_of([run], Path(), 0.0, 3).charts]
    assert "attacks" in charts
    assert (
        rate("b", {step: {n: v for n, v in of.items() if n != key} for step, of in steps.items()}) == before
    )


def test_the_status_says_whether_a_run_goes_on() -> None:
    figures = {4: {"writing_rl/win_rate": 0.5, "timing_s/step": 1000.0}}

    def at(now: float, total: int | None) -> str:
        return status(Run("a", figures, total_steps=total, written=1e9), now)

    assert at(1e9 + 4000, 8) == "Under way: step 4 of 8, last written 67 min ago"
    assert at(1e9 + 6000, 8) == "Not finished: step 4 of 8, last written 2001-09-09 01:46 UTC"
    assert at(1e9, None) == "Under way: step 4, last written a moment ago"
    assert at(1e9, 4) == "Finished: 4 of 4 steps, 2001-09-09 01:46 UTC"


def test_numbers_are_written_as_people_read_them() -> None:
    assert [money(usd) for usd in (None, 0.0, 0.001, 3.456, 1234.5)] == [
        "–",
        "$0.00",
        "< $0.01",
        "$3.46",
        "$1,234",
    ]
    times = (0.25, 3.3, 42, 240, 7200, 900_000)
    assert [duration(seconds) for seconds in times] == [
        "0.25 s",
        "3.3 s",
        "42 s",
        "4 min",
        "2.0 h",
        "10.4 days",
    ]


def test_intervals_hold_the_share() -> None:
    low, high = wilson(5, 10)
    assert (round(low, 3), round(high, 3)) == (0.237, 0.763)
    assert wilson(0, 3)[0] == 0.0
    assert wilson(3, 3)[1] == 1.0


def test_the_judge_is_named_by_the_settings() -> None:
    assert Run("a", log=LogFacts({"writing_rl.judge.model": ["x", "y"]})).judge == "x,y"
    assert Run("a").judge == "unknown"


# --- several runs


def test_runs_are_compared(folders: Folders) -> None:
    for number, name in enumerate(("a", "b")):
        write_run(name, folders, SMALL, seed=number)
        configured(folders, name, {"trainer": {"total_training_steps": 12 + number, "experiment_name": name}})
    page = page_of(folders, "a", "b")
    assert page.charts >= {"validation", "reward", "outcomes-1", "outcomes-2", "reference_index-1", "cost"}
    assert "Finished: 12 of 12 steps" in page.text
    assert "Under way: step 12 of 13" in page.text
    assert re.search(r"trainer.total_training_steps ?12 ?13", page.text)
    assert "Most improved" not in page.text
    (head,) = [line for line in page.having("table") if line.get("class") == "headline"]
    assert head
    assert default_path(["a", "b"], folders) == folders.logs / "report-compare.html"


def test_runs_of_different_kinds_are_compared(folders: Folders) -> None:
    write_run("a", folders, SMALL)
    (folders.logs / "b").mkdir()
    (folders.logs / "b" / "train-1.log").write_text("")
    page = page_of(folders, "a", "b")
    assert "No transcript of the judge is there" in page.text
    assert "No setting differs, as far as the logs tell." in page.text


# --- the script


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return writing_rl("report", *arguments, cwd=folder)


def test_the_script_writes_page_and_pictures(tmp_path: Path) -> None:
    write_run("a", Folders(tmp_path / "logs", tmp_path / "running_file"), SMALL)
    done = call(tmp_path, "--experiment", "a", "a", "--total-steps", "24", "--samples", "2")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "a: Under way: step 12 of 24" in done.stdout
    assert done.stdout.endswith(f"Report: {Path('logs', 'a', 'report.html')}\n")
    page = Page((tmp_path / "logs" / "a" / "report.html").read_bytes())
    pictures = {path.stem for path in (tmp_path / "logs" / "a" / "report").iterdir()}
    assert pictures == page.charts
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in (tmp_path / "logs" / "a" / "report").iterdir())


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    write_run("a", Folders(tmp_path / "logs", tmp_path / "running_file"), SMALL)
    done = call(tmp_path, "--experiment", "a", "b")
    assert (done.returncode, done.stderr) == (1, "Error: there is no experiment 'b': there are a\n")
    (tmp_path / "file").write_text("")
    done = call(tmp_path, "--experiment", "a", "--out", "file/report.html")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert call(tmp_path, "--experiment", "a", "--watch", "0").returncode == 2


def test_the_spent_file_counts(folders: Folders) -> None:
    logged(folders, "a", {1: {"writing_rl/win_rate": 0.5}})
    write_spent(spent_file(str(folders.logs / "a")), Bill(7, 1, 1, 0.5))
    run = collect("a", folders)
    assert run.spent == Bill(7, 1, 1, 0.5)
