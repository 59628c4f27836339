from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from writing_rl.data.stage_file import StageFile, made_file

SETTINGS: dict[str, Any] = {"stage": "test", "temperature": 0.7, "judges": ("a", "b")}


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


def made(path: Path) -> Any:
    return json.loads(made_file(path).read_text(encoding="utf-8"))


#: Adds long lines until it is killed, and says of each when it is added.
ADDER = textwrap.dedent("""\
    import os, sys, time
    from pathlib import Path
    from writing_rl.data.stage_file import StageFile

    with StageFile(Path(sys.argv[1]), {"stage": "test"}, [], {}, len) as file:
        for number in range(len(file.found), len(file.found) + 300):
            file.add(str(number), {"number": number, "text": "é" * 20_000})
            os.write(1, b"%d\\n" % number)
        time.sleep(600)
    """)


def test_a_killed_process_loses_nothing_that_was_added(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    before = 0
    for wait_s in (0.0, 0.003, 0.011):
        with subprocess.Popen(
            [sys.executable, "-c", ADDER, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as adder:
            assert adder.stdout is not None
            first = adder.stdout.readline()
            time.sleep(wait_s)  # so that it is killed at another moment each time
            adder.kill()
            said = [int(line) for line in (first + adder.stdout.read()).split(b"\n")[:-1]]
        assert said[0] == before
        with stage(path, {"stage": "test"}) as file:
            assert list(file.found) == [str(number) for number in range(len(file.found))]
            assert len(file.found) >= said[-1] + 1
            before = len(file.found)
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [line["number"] for line in lines] == list(range(before))
    assert len(made(path)["starts"]) == 6
