from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

from tests.commands import writing_rl
from writing_rl import __version__
from writing_rl.cli import COMMANDS, GROUPS, hyphenated


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_options_and_examples(name: str, tmp_path: Path) -> None:
    done = writing_rl(*name.split(), "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: writing-rl {name} ")
    assert f"writing-rl {name}" in done.stdout.partition("examples:")[2]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_spelt_with_hyphens(name: str) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    importlib.import_module(f"writing_rl.cli.{COMMANDS[name].module}").add_arguments(parser)
    options = [option for action in parser._actions for option in action.option_strings]
    assert [option for option in options if "_" in option] == []
    assert not {"--out", "--input"} & set(options)


def test_the_overview_names_every_command() -> None:
    done = writing_rl("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert [name for name in COMMANDS if f"  {name} " not in done.stdout] == []


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_a_group_names_its_commands(group: str) -> None:
    done = writing_rl(group, "--help")
    assert done.returncode == 0
    shown = {name for name in COMMANDS if f"  {name} " in done.stdout}
    assert shown == {name for name in COMMANDS if name.startswith(f"{group} ")}
    assert (writing_rl(group).returncode, writing_rl(group).stdout) == (2, "")


@pytest.mark.parametrize(
    ("words", "guess"),
    [
        (["trian"], "there is no command 'trian': did you mean train?"),
        (["data", "prepar"], "there is no command 'data prepar': did you mean data prepare?"),
        (["xyzzy"], "there is no command 'xyzzy': see writing-rl --help"),
    ],
)
def test_a_mistyped_command_is_guessed(words: list[str], guess: str) -> None:
    done = writing_rl(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert guess in done.stderr


def test_the_version() -> None:
    assert writing_rl("--version").stdout == f"writing-rl {__version__}\n"


def test_underscores_are_hyphens_in_options_alone() -> None:
    words = ["--max_tokens=8_0", "a_b", "--base-url", "x_y", "--", "--not_an_option"]
    assert hyphenated(words) == ["--max-tokens=8_0", "a_b", "--base-url", "x_y", "--", "--not_an_option"]
    assert writing_rl("index", "create", "--data_num", "0").returncode == 2


def test_output_dir_moves_what_runs_leave(tmp_path: Path) -> None:
    place = {**os.environ, "OUTPUT_DIR": str(tmp_path / "elsewhere")}
    done = writing_rl("index", "create", "--data-num", "3", cwd=tmp_path, env=place)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]
    index = tmp_path / "elsewhere" / "running_file" / "index_writing-rl.json"
    assert index.is_file()
    assert str(index) in writing_rl("index", "show", cwd=tmp_path, env=place).stdout
    for command, folder in (("report", "logs"), ("export", "checkpoints")):
        done = writing_rl(command, "--experiment", "x", cwd=tmp_path, env=place)
        assert done.returncode == 1
        assert str(tmp_path / "elsewhere" / folder) in done.stderr or command == "report"
