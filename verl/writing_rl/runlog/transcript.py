"""What the judge was asked and said: one JSON line a comparison, in `logs/<experiment>/judge/`.

    pandas.read_json("logs/NAME/judge/comparisons-HOST-0001.jsonl", lines=True)

Every reward worker of a machine appends to the same file. A line is one `write` to a file opened for
appending, so lines never mix, and a kill can tear only the last one. Nothing is renamed: a file that is full
is followed by the next number.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from writing_rl.judging.compare import Comparison
from writing_rl.judging.verdict import Verdict
from writing_rl.util.console import say

#: Size after which a file is followed by the next one, in bytes.
FULL_BYTES = 256 << 20


class Transcript:
    """Appends comparisons to the transcript of this machine."""

    def __init__(self, folder: Path, *, characters: int, full_bytes: int = FULL_BYTES) -> None:
        """Opens nothing yet.

        Args:
            folder: Where the files are; made with the first line.
            characters: How much of each text is kept: of the judge's answers, of the response and of the
                reference. 0 keeps no text.
            full_bytes: Size after which a file is followed by the next one.
        """
        self._folder = folder
        self._characters = characters
        self._full_bytes = full_bytes
        self._part = 1
        self._file: int | None = None
        self._broken = False

    def write(self, comparison: Comparison, about: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        """Appends one comparison.

        A transcript that cannot be written does not end a run: it says so once and stays silent.

        Args:
            comparison: What came of it.
            about: What else is to be in the line, such as step and sample.
            texts: Texts by name; cut to the number of characters that are kept.
        """
        if self._broken:
            return
        line = _json({**about, **self._entry(comparison), **self._cut(texts)})
        try:
            os.write(self._open(), line + b"\n")
        except OSError as error:
            self._broken = True
            say(f"[writing-rl] no transcript of the judge from here on: {self._path()}: {error.strerror}")

    def _entry(self, comparison: Comparison) -> dict[str, Any]:
        return {
            "outcome": comparison.outcome.value,
            "reason": comparison.reason,
            "detail": comparison.detail,
            "flipped": comparison.flipped,
            "votes": [vote.value for vote in comparison.votes],
            "calls": [
                {
                    "judge": call.judge,
                    "order": "policy first" if call.policy_slot is Verdict.A else "reference first",
                    "verdict": call.verdict.value if call.verdict else None,
                    "latency_s": round(call.answer.latency_s, 3),
                    "prompt_tokens": call.answer.prompt_tokens,
                    "completion_tokens": call.answer.completion_tokens,
                    "cost_usd": call.answer.cost_usd,
                    "cached": call.answer.cached,
                    **self._cut({"text": call.answer.text}),
                }
                for call in comparison.calls
            ],
        }

    def _cut(self, texts: Mapping[str, str]) -> dict[str, str]:
        return {name: text[: self._characters] for name, text in texts.items()} if self._characters else {}

    def _path(self) -> Path:
        return self._folder / f"comparisons-{socket.gethostname()}-{self._part:04d}.jsonl"

    def _open(self) -> int:
        """The open file, which is not full."""
        while self._file is None or os.fstat(self._file).st_size >= self._full_bytes:
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
            else:
                os.close(self._file)
                self._part += 1
            self._file = os.open(self._path(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        return self._file


def _json(entry: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(entry)
    except TypeError:  # half of a character, say in an endpoint's message of an error
        return json.dumps(entry, ensure_ascii=False).encode("utf-8", "replace")
