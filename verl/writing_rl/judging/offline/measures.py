"""A judge that needs no model: it measures texts and compares the measures.

It is for trying the whole system without a network, for tests, and for the quick start. It is no replacement
for an LLM judge: it sees whether a text is about what was asked, has the length asked for, develops, holds
together, does not repeat itself and is finished. It cannot see whether a text is true, moving or well put.

The measure knows no task. It works on words (or single characters in Chinese and Japanese), takes a few
milliseconds for a text of thousands of words, and depends on nothing but its two arguments.
"""

import math
import re
from dataclasses import dataclass
from itertools import pairwise

from writing_rl.text.asked_length import NUMBER_WORDS, asked_length

# What each part counts for. A part that does not apply to a prompt is left out, and the rest are scaled up.
WEIGHTS = {
    "coverage": 2.5,
    "length": 2.0,
    "freshness": 2.0,
    "development": 1.5,
    "cohesion": 1.5,
    "finish": 1.5,
    "variety": 1.0,
}

_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+(?:['’][^\W_{_CJK}]+)*")
_IS_CJK = re.compile(rf"[{_CJK}]")
_CLOSERS = "\"'”’»)]}）】》」』*_"
# A sentence ends at a line break, at CJK punctuation, or at Latin punctuation that a space or the end
# follows.
_SENTENCE_END = re.compile(
    rf"\n+|(?<=[。！？])[{re.escape(_CLOSERS)}]*|(?<=[.!?…])[{re.escape(_CLOSERS)}]*(?=\s|$)"
)
_TERMINALS = ".!?…。！？"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STOP_WORDS = _words(
    "a an and are as at be been but by can could did do does for from had has have how i if in into is "
    "it its let may me more most my no not of on or our out over please shall should so some such than "
    "that the their them then there these they this those to too up us very was we were what when where "
    "which while who whom why will with would you your he she him her his hers it's 的 了 在 是 和 与 "
    "及 或 也 就 都 而 把 被 让 请 一 个 这 那 我 你 他 她 它 们 以 为 之 其 于 对 中 上 下 不 有 要 写 "
    "篇 字 关"
)
# Words by which a prompt speaks about the text rather than about its subject.
_TASK_WORDS = _words(
    "about answer article chapter character characters compose composition create describe draft essay "
    "following give include letter line lines long novel paragraph paragraphs passage piece poem response "
    "scene sentence sentences short story stories tale tell text topic use using words word write writing "
    "written 文章 作文 故事 小说 左右 以内 以上 以下 不少 少于 不超 超过 主题 题目 要求"
)
# A sentence that opens the way back to the one before, even where it repeats none of its words.
_LINKS = _words(
    "he she it they him her them his hers its their this that these those i we you my our me us "
    "他 她 它 们 这 那 此 其 我 你"
)

_VARIETY_WINDOW = 50
_NGRAM = 4


@dataclass(frozen=True)
class Score:
    """How good a text is as an answer to its prompt.

    Attributes:
        total: the whole, from 0 (empty) to 10.
        parts: each measure that applied, from 0 to 1; the keys are those of ``WEIGHTS``.
    """

    total: float
    parts: dict[str, float]


def score_text(prompt: str, text: str) -> Score:
    """Measures one text as an answer to a prompt.

    Args:
        prompt: what was asked, in the user's words.
        text: the answer.

    Returns:
        The score; a text without a single word or number scores 0.
    """
    words = _tokens(text)
    if not words:
        return Score(0.0, {})
    sentences = [tokens for tokens in map(_tokens, _sentences(text)) if tokens]
    tied = _tied(prompt, sentences)
    parts = {
        "freshness": _freshness(prompt, sentences),
        "development": _development(sentences, tied),
        "cohesion": sum(tied) / len(tied),
        "finish": _finish(text, sentences),
        "variety": _variety(words),
    }
    coverage = _coverage(prompt, words)
    if coverage is not None:
        parts["coverage"] = coverage
    length = _length(prompt, text, len(words), len(sentences))
    if length is not None:
        parts["length"] = length
    weight = sum(WEIGHTS[name] for name in parts)
    return Score(10.0 * sum(WEIGHTS[name] * value for name, value in parts.items()) / weight, parts)


def judge_text(prompt: str, answer_a: str, answer_b: str, *, tie_margin: float = 0.2) -> str:
    """Compares two answers and answers like a judge.

    Args:
        prompt: what was asked.
        answer_a: the answer shown first.
        answer_b: the answer shown second.
        tie_margin: scores closer than this (of 10 points) are a tie.

    Returns:
        A short text whose last line is ``[[A]]``, ``[[B]]`` or ``[[C]]`` (a tie). Which answer comes first
        makes no difference: swapping the two swaps the verdict.

    Raises:
        ValueError: if ``tie_margin`` is negative.
    """
    if tie_margin < 0:
        raise ValueError(f"tie_margin must not be negative, got {tie_margin}")
    score_a, score_b = score_text(prompt, answer_a), score_text(prompt, answer_b)
    if abs(score_a.total - score_b.total) <= tie_margin:
        verdict = "C"
    else:
        verdict = "A" if score_a.total > score_b.total else "B"
    return (
        "This is the offline judge: it measures texts and is no LLM.\n"
        f"Answer A: {_explain(score_a)}\n"
        f"Answer B: {_explain(score_b)}\n"
        f"[[{verdict}]]"
    )


def _explain(score: Score) -> str:
    parts = ", ".join(f"{name} {value:.2f}" for name, value in score.parts.items())
    return f"{score.total:.2f} of 10" + (f" ({parts})" if parts else " (empty)")


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text.lower())


def _sentences(text: str) -> list[str]:
    return [piece for piece in _SENTENCE_END.split(text) if piece.strip()]


def _stem(word: str) -> str:
    """Strips common English endings, so that "mends", "mended" and "mending" count as one word."""
    for suffix in ("ing", "ed", "es", "ly", "s"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word[: -len(suffix)]
            break
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def _content(words: list[str]) -> list[str]:
    """The words that carry meaning, as stems; in Chinese and Japanese pairs of neighbouring characters."""
    found = [_stem(word) for word in words if word not in _STOP_WORDS and not _IS_CJK.match(word)]
    for left, right in pairwise(words):
        if _IS_CJK.match(left) and _IS_CJK.match(right) and not {left, right} & _STOP_WORDS:
            found.append(left + right)
    return found


def _coverage(prompt: str, words: list[str]) -> float | None:
    """The share of what the prompt is about that the text takes up; None for a prompt about nothing."""
    task = {_stem(word) for word in _TASK_WORDS} | {_stem(word) for word in NUMBER_WORDS}
    asked = {word for word in _content(_tokens(prompt)) if word not in task and not word.isdigit()}
    if not asked:
        return None
    # A long prompt explains more than it asks for: beyond ten words, every third must come back.
    needed = min(len(asked), 10 + max(0, len(asked) - 10) / 3)
    return min(1.0, len(asked & set(_content(words))) / needed)


def _length(prompt: str, text: str, words: int, sentences: int) -> float | None:
    """How near the text is to the length asked for: 1 within the range, then the ratio; None if not asked."""
    asked = asked_length(prompt)
    if asked is None:
        return None
    low, high, unit = asked
    counts = {
        "word": words,
        "sentence": sentences,
        "paragraph": sum(1 for line in re.split(r"\n+", text) if line.strip()),
        "character": sum(1 for character in text if not character.isspace()),
    }
    count = counts[unit]
    return max(0.0, 1.0 - 1.5 * max(0.0, 1 - count / low, 1 - high / count))


def _freshness(prompt: str, sentences: list[list[str]]) -> float:
    """The share of the text that says something not yet said: neither earlier in it nor in the prompt."""
    seen: set[tuple[str, ...]] = set()
    asked = _tokens(prompt)
    for start in range(len(asked) - _NGRAM + 1):
        seen.add(tuple(asked[start : start + _NGRAM]))
    fresh = total = 0
    for sentence in sentences:
        size = min(_NGRAM, len(sentence))
        grams = [tuple(sentence[start : start + size]) for start in range(len(sentence) - size + 1)]
        total += len(grams)
        for gram in grams:
            fresh += gram not in seen
            seen.add(gram)
    return fresh / total


def _development(sentences: list[list[str]], tied: list[bool]) -> float:
    """Grows with each tied sentence that brings at least three new content words, ever more slowly."""
    seen: set[str] = set()
    steps = 0.0
    for sentence, belongs in zip(sentences, tied, strict=True):
        new = set(_content(sentence)) - seen
        steps += min(1.0, len(new) / 3) * belongs
        seen |= new
    return 1 - math.exp(-steps / 4)


def _tied(prompt: str, sentences: list[list[str]]) -> list[bool]:
    """For each sentence, whether it takes up the prompt or one of the three sentences before."""
    asked = set(_content(_tokens(prompt)))
    recent: list[set[str]] = []
    tied = []
    for sentence in sentences:
        content = set(_content(sentence))
        linked = bool(recent) and not _LINKS.isdisjoint(sentence)
        tied.append(linked or any(not content.isdisjoint(other) for other in (asked, *recent)))
        recent = [*recent[-2:], content]
    return tied


def _finish(text: str, sentences: list[list[str]]) -> float:
    """Whether the text ends where a sentence ends, and its sentences are neither scraps nor endless."""
    ended = text.rstrip().rstrip(_CLOSERS).endswith(tuple(_TERMINALS))
    shaped = sum(3 <= len(sentence) <= 80 for sentence in sentences) / len(sentences)
    return (0.7 if ended else 0.0) + 0.3 * shaped


def _variety(words: list[str]) -> float:
    """Different words in a stretch of fifty, averaged over the text; short texts can show less of it."""
    starts = range(0, max(1, len(words) - _VARIETY_WINDOW + 1), _VARIETY_WINDOW)
    windows = [words[start : start + _VARIETY_WINDOW] for start in starts]
    # Types over the root of tokens stays comparable when a text is shorter than one window.
    return min(1.0, sum(len(set(window)) / math.sqrt(len(window)) for window in windows) / len(windows) / 6)
