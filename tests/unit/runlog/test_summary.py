from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from writing_rl.runlog import summary

VALIDATION = "val-aux/writing/win/mean@1"


def figures(
    reward: float, *, reference: float = 0.0, unscored: float = 0.0, seconds: float = 2.0
) -> dict[str, float]:
    return {
        "critic/score/mean": reward,
        "writing_rl/win_rate": reward / 2,
        "writing_rl/unscored_rate": unscored,
        "writing_rl/reference_index/mean": reference,
        "timing_s/step": seconds,
    }


def log(folder: Path, name: str, steps: dict[int, dict[str, Any]]) -> Path:
    path = folder / "metrics" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"step": step, "data": data}) + "\n" for step, data in steps.items()))
    return path


def test_steps_of_all_starts_are_read_in_order(tmp_path: Path) -> None:
    log(tmp_path, "20260102-000000.jsonl", {3: figures(0.3), 4: figures(0.4)})
    log(
        tmp_path,
        "20260101-000000.jsonl",
        {0: {VALIDATION: 0.1}, 1: figures(0.1), 2: figures(0.2), 3: figures(0.9)},
    )
    steps = summary.read_metrics(tmp_path)
    assert [step["step"] for step in steps] == [0, 1, 2, 3, 4]
    assert [step.get("critic/score/mean") for step in steps] == [None, 0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize("torn", ['{"step": 2, "da', "{", '{"step": 2, "data": {"critic/score/mean": 0.'])
def test_a_torn_last_line_is_left_out(tmp_path: Path, torn: str) -> None:
    path = log(tmp_path, "a.jsonl", {1: figures(0.1)})
    path.write_text(path.read_text() + torn)
    assert [step["step"] for step in summary.read_metrics(tmp_path)] == [1]


def test_a_folder_without_figures_has_no_steps(tmp_path: Path) -> None:
    assert summary.read_metrics(tmp_path) == []


def test_the_name_of_validations_win_rate() -> None:
    metrics = {"val-aux/writing/score/mean@1": 1.0, "val-core/writing/win/mean@1": 2.0, VALIDATION: 3.0}
    assert summary.validation_key(metrics) == VALIDATION
    assert summary.validation_key({"critic/score/mean": 1.0}) is None


def test_a_summary_names_start_and_end(tmp_path: Path) -> None:
    steps = {step: figures(step / 10, reference=step / 100, unscored=0.25) for step in range(1, 9)}
    steps[0] = {VALIDATION: 0.125}
    steps[8][VALIDATION] = 0.875
    log(tmp_path, "a.jsonl", steps)
    text = summary.summarize(summary.read_metrics(tmp_path), "judge-1")
    lines = text.splitlines()
    assert lines[0] == "8 training steps, 2.0 s each (median)"
    values = {line[2:54].strip(): line[54:].split() for line in lines[2:-1]}
    assert values == {
        "validation: win rate against the fixed reference": ["0.125", "->", "0.875"],
        "training: mean reference index": ["0.010", "->", "0.080"],
        "training: mean reward (first and last 4 steps)": ["0.250", "->", "0.650"],
        "training: win rate (first and last 4 steps)": ["0.125", "->", "0.325"],
        "unscored comparisons": ["25.0%"],
    }
    assert lines[-1] == "Judged by judge-1."


def test_one_validation_is_no_change(tmp_path: Path) -> None:
    log(tmp_path, "a.jsonl", {0: {VALIDATION: 0.5}, 1: figures(0.5)})
    assert "validation" not in summary.summarize(summary.read_metrics(tmp_path), "judge-1")


def test_the_offline_judge_is_not_passed_off_as_a_model(tmp_path: Path) -> None:
    log(tmp_path, "a.jsonl", {1: figures(0.5)})
    text = summary.summarize(summary.read_metrics(tmp_path), "offline")
    assert text.endswith("Judged by the offline judge, which measures texts and is no LLM judge.")


def test_a_run_without_a_finished_step_says_so() -> None:
    assert summary.summarize([{"step": 0, VALIDATION: 0.5}], "offline") == "No training step was finished."


def test_the_command_prints_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log(tmp_path, "a.jsonl", {1: figures(0.5)})
    monkeypatch.setattr(sys, "argv", ["summary", "--log_dir", str(tmp_path), "--judge", "judge-1"])
    summary.main()
    assert capsys.readouterr().out.startswith("1 training steps, 2.0 s each (median)\n")


def test_the_command_says_where_nothing_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["summary", "--log_dir", str(tmp_path), "--judge", "judge-1"])
    with pytest.raises(SystemExit) as error:
        summary.main()
    assert error.value.code == f"Error: {tmp_path} holds no figures of a run"
