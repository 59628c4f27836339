"""Reading files of raw prompts, one a line, and joining the lines of the same prompt.

`{"prompt": str, "responses": [{"model": str?, "text": str, "score": number?}], "criteria": str?,
"source": str?, "system": str?, "truncated": bool?}`

`truncated` says that its responses were cut off at a limit of tokens; it may also stand in a single response.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from writing_rl.errors import DataError
from writing_rl.text.similarity import same_text
from writing_rl.text.thinking import judged_text
from writing_rl.util.fields import optional_text, shown, text_of
from writing_rl.util.jsonl import read_json_lines

#: What a line may say about a prompt besides the prompt and its responses.
REMARKS = ("criteria", "source", "system")


@dataclass(frozen=True, slots=True)
class Response:
    """One text that some model or person wrote.

    Attributes:
        text: The text, without a thinking part and without surrounding white space; never empty.
        model: Who wrote it, where that is known.
        score: Its quality, where that is known.
        place: File and line, for messages.
        truncated: Whether it was cut off at a limit of tokens.
    """

    text: str
    model: str | None
    score: float | None
    place: str
    truncated: bool = False


@dataclass(slots=True)
class RawPrompt:
    """A prompt with all responses to it.

    Attributes:
        id: How many other prompts stand before it in the input.
        prompt: The writing task.
        responses: The responses, in the order of the input.
        criteria: What the judge judges by.
        source: Where the prompt is from.
        system: Its own system message; empty for none, None for the default.
    """

    id: int
    prompt: str
    responses: list[Response]
    criteria: str | None = None
    source: str | None = None
    system: str | None = None


@dataclass
class RawInput:
    """What input files hold.

    Attributes:
        prompts: The prompts, all different.
        lines: How many lines held a prompt.
        joined: How many of these had a prompt that stood before.
        conflicts: How many of those differ from the earlier line in what they say about the prompt.
        empty_responses: Responses without a text, which are left out.
        truncated_responses: Responses that were cut off, which are left out unless they are asked for.
        sha256: The files with their checksums.
    """

    prompts: list[RawPrompt] = field(default_factory=list)
    lines: int = 0
    joined: int = 0
    conflicts: int = 0
    empty_responses: int = 0
    truncated_responses: int = 0
    sha256: dict[str, str] = field(default_factory=dict)


def read_raw_prompts(paths: Iterable[Path], *, keep_truncated: bool = False) -> RawInput:
    """Reads and checks files of prompts.

    Lines whose prompts differ only in white space and case are one prompt: it has the responses of all of
    them, so that a file for each model can be given. All else is taken from the first line that says it.

    A response is stored as the judge would see it if the policy wrote it: without its thinking part. A
    reference with one would be another kind of text than what it is compared with.

    Args:
        paths: The files.
        keep_truncated: Whether responses that were cut off count like others.

    Raises:
        DataError: A file cannot be read, or a line cannot be used; the message names it, counted from 1.
    """
    found = RawInput()
    known: dict[str, RawPrompt] = {}
    for path in paths:
        digest = hashlib.sha256()
        for number, entry in read_json_lines(path, digest):
            place = f"{path}, line {number}"
            prompt = text_of(entry, "prompt", place)
            if not prompt.strip():
                raise DataError(f"{place}: 'prompt' is empty")
            responses = _responses(entry, place)
            written = [response for response in responses if response.text]
            cut_off = sum(response.truncated for response in written)
            if not keep_truncated:
                written = [response for response in written if not response.truncated]
            found.lines += 1
            found.empty_responses += sum(not response.text for response in responses)
            found.truncated_responses += cut_off
            remarks = {name: optional_text(entry, name, place) for name in REMARKS}
            # The judge has a default for no criteria, and none for empty ones.
            remarks["criteria"] = (remarks["criteria"] or "").strip() or None
            key = same_text(prompt)
            if (earlier := known.get(key)) is None:
                known[key] = RawPrompt(len(found.prompts), prompt, written, **remarks)
                found.prompts.append(known[key])
                continue
            found.joined += 1
            found.conflicts += _join(earlier, written, remarks)
        found.sha256[str(path)] = digest.hexdigest()
    return found


def _join(earlier: RawPrompt, responses: list[Response], remarks: Mapping[str, str | None]) -> bool:
    """Adds a later line to a prompt, and tells whether it contradicts what is known."""
    earlier.responses.extend(responses)
    conflict = False
    for name, value in remarks.items():
        known = getattr(earlier, name)
        if known is None:
            setattr(earlier, name, value)
        elif value is not None and value != known:
            conflict = True
    return conflict


def _responses(entry: Mapping[str, Any], place: str) -> list[Response]:
    if not isinstance(entry.get("responses"), list):
        what = (
            f"'responses' is {shown(entry['responses'])}"
            if "responses" in entry
            else "'responses' is missing"
        )
        raise DataError(f"{place}: {what}, it must be a list of objects with a 'text'")
    responses = []
    all_truncated = _truncated(entry, place)
    for position, response in enumerate(entry["responses"]):
        where = f"{place}, response {position + 1}"
        if not isinstance(response, dict):
            raise DataError(f"{where} is {shown(response)}, it must be an object with a 'text'")
        text = judged_text(text_of(response, "text", where))
        model = optional_text(response, "model", where)
        truncated = all_truncated or _truncated(response, where)
        responses.append(Response(text, model, _score(response.get("score"), where), place, truncated))
    return responses


def _truncated(entry: Mapping[str, Any], where: str) -> bool:
    value = entry.get("truncated")
    if value is None or isinstance(value, bool):
        return bool(value)
    raise DataError(f"{where}: 'truncated' is {shown(value)}, it must be true or false")


def _score(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            if math.isfinite(number := float(value)):
                return number
        except OverflowError:
            pass
    raise DataError(f"{where}: 'score' is {shown(value)}, it must be a finite number")
