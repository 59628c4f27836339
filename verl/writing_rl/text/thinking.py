"""What a model says outside of its thinking. Pure functions, linear in the length of a text.

Models mark their thinking in several ways, and a chat template may open it in the prompt, so that the text
holds only the closing tag. Two kinds of tags are told apart:

- Tags that models are trained to write, such as `<think>`, `<seed:think>`, `[THINK]` or the channels of
  gpt-oss. They count in every text.
- Words that a prompt may have made a tag of, such as `<reasoning>` or `<scratchpad>`. They count in a
  judge's answer, where a verdict too few costs a retry. A story may use them, so they are text in a
  policy's response, unless it begins with one.
"""

from __future__ import annotations

import re
import unicodedata

_WORD = r"think|thinking|thought"
_MADE_WORD = (
    r"thoughts|thought_process|reasoning|reason|analysis|reflection|rationale|deliberation|scratch_?pad|"
    r"inner_?(?:monologue|thoughts?)|chain_of_thoughts?|cot"
)
_ATTRIBUTES = r"(?:\s[^<>]{0,200})?(?<!/)"


def _tags(words: str) -> tuple[str, str]:
    """The opening and the closing tag of some words, with any prefix such as `seed:`."""
    name = rf"(?:[a-z]{{1,16}}:)?(?:ant)?(?:{words})"
    return rf"<\s?{name}{_ATTRIBUTES}>", rf"<\s?/\s?{name}\s?>"


_OPEN, _CLOSE = _tags(_WORD)
_MADE_OPEN, _MADE_CLOSE = _tags(_MADE_WORD)
#: An answer's channel ends all thinking (gpt-oss, and Gemma's tokens); each other one begins some.
_FINAL = r"<\|channel\|?>\s?final(?:(?:[^<]|<\|constrain\|>){0,100}<\|message\|>)?"
_ENDS_OF_MESSAGES = re.compile(r"<\|(?:end|return|call)\|>|<\|start\|>assistant")
_OPENINGS = (
    _OPEN,
    r"<\|(?:begin_of_|start_of_|start_)?(?:thought|thinking|think)(?:_start)?\|>",
    r"(?-i:\[THINK\])",
    r"◁(?:think)▷",
    r"<unused(?:94)>",
    r"<\|channel\|?>\s?(?!final)\w",
)
_CLOSINGS = (
    _CLOSE,
    r"<\|(?:/|end_of_|end_)(?:thought|thinking|think)\|>|<\|(?:thought|thinking|think)_end\|>",
    r"(?-i:\[/THINK\])",
    r"◁/(?:think)▷",
    r"<unused(?:95)>",
    r"<channel(?:\|)>",
)


def _reader(openings: tuple[str, ...], closings: tuple[str, ...]) -> re.Pattern[str]:
    # Each alternative begins with one of a few characters, and repeats nothing without a limit.
    return re.compile(
        rf"(?P<final>{_FINAL})|(?P<open>{'|'.join(openings)})|(?P<close>{'|'.join(closings)})", re.IGNORECASE
    )


_OF_MODELS = _reader(_OPENINGS, _CLOSINGS)
_OF_ANY = _reader(
    (*_OPENINGS, _MADE_OPEN, r"\[think(?:ing)?\]", r"&lt;think(?:ing)?&gt;"),
    (*_CLOSINGS, _MADE_CLOSE, r"\[/think(?:ing)?\]", r"&lt;/think(?:ing)?&gt;"),
)
_BEGINS_WITH_MADE = re.compile(rf"\s*{_MADE_OPEN}", re.IGNORECASE)
#: What a tag begins with. To look for this first takes a tenth of the time.
_BEGINNING = re.compile(r"[<\[◁&]")
#: Channels of gpt-oss whose special tokens were left out when the text was decoded.
_BARE_CHANNEL = re.compile(r"\s*analysis(?=[A-Z])|\s*analysis.*assistantfinal", re.DOTALL)
_BARE_FINAL = "assistantfinal"

#: Characters of other categories that show nothing: fillers of Hangul, an empty Braille cell, a null
#: notehead.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\ufffc\U0001d159")


def shows_nothing(text: str) -> bool:
    """Whether a text holds no character that can be seen.

    White space, control and format characters (zero-width ones, marks of direction, tags, soft hyphens),
    unassigned ones, and combining marks, which need something to stand on, show nothing by themselves.
    """
    if any(map(str.isalnum, text[:20])) and not _BLANK.intersection(text[:20]):
        return False  # nearly every text, without a look at the rest
    return all(
        character in _BLANK or unicodedata.category(character)[0] in "ZCM" for character in frozenset(text)
    )


def judged_text(response: str) -> str:
    """What of a policy's response is judged: its text outside of thinking; empty if that shows nothing.

    Args:
        response: The decoded response.
    """
    text = strip_thinking(response)
    return "" if shows_nothing(text) else text


def strip_thinking(response: str) -> str:
    """Removes the thinking of a policy's response.

    Args:
        response: The decoded response.

    Returns:
        The text without surrounding white space. Empty where thinking begins and does not end: what follows
        is no answer.
    """
    tags = _OF_ANY if _BEGINS_WITH_MADE.match(response) else _OF_MODELS
    text = _outside(response, tags, nested=True)
    if text is None:  # thinking may name its own tag: then the first closing tag is the one that counts
        text = _outside(response, tags, nested=False)
    return (text or "").strip()


def said(answer: str) -> str:
    """What a judge says outside of its thinking; empty where its thinking does not end.

    Args:
        answer: The judge's whole text.
    """
    return (_outside(answer, _OF_ANY, nested=True) or "").strip()


def _outside(text: str, tags: re.Pattern[str], *, nested: bool) -> str | None:
    """What stands outside of thinking; None where thinking does not end.

    Args:
        text: The text.
        tags: The tags of thinking.
        nested: Whether a tag that opens within thinking needs a closing one of its own.
    """
    if _BARE_CHANNEL.match(text):
        _, final, text = text.rpartition(_BARE_FINAL)
        return text if final else None
    kept: list[str] = []
    depth = begin = 0
    channels = False
    for beginning in _BEGINNING.finditer(text):
        tag = tags.match(text, beginning.start())
        if tag is None or tag.start() < begin:
            continue
        if tag["open"]:
            if not depth:
                kept.append(text[begin : tag.start()])
            depth = depth + 1 if nested else 1
        else:
            if tag["final"] or not depth:
                kept.clear()  # what came before was thinking, which the template has opened
            depth = 0 if tag["final"] else max(0, depth - 1)
            channels = channels or bool(tag["final"])
        begin = tag.end()
    if depth:
        return None
    outside = "".join((*kept, text[begin:]))
    return _ENDS_OF_MESSAGES.sub("", outside) if channels else outside
