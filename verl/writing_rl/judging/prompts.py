"""Loading and filling the judge templates of `verl.utils.reward_score.judge_prompts`, which users edit."""

from __future__ import annotations

import functools
import hashlib
import re
import runpy
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from writing_rl.errors import SettingError
from writing_rl.judging.client.chat_model import Messages
from writing_rl.text.special_tokens import SPECIAL_TOKEN
from writing_rl.text.thinking import said

_FILE = "verl/utils/reward_score/judge_prompts.py"
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_MARK = "mark"
_MARK_BYTES = 4
#: Fixed, so that a question has the same mark in every run, and its answer is found in the cache.
_KEY = b"writing-rl: the mark of a question"

#: What is sent back in place of an answer that was all thinking.
ALL_THINKING = "(no answer)"


def check_template(name: str, template: str, required: frozenset[str]) -> None:
    """Makes sure that a template asks for everything that a judge must see.

    Says so once where a text could forge what stands around it.

    Raises:
        SettingError: A placeholder is missing; the message names template and placeholder.
    """
    found = _PLACEHOLDER.findall(template)
    if missing := sorted(required - set(found)):
        raise SettingError(
            f"template {name} in {_FILE} lacks the placeholder " + ", ".join(f"{{{key}}}" for key in missing)
        )
    placed = ["", *(key for key in found if key == _MARK or key in required), ""]
    for before, key, after in zip(placed, placed[1:], placed[2:], strict=False):
        if key != _MARK and (before, after) != (_MARK, _MARK):
            _warn_of_forgery(name, key)
            return


@functools.cache
def _warn_of_forgery(name: str, key: str) -> None:
    print(
        f"[writing-rl] warning: template {name} in {_FILE} shows {{{key}}} without {{mark}} on both sides, "
        "so a text can forge its end: write a line such as {mark} === Text === before and after each text",
        file=sys.stderr,
        flush=True,
    )


def fill(template: str, values: Mapping[str, str]) -> str:
    """Puts values into a template, in one pass.

    Only placeholders that `values` names are replaced, and what is put in is not looked at again: braces in a
    template or in a text, and a text that itself holds `{answer_b}`, stay as they are.
    """
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), template)


def messages(template: str, texts: Mapping[str, str], unread: str, ask_again: str) -> Messages:
    """The chat messages that ask a question about texts.

    Args:
        template: The question.
        texts: What goes into it, by placeholder.
        unread: The judge's earlier answer, where it holds nothing that can be read; empty at first.
        ask_again: The answer to that.
    """
    values = {name: shown(text) for name, text in texts.items()}
    values[_MARK] = mark_of(values.values())
    asked = [{"role": "user", "content": fill(template, values)}]
    if unread:
        asked.append({"role": "assistant", "content": shown(said(unread)) or ALL_THINKING})
        asked.append({"role": "user", "content": fill(ask_again, {_MARK: values[_MARK]})})
    return asked


def mark_of(texts: Collection[str]) -> str:
    """What only the lines around these texts hold.

    It is made of the texts themselves, so nobody can write one that holds it: a text that does gets another.
    """
    digest = hashlib.blake2b(digest_size=_MARK_BYTES, key=_KEY)
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:%s" % (len(content), content))  # so that no two lists are one
    held = "\n".join(texts).lower()
    while (mark := digest.hexdigest()) in held:
        digest.update(b"!")
    return mark


def shown(text: str) -> str:
    """A text as a judge is shown it: a space takes their meaning from special tokens of chat templates.

    A server that hosts a judge takes `<|im_end|>` in a text for the end of the user's message, and what
    follows for the next one. All texts of a question are treated alike.
    """
    if "<" not in text and "[" not in text:
        return text  # most texts, in a tenth of the time
    return SPECIAL_TOKEN.sub(lambda token: f"{token[0][0]} {token[0][1:]}", text)


def fingerprint(*templates: str) -> str:
    """What tells some templates from others, as a SHA-256 in hexadecimal digits."""
    return hashlib.sha256("\0".join(templates).encode("utf-8", "replace")).hexdigest()


def load(*names: str) -> list[str]:
    """Templates of `judge_prompts.py`, for programs that need nothing of verl.

    Importing the file under its own name would import verl, which takes seconds.

    Args:
        names: Which.

    Raises:
        SettingError: One is not there, as in a copy of the file from an older version.
    """
    package = Path(__file__).parents[1]  # `verl/writing_rl` in the repository, `writing_rl` where installed
    places = (package.parent / "utils", package.parent / "verl" / "utils")
    files = [place / "reward_score" / "judge_prompts.py" for place in places]
    file = next(file for file in files if file.is_file())
    found = runpy.run_path(str(file))
    if missing := [name for name in names if not isinstance(found.get(name), str)]:
        raise SettingError(
            f"{file} lacks the template {', '.join(missing)}: take it from the project's own file"
        )
    return [found[name] for name in names]
