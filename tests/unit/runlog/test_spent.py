from __future__ import annotations

from pathlib import Path

import pytest

from writing_rl.errors import JudgeError, SetupError
from writing_rl.judging.client.budget import Bill, Limits
from writing_rl.runlog.spent import check_budget, read_spent, spent_file, totals, write_spent

SPENT = Bill(7, 1000, 200, 0.125)


def test_the_count_is_kept_over_starts(tmp_path: Path) -> None:
    path = spent_file(str(tmp_path / "logs" / "mine"))
    assert read_spent(path) == Bill()
    write_spent(path, SPENT)
    assert read_spent(path) == SPENT
    assert [file.name for file in path.parent.iterdir()] == ["spent.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"calls": 1, "more": 2}'])
def test_a_damaged_count_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "spent.json"
    path.write_text(content)
    with pytest.raises(SetupError, match=r"spent\.json does not say what the judge has cost so far"):
        read_spent(path)


def test_a_count_that_cannot_be_written_ends_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    write_spent(tmp_path / "file" / "spent.json", SPENT)
    assert "cannot be written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        (Limits(), True),
        (Limits(max_calls=8, max_cost_usd=0.2), True),
        (Limits(max_calls=7), False),
        (Limits(max_cost_usd=0.125), False),
    ],
)
def test_a_run_needs_something_left_of_its_budget(limits: Limits, left: bool) -> None:
    if left:
        check_budget(Path("spent.json"), SPENT, limits)
        return
    with pytest.raises(JudgeError, match=r"budget is spent: .* \(spent\.json\): raise it to go on"):
        check_budget(Path("spent.json"), SPENT, limits)


def test_totals_are_metrics() -> None:
    assert totals(SPENT) == {
        "writing_rl/judge/total_calls": 7,
        "writing_rl/judge/total_tokens": 1200,
        "writing_rl/judge/total_cost_usd": 0.125,
    }
