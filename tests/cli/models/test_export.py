"""Exporting checkpoints, with a small script in the place of verl's merger."""

from __future__ import annotations

import json
import os
import struct
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from writing_rl.cli import main
from writing_rl.errors import SettingError, SetupError
from writing_rl.models import export as module
from writing_rl.models.export import NOTE, export, find_checkpoint
from writing_rl.models.inspect_folder import Contents

#: What stands for verl's merger: it copies a finished model, and fails as the environment says.
MERGER = textwrap.dedent("""\
    import os, shutil, signal, sys

    assert sys.argv[1:4] == ["merge", "--backend", "fsdp"], sys.argv
    actor, target = sys.argv[5], sys.argv[7]
    assert os.path.isfile(os.path.join(actor, "fsdp_config.json"))
    shutil.copytree(os.environ["FAKE_MODEL"], target)
    for name in os.environ.get("FAKE_LACKS", "").split():
        os.remove(os.path.join(target, name))
    if os.environ.get("FAKE_KILLED"):
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(os.environ.get("FAKE_ERROR") or 0)
    """)


def write_weights(path: Path, dtype: str = "BF16", tail: bytes = b"") -> None:
    """A file of safetensors with one tensor of two by three."""
    size = 6 * {"BF16": 2, "F32": 4}[dtype]
    tensor = {"dtype": dtype, "shape": [2, 3], "data_offsets": [0, size]}
    header = json.dumps({"__metadata__": {"format": "pt"}, "weight": tensor}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(size) + tail)


def write_model(folder: Path, weights: str = "model.safetensors") -> Path:
    from tokenizers import Tokenizer, models

    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "qwen2"}')
    Tokenizer(models.WordLevel({"[UNK]": 0, "sea": 1, "ship": 2}, unk_token="[UNK]")).save(
        str(folder / "tokenizer.json")
    )
    tokenizer = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": "{{ messages }}"}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    write_weights(folder / weights)
    return folder


def write_checkpoint(checkpoints: Path, experiment: str, *steps: int, shards: int = 2) -> None:
    for step in steps:
        actor = checkpoints / experiment / f"global_step_{step}" / "actor"
        (actor / "huggingface").mkdir(parents=True)
        (actor / "huggingface" / "config.json").write_text("{}")
        (actor / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 2, "world_size": shards}))
        for rank in range(shards):
            (actor / f"model_world_size_{shards}_rank_{rank}.pt").touch()
    (checkpoints / experiment / "latest_checkpointed_iteration.txt").write_text(str(max(steps)))


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two experiments; this is the current folder."""
    monkeypatch.chdir(tmp_path)
    write_checkpoint(tmp_path / "checkpoints", "my-writer", 9, 10, 100)
    write_checkpoint(tmp_path / "checkpoints", "other", 5)
    return Path("checkpoints")


@pytest.fixture
def merger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The script in the merger's place; returns the folder of its logs."""
    (tmp_path / "merger.py").write_text(MERGER)
    monkeypatch.setattr(module, "MERGER", (sys.executable, str(tmp_path / "merger.py")))
    monkeypatch.setenv("FAKE_MODEL", str(write_model(tmp_path / "finished")))
    (logs := tmp_path / "merger-logs").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(logs))
    return logs


# Exporting


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_model_comes_with_a_note(checkpoints: Path, merger: Path) -> None:
    checkpoint = find_checkpoint(checkpoints, "my-writer", 10)
    out = checkpoint.default_out
    contents = export(checkpoint, out, "org/base")
    assert contents == Contents(
        size=(out / "model.safetensors").stat().st_size,
        parameters=6,
        dtype="bfloat16",
        vocabulary=contents.vocabulary,
        has_chat_template=True,
        has_adapter=False,
    )
    assert names(out) == [
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "writing_rl.json")
    ]
    note = json.loads((out / NOTE).read_text())
    assert (note["experiment"], note["step"], note["base_model"]) == ("my-writer", 10, "org/base")
    assert note["versions"]["verl"] == "0.9.1"
    assert {oct(path.stat().st_mode & 0o777) for path in out.iterdir()} == {"0o644"}
    assert oct(out.stat().st_mode & 0o777) == "0o755"
    assert names(out.parent) == ["my-writer-step-10"]
    assert not list(merger.glob("*.log"))
    assert not checkpoint.is_newer_than(out)
    os.utime(checkpoint.shards[1], (2e9, 2e9))
    assert checkpoint.is_newer_than(out)


def test_nothing_is_replaced_unless_it_was_asked_for(checkpoints: Path, merger: Path) -> None:
    checkpoint = find_checkpoint(checkpoints, "my-writer")
    out = Path("models/mine")
    out.mkdir(parents=True)
    export(checkpoint, out)  # an empty folder is nothing
    (out / "more").touch()
    with pytest.raises(
        SettingError, match="models/mine exists already: name another --output, or replace it"
    ):
        export(checkpoint, out)
    assert (out / "more").exists()
    export(checkpoint, out, force=True)
    assert "more" not in names(out)
    assert names(out.parent) == ["mine"]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("FAKE_ERROR", "Traceback\n  x\nValueError: one\nOSError: no room\nbye", "OSError: no room"),
        ("FAKE_ERROR", "torch.OutOfMemoryError: big", "torch.OutOfMemoryError: big"),
        ("FAKE_ERROR", "something\nelse\n", "else"),
        ("FAKE_ERROR", "3", "3"),
        ("FAKE_KILLED", "1", "it was killed, probably because the memory is full"),
    ],
)
def test_a_merger_that_fails_leaves_its_log_and_nothing_else(
    checkpoints: Path,
    merger: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    said: str,
) -> None:
    checkpoint = find_checkpoint(checkpoints, "my-writer")
    export(checkpoint, Path("models/mine"))
    before = (Path("models/mine") / NOTE).read_bytes()
    monkeypatch.setenv(variable, value)
    with pytest.raises(SetupError) as error:
        export(checkpoint, Path("models/mine"), "another/base", force=True)
    (log,) = merger.glob("*.log")
    assert str(error.value) == f"verl's merger cannot export {checkpoint.actor}: {said} (its log: {log})"
    assert names(Path("models")) == ["mine"]
    assert (Path("models/mine") / NOTE).read_bytes() == before


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ("model.safetensors", "has no weights"),
        ("config.json", "configuration or tokenizer cannot be loaded"),
        ("tokenizer.json", "has no tokenizer"),
    ],
)
def test_a_model_that_is_not_whole_does_not_appear(
    checkpoints: Path, merger: Path, monkeypatch: pytest.MonkeyPatch, lacking: str, said: str
) -> None:
    monkeypatch.setenv("FAKE_LACKS", lacking)
    with pytest.raises(SetupError, match=said) as error:
        export(find_checkpoint(checkpoints, "my-writer"), Path("models/mine"))
    assert "\n" not in str(error.value)
    assert names(Path("models")) == []


def test_an_older_folder_is_back_where_the_new_one_cannot_take_its_place(
    checkpoints: Path, merger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, out = find_checkpoint(checkpoints, "my-writer"), Path("models/mine")
    export(checkpoint, out)
    (out / "older").touch()
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name == "model":
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="no"):
        export(checkpoint, out, force=True)
    assert (out / "older").exists()
    assert names(out.parent) == ["mine"]


# The script


@pytest.fixture
def start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[Any, str]]:
    """Starts the script within this process; gives its exit code or last words, and its output."""

    def started(*arguments: str) -> tuple[Any, str]:
        code: Any = 0
        try:
            main(["export", *arguments])
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr().out

    return started


def test_the_script_says_what_it_wrote(
    checkpoints: Path, merger: Path, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = start("--experiment", "my-writer", "--step", "9")
    assert code == 0
    assert said.startswith("models/my-writer-step-9: 0.0 MB, 6 parameters in bfloat16, a tokenizer of ")
    assert "  vllm serve models/my-writer-step-9" in said
    monkeypatch.setenv("EXPERIMENT_NAME", "other")
    code, said = start("--out", "elsewhere")
    assert (code, json.loads(Path("elsewhere", NOTE).read_text())["experiment"]) == (0, "other")
    assert start("--out", "elsewhere")[0].startswith("Error: elsewhere exists already")
    assert start("--out", "elsewhere", "--force")[0] == 0
    assert start("--experiment", "no")[0].startswith("Error: checkpoints holds no experiment 'no'; it holds")
    assert start("--out", "merger.py/x")[0] == "Error: merger.py: File exists"
