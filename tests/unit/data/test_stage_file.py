from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.data.stage_file import StageFile, made_file
from writing_rl.errors import DataError, SettingError

SETTINGS: dict[str, Any] = {"stage": "test", "temperature": 0.7, "judges": ("a", "b")}
LINES = {"one": "first", "two": "zwei\u2028三😀", "three": "{text}\nof two lines"}


def number_of(entry: Mapping[str, Any]) -> Any:
    return entry["number"]


def stage(
    path: Path,
    settings: Mapping[str, Any] = SETTINGS,
    *,
    inputs: tuple[Path, ...] = (),
    keep: Callable[[Mapping[str, Any]], Any] = number_of,
    **more: Any,
) -> StageFile[Any]:
    return StageFile(path, settings, inputs, more.pop("start", {"models": ["m"]}), keep, **more)


def filled(path: Path) -> Path:
    """A file with a few lines, made by an earlier start."""
    with stage(path) as file:
        for number, (key, text) in enumerate(LINES.items()):
            file.add(key, {"number": number, "text": text})
    return path


def made(path: Path) -> Any:
    return json.loads(made_file(path).read_text(encoding="utf-8"))


def refused(path: Path, settings: Mapping[str, Any] = SETTINGS) -> str:
    """Why a file is not gone on with; it is as it was."""
    before = path.read_bytes()
    with pytest.raises((SettingError, DataError)) as error, stage(path, settings):
        pass
    assert path.read_bytes() == before
    assert "\n" not in str(error.value)
    return str(error.value)


# Going on


def test_what_was_added_is_found_by_the_next_start(tmp_path: Path) -> None:
    path = filled(tmp_path / "new" / "folder" / "out.jsonl")
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [line["key"] for line in lines] == list(LINES)
    assert [line["text"] for line in lines] == list(LINES.values())
    content = path.read_bytes()
    with stage(path) as file:
        assert file.found == {"one": 0, "two": 1, "three": 2}
    assert path.read_bytes() == content


def test_a_file_that_is_cut_anywhere_is_gone_on_with(tmp_path: Path) -> None:
    path = filled(tmp_path / "out.jsonl")
    content = path.read_bytes()
    for cut in range(len(content)):
        path.write_bytes(content[:cut])
        whole = content[:cut].count(b"\n")
        with stage(path) as file:
            assert list(file.found) == list(LINES)[:whole]
            file.add("next", {"number": 9})
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        assert [line["key"] for line in lines] == [*list(LINES)[:whole], "next"]
    assert len(content) > 100


def test_the_last_line_of_a_key_counts(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with stage(path) as file:
        for number in range(3):
            file.add("one", {"number": number})
            assert file.found == {"one": number}
    with stage(path) as file:
        assert file.found == {"one": 2}


def test_lines_that_do_not_count_are_asked_for_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with stage(path) as file:
        for key, number in [("a", 1), ("b", -1), ("c", -1), ("c", 2), ("d", 3), ("d", -1)]:
            file.add(key, {"number": number})
    content = path.read_bytes()
    with stage(path, forget=lambda entry: entry["number"] < 0) as file:
        assert file.found == {"a": 1, "c": 2}
        file.add("b", {"number": -1})
        assert file.found["b"] == -1  # this start has asked
    assert path.read_bytes().startswith(content)
    with stage(path) as file:
        assert file.found == {"a": 1, "b": -1, "c": 2, "d": -1}


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=30), max_size=6))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str]) -> None:
    path = tmp_path_factory.mktemp("stage") / "out.jsonl"
    with stage(path, keep=lambda entry: entry["text"]) as file:
        for key, text in texts.items():
            file.add(key, {"text": text})
    with stage(path, keep=lambda entry: entry["text"]) as file:
        assert file.found == texts


def test_half_a_character_does_not_spoil_the_file(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with stage(path) as file:
        file.add("one", {"number": 1, "text": "\ud83d"})
    with stage(path) as file:
        assert file.found == {"one": 1}


# How it was made


def test_every_start_is_noted_with_its_inputs(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    (prompts := tmp_path / "in.jsonl").write_text("x")
    for model in "abc":
        with stage(path, inputs=(prompts,), start={"models": [model]}) as file:
            file.add(model, {"number": 0})
    note = made(path)
    assert note["settings"] == {"stage": "test", "temperature": 0.7, "judges": ["a", "b"]}
    assert [start["models"] for start in note["starts"]] == [["a"], ["b"], ["c"]]
    digest = hashlib.sha256(b"x").hexdigest()
    assert [start["inputs"] for start in note["starts"]] == [[{"path": str(prompts), "sha256": digest}]] * 3
    assert all({"writing_rl", "python"} <= start["versions"].keys() for start in note["starts"])
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl", "out.made.json"]


def test_inputs_may_have_names_that_are_no_utf8(tmp_path: Path) -> None:
    prompts = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jsonl"))
    prompts.write_text("x")
    with stage(tmp_path / "out.jsonl", inputs=(prompts,)):
        pass
    assert len(made(tmp_path / "out.jsonl")["starts"]) == 1


def test_an_input_that_is_missing_leaves_no_file_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with pytest.raises(FileNotFoundError), stage(path, inputs=(tmp_path / "none",)):
        pass
    with stage(path) as file:
        file.add("one", {"number": 1})


@pytest.mark.parametrize(
    ("name", "settings", "before", "now"),
    [
        ("temperature", {**SETTINGS, "temperature": 1.0}, "0.7", "1.0"),
        ("judges", {**SETTINGS, "judges": ["b", "a"]}, "['a', 'b']", "['b', 'a']"),
        ("stage", {**SETTINGS, "stage": "other"}, "'test'", "'other'"),
        ("new", {**SETTINGS, "new": 1}, "None", "1"),
        ("judges", {"stage": "test", "temperature": 0.7}, "['a', 'b']", "None"),
        ("stage", {**SETTINGS, "stage": "line\n" * 1000}, "'test'", r"'line\nline"),
    ],
)
def test_a_file_of_other_settings_is_refused(
    tmp_path: Path, name: str, settings: Mapping[str, Any], before: str, now: str
) -> None:
    path = filled(tmp_path / "out.jsonl")
    note = made(path)
    message = refused(path, settings)
    assert message.startswith(f"{path} was made with {name} = {before}")
    assert f"and now it is {now}" in message
    assert len(message) < len(str(path)) + 250
    assert made(path) == note


def test_a_file_without_its_note_is_refused(tmp_path: Path) -> None:
    path = filled(tmp_path / "out.jsonl")
    made_file(path).unlink()
    assert (
        refused(path) == f"{path} has no out.made.json beside it, which says what made it: name another file"
    )
    assert not made_file(path).exists()


@pytest.mark.parametrize(
    "note", ["", "{", "[]", "null", "{}", '{"settings": 1, "starts": []}', '{"settings": {}}', "\udcff"]
)
def test_a_damaged_note_is_named(tmp_path: Path, note: str) -> None:
    path = filled(tmp_path / "out.jsonl")
    made_file(path).write_bytes(note.encode("utf-8", "surrogateescape"))
    assert refused(path).startswith(f"{made_file(path)} is damaged: ")


@pytest.mark.parametrize(
    "line",
    [
        b"no JSON",
        b'{"key": "x", "num',
        b"[]",
        b"3",
        b"null",
        b'"key"',
        b"{}",
        b'{"number": 1}',
        b'{"key": "x"}',
        b'{"key": ["x"], "number": 1}',
        b'{"key": "\xff", "number": 1}',
        b"",
    ],
)
def test_a_damaged_line_is_named_and_left_alone(tmp_path: Path, line: bytes) -> None:
    path = filled(tmp_path / "out.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], line + b"\n", *lines[1:]]))
    assert refused(path) == f"{path}, line 2 is none of this file's lines: mend or remove it"


@pytest.mark.parametrize("content", ["a note\n", "a note", '{"prompt": "Write."}\n'])
def test_a_foreign_file_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(content)
    assert "name another file" in refused(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["prompts.jsonl"]


@pytest.mark.parametrize("name", ["out.json", "out", "out.jsonl.gz", "out.parquet"])
def test_a_name_for_another_kind_of_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingError, match=r"give it a name that ends in \.jsonl"):
        stage(tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").mkdir()
    with pytest.raises(OSError, match="directory") as error, stage(tmp_path / "out.jsonl"):
        pass
    assert error.value.filename == str(tmp_path / "out.jsonl")


# Other processes, full disks, kills


def test_one_process_at_a_time(tmp_path: Path) -> None:
    path = filled(tmp_path / "out.jsonl")
    with stage(path) as file:
        assert refused(path) == f"{path} is in use by another process: wait until it ends"
        assert refused(path, {"stage": "other"}).endswith("wait until it ends")
        file.add("four", {"number": 3})
    with stage(path) as file:
        assert len(file.found) == 4


def test_a_start_that_fails_lets_the_next_one_in(tmp_path: Path) -> None:
    path = filled(tmp_path / "out.jsonl")
    refused(path, {"stage": "other"})
    with contextlib.suppress(KeyError), stage(path):
        raise KeyError
    with stage(path) as file:
        assert len(file.found) == 3


@pytest.mark.parametrize("written", [0, 1, 10])
def test_a_full_disk_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    path = filled(tmp_path / "out.jsonl")
    content = path.read_bytes()
    room = [written]

    def write(descriptor: int, data: bytes) -> int:
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data[: room.pop()])

    real = os.write
    with stage(path) as file:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write)
            with pytest.raises(OSError, match="No space left") as error:
                file.add("four", {"number": 3})
        assert not room
        assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(path))
        assert path.read_bytes() == content
        assert "four" not in file.found
        file.add("four", {"number": 4})
    with stage(path) as file:
        assert file.found["four"] == 4


def test_a_line_may_be_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    with stage(tmp_path / "out.jsonl") as file, monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
        file.add("one", {"number": 1})
    with stage(tmp_path / "out.jsonl") as file:
        assert file.found == {"one": 1}
