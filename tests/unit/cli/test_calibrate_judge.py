from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.commands import writing_rl
from writing_rl.calibration.agreement import measure
from writing_rl.calibration.labelled import LabelledPair
from writing_rl.calibration.order_verdicts import OrderVerdicts
from writing_rl.calibration.plot import draw
from writing_rl.calibration.report import spent
from writing_rl.calibration.requirements import Requirements
from writing_rl.judging.pairs import Pair
from writing_rl.judging.verdict import Verdict

LONG = "The fox ran home over the hill. It found its den and slept until the morning came."
SHORT = "Fox. Fox. Fox. Fox."


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Six labelled pairs; one has an empty text, and nothing in them is ever run."""
    prompt = "Write about a fox. $(touch evil) {__import__('os').abort()}"
    entries: list[dict[str, Any]] = [
        {
            "id": number,
            "prompt": f"{prompt} {number}",
            "response_a": LONG,
            "response_b": SHORT,
            "label": label,
        }
        for number, label in enumerate("AAAB")
    ]
    entries.append({"prompt": prompt, "response_a": SHORT, "response_b": LONG, "labels": ["B", "B", "A"]})
    entries.append({"prompt": prompt, "response_a": "", "response_b": LONG, "label": "B"})
    path = tmp_path / "in.jsonl"
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    return path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return writing_rl("judge", "calibrate", *arguments)


def row(text: str, title: str) -> list[str]:
    """The cells of a row of a plain table, less its title."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"{title}  "))
    return re.split(" {2,}", line)[1:]


def test_it_judges_goes_on_and_analyses(given: Path, tmp_path: Path) -> None:
    output, report, plot = (tmp_path / name for name in ("out.jsonl", "report.md", "plot.png"))
    ask = ("--judge", "offline", given, "--output", output)
    first = run(*ask, "--sample", "2")
    assert first.returncode == 0, first.stderr
    assert "2 pairs, 0 judged before" in first.stderr
    assert "2 pairs on 2 prompts" in first.stdout

    with open(output, "a", encoding="utf-8") as file:
        file.write('{"id": 3, "verd')
    second = run(*ask, "--report", report, "--plot", plot)
    assert second.returncode == 0, second.stderr
    assert "5 pairs, 2 judged before" in second.stderr
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert {line["id"]: (line["given"], line["swapped"]) for line in lines} == {
        **dict.fromkeys(range(4), ("A", "A")),
        5: ("B", "B"),
    }
    assert all(cell.startswith("0.800 [") for cell in row(second.stdout, "accuracy without ties"))
    assert "without a judge: 1." in second.stdout
    assert "no LLM judge" in second.stdout
    assert "position-both: not decided: about" in second.stdout
    assert "| Cohen's kappa: A, B or C | " in report.read_text()
    assert plot.read_bytes().startswith(b"\x89PNG")

    # Analysed alone it says the same, asks nobody and replaces the report.
    content = output.read_bytes()
    report.write_text("old")
    third = run(given, "--verdicts", output, "--report", report)
    assert (third.returncode, third.stdout, third.stderr) == (0, second.stdout, "")
    assert "# Judge offline against people: in.jsonl, 5 pairs on 5 prompts" in report.read_text()
    assert output.read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "in.jsonl",
        "out.jsonl",
        "plot.png",
        "report.md",
    ]


def test_what_was_unscored_is_judged_again_when_asked_for(given: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    ask = ("--judge", "offline", given, "--output", output)
    run(*ask)
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    lines[0].update(verdict=None, given=None)
    output.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    shares = [cell.split()[0] for cell in row(run(*ask).stdout, "unscored")]
    assert shares == ["20.0%", "0.0%", "20.0%"]
    again = run(*ask, "--retry-unscored")
    assert "5 pairs, 4 judged before" in again.stderr
    assert [cell.split()[0] for cell in row(again.stdout, "unscored")] == ["0.0%"] * 3


def test_requirements_are_options(given: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    options = ("--least-prompts", "1", "--least-accuracy", "0.1", "--most-unscored", "0")
    done = run("--judge", "offline", given, "--output", output, *options)
    for strategy in ("position-disadvantage", "position-advantage", "position-both"):
        assert f"{strategy}: good enough" in done.stdout
    done = run(given, "--verdicts", output, "--least-prompts", "1", "--least-accuracy", "1")
    assert "at least 1 asked" in done.stdout


def test_a_foreign_output_is_left_alone(given: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    content = '{"id": 1, "verdict": null}\n'  # that of judge_pairs.py
    output.write_text(content)
    done = run("--judge", "offline", given, "--output", output, "--retry-unscored")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"Error: {output}, line 1 is no verdict of both orders: name another file\n" in done.stderr
    assert output.read_text() == content


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "one of the arguments --output --verdicts is required"),
        (("--output", "{out}"), "no judge is set"),
        (("--verdicts", "{out}"), "out.jsonl cannot be read"),
        (("--verdicts", "{in}"), "two of the files are the same"),
        (("--verdicts", "{out}", "--report", "{in}"), "two of the files are the same"),
        (("--verdicts", "{out}", "--plot", "{out}/none/a.png"), "there is no folder"),
        (("--verdicts", "{out}", "--sample", "0"), "0 is below 1"),
        (("--verdicts", "{out}", "--most-bias", "20"), "20 is not from 0 to 1"),
    ],
)
def test_mistakes_are_said_before_anything_is_done(
    given: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    names = {"{in}": str(given), "{out}": str(tmp_path / "out.jsonl")}
    for name, path in names.items():
        options = tuple(option.replace(name, path) for option in options)
    done = run(given, *options)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize(
    ("costs", "text"),
    [
        ((0.002, 0.004), "$3.00 in both orders, $1.50 in one"),
        ((0.002, None), "unknown"),
        ((), "unknown"),
    ],
)
def test_the_cost_is_unknown_unless_all_of_it_is_known(costs: tuple[float | None, ...], text: str) -> None:
    verdicts = [OrderVerdicts("j", None, None, None, 2, 10, 1, 3.0, cost) for cost in costs]
    rows = {row[0]: row[1] for row in spent(verdicts)}
    assert rows["cost of 1,000 comparisons"] == text
    assert rows["mean latency of a call"] == ("1.50 s" if costs else "-")


@pytest.mark.parametrize("verdict", [Verdict.A, Verdict.TIE, None])
def test_a_plot_of_little_is_a_plot(tmp_path: Path, verdict: Verdict | None) -> None:
    labelled = LabelledPair(Pair(1, "p", "a", "b"), (Verdict.A,), Verdict.A)
    figures = measure([(labelled, OrderVerdicts("j", verdict, verdict, verdict))], resamples=10)
    path = tmp_path / "plot.png"
    path.write_text("old")
    draw(path, "a judge $named_{so}$", figures, Requirements())
    assert path.read_bytes().startswith(b"\x89PNG")
