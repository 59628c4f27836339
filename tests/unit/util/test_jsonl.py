from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.util import jsonl
from writing_rl.util.jsonl import append, mend, read_json_lines, whole_lines


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers()), max_size=4), st.binary(max_size=9))
def test_what_was_appended_is_read_after_any_torn_end(
    tmp_path_factory: pytest.TempPathFactory, entries: list[dict[str, object]], torn: bytes
) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    append(path, entries)
    path.write_bytes(path.read_bytes() + torn.replace(b"\n", b""))
    assert mend(path) is bool(entries)
    append(path, [{"last": 1}])
    assert [entry for _, entry in read_json_lines(path)] == [*entries, {"last": 1}]
    assert len(whole_lines(path.read_bytes())) == len(entries) + 1


def test_a_missing_file_is_made_and_nothing_to_mend(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.jsonl"
    assert mend(path) is False
    append(path, [{"a": "\ud800"}], sync=True)
    assert json.loads(path.read_bytes()) == {"a": "?"}


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    append(path, [{"a": 1}])
    before, write = path.read_bytes(), os.write

    def full(file: int, content: bytes) -> int:
        if len(content) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, content[:10])

    monkeypatch.setattr(jsonl.os, "write", full)
    with pytest.raises(OSError, match="No space left") as error:
        append(path, [{"text": "x" * 100}])
    assert error.value.filename == str(path)
    assert path.read_bytes() == before
