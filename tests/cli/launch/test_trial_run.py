from __future__ import annotations

import sys
from pathlib import Path

import pytest

from writing_rl.errors import RunFailure
from writing_rl.launch import trial_run
from writing_rl.launch.trial_run import TrialFolder, train


def training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> TrialFolder:
    """A folder whose training is some code in the place of `writing_rl.launch.main`."""
    package = tmp_path / "stand-in" / "writing_rl" / "launch"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "main.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(package.parents[1]))
    return TrialFolder(tmp_path)


def test_a_training_stays_in_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = training(monkeypatch, tmp_path, "import sys; print(*sys.argv[1:], sep='\\n')")
    train("one", folder, ["a=1"], {})
    said = (tmp_path / "one.log").read_text().splitlines()
    assert said[0] == "a=1"
    for setting in ("writing_rl.index_file", "writing_rl.log_dir", "trainer.default_local_dir"):
        assert any(line.startswith(f"{setting}='{tmp_path}") for line in said)


def test_only_lines_of_ours_are_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = training(monkeypatch, tmp_path, "print('noise'); print('(pid=1) [writing-rl] step 1')")
    train("one", folder, [], {})
    assert capsys.readouterr().out == "  step 1\n"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("print('Error: no model'); print('more')", "no model"),
        ("raise ValueError('no such thing')", "ValueError: no such thing"),
        ("print('only this')\nraise SystemExit(3)", "only this"),
        ("raise SystemExit(3)", "it said nothing"),
    ],
)
def test_a_failure_is_one_line_with_the_reason_and_the_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, reason: str
) -> None:
    folder = training(monkeypatch, tmp_path, f"{said}\nraise SystemExit(1)" if "Error: " in said else said)
    with pytest.raises(RunFailure) as error:
        train("one", folder, [], {})
    assert (
        str(error.value) == f"the one run failed ({reason}); everything it said is in {tmp_path / 'one.log'}"
    )


def test_a_training_is_watched_while_it_runs_and_ended_when_the_watch_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(trial_run, "INTERVAL_S", 0.05)
    folder = training(monkeypatch, tmp_path, "import time; time.sleep(600)")
    seen: list[int] = []

    def watch(pid: int) -> None:
        seen.append(pid)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("one", folder, [], {}, watch)
    assert len(set(seen)) == 1
    assert not Path(f"/proc/{seen[0]}").exists()


def test_this_python_runs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = training(monkeypatch, tmp_path, "import sys; print(sys.executable)")
    train("one", folder, [], {})
    assert (tmp_path / "one.log").read_text().strip() == sys.executable
