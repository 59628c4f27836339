from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from writing_rl.curriculum.index_file import IndexText, check_index, read_index, write_index
from writing_rl.errors import IndexFileError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "running_file" / "index_test.json"


def put(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def message_of_reading(path: Path) -> str:
    with pytest.raises(IndexFileError) as error:
        read_index(path)
    return str(error.value)


@settings(max_examples=30, deadline=None)
@given(indexes=st.dictionaries(st.integers(0, 10**9).map(str), st.integers(0, 99)))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, indexes: dict[str, int]) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.json"
    write_index(path, indexes)
    assert read_index(path) == indexes
    assert list(read_index(path)) == sorted(indexes, key=int)


def test_the_file_is_the_originals_format_and_easy_to_read(path: Path) -> None:
    write_index(path, {"10": 0, "9": 3, "100": 1})
    assert path.read_text() == '{\n"9": 3,\n"10": 0,\n"100": 1\n}\n'
    assert json.loads(path.read_text()) == {"9": 3, "10": 0, "100": 1}


@pytest.mark.parametrize("key", ["-1", "sample-a", "²", "ä"])
def test_keys_that_are_no_numbers_are_written_too(path: Path, key: str) -> None:
    write_index(path, {key: 1, "2": 0})
    assert read_index(path) == {key: 1, "2": 0}


def test_a_person_may_edit_the_file(path: Path) -> None:
    put(path, '{ "1" : 2,\n\t"0":0 }')
    assert read_index(path) == {"1": 2, "0": 0}


def test_a_missing_file_names_the_script_that_makes_it(path: Path) -> None:
    assert message_of_reading(path) == f"{path} does not exist: make it with writing-rl index create"


@pytest.mark.parametrize("content", ["", "{", '{"0": 1', "{'0': 1}", "0: 1", b"\xff\xfe{"])
def test_a_file_that_is_not_json_is_named(path: Path, content: str | bytes) -> None:
    put(path, content)
    message = message_of_reading(path)
    assert message.startswith(f"{path} is not JSON (")
    assert message.endswith("): mend it, or start over with writing-rl index create --reset")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "kind"), [("[0, 1]", "list"), ("3", "int"), ('"x"', "str"), ("null", "NoneType")]
)
def test_a_file_that_is_no_object_is_named(path: Path, content: str, kind: str) -> None:
    put(path, content)
    assert message_of_reading(path) == f"{path} must hold one JSON object of ids and indexes, not a {kind}"


@pytest.mark.parametrize("index", ["1.5", "1.0", "true", "null", '"1"', "[1]", "{}", "NaN"])
def test_an_index_that_is_no_whole_number_names_its_id(path: Path, index: str) -> None:
    put(path, f'{{"3": 0, "12": {index}}}')
    assert message_of_reading(path) == f"{path}, id 12: the index is {index}, it must be a whole number"


def test_a_negative_index_names_its_id(path: Path) -> None:
    put(path, '{"3": 0, "12": -1}')
    assert message_of_reading(path) == f"{path}, id 12: the index is -1, the lowest is 0"


def test_a_folder_in_the_files_place_is_named(path: Path) -> None:
    path.mkdir(parents=True)
    assert message_of_reading(path) == f"{path} cannot be read: Is a directory"


def test_an_unknown_id_is_named(path: Path) -> None:
    with pytest.raises(IndexFileError) as error:
        check_index(path, {"0": 0, "8": 0}, {"0": 1})
    assert str(error.value) == f"{path}, id 8: the training data has no such sample; is this its index file?"


def test_an_index_past_the_last_reference_is_named(path: Path) -> None:
    with pytest.raises(IndexFileError) as error:
        check_index(path, {"0": 2, "8": 3}, {"0": 3, "8": 3})
    assert str(error.value) == (
        f"{path}, id 8: the index is 3, but the sample has 3 reference(s), so the highest is 2"
    )


def test_a_file_that_belongs_to_the_data_passes(path: Path) -> None:
    check_index(path, {"0": 2}, {"0": 3, "8": 3})


def fail_with_a_full_disk(*args: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    write_index(path, {"0": 1})
    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail_with_a_full_disk)
        with pytest.raises(IndexFileError) as error:
            write_index(path, {"0": 2})
    assert str(error.value) == f"{path} cannot be written: No space left on device"
    assert read_index(path) == {"0": 1}
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "index.json"
    with pytest.raises(IndexFileError) as error:
        write_index(path, {"0": 0})
    assert str(error.value).startswith(f"{path} cannot be written: ")


def test_a_new_file_can_be_read_by_others_and_an_old_one_keeps_its_mode(path: Path) -> None:
    write_index(path, {"0": 0})
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    path.chmod(0o660)
    write_index(path, {"0": 1})
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


@given(
    st.dictionaries(st.from_regex(r"\A[0-9]{1,3}\Z") | st.text(max_size=3), st.integers(0, 12), min_size=1),
    st.data(),
)
def test_a_content_that_is_brought_up_to_date_is_that_of_a_new_one(
    indexes: dict[str, int], data: st.DataObject
) -> None:
    text = IndexText(indexes)
    for _ in range(3):
        changed = data.draw(st.dictionaries(st.sampled_from(sorted(indexes)), st.integers(0, 120)))
        before = {key: indexes[key] for key in changed}
        indexes.update(changed)
        text.update(indexes, before)
        assert bytes(text) == bytes(IndexText(indexes))
        assert json.loads(bytes(text)) == indexes
