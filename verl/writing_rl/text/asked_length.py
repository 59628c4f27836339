"""Reads from a prompt how long the answer should be, in English and Chinese."""

import itertools
import math
import re

NUMBER_WORDS = {
    **{"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9},
    **{"ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40},
    "fifty": 50,
}
_MULTIPLES = {"hundred": 100, "thousand": 1000}
_CJK_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"两": 2}
_CJK_POWERS = {"十": 10, "百": 100, "千": 1000, "万": 10_000}
# At most twelve characters, since nobody asks for more and Python refuses to read endless numbers. Every
# repetition has a limit, so that the search stays linear in the length of a prompt.
_NUMBER = (
    rf"\d[\d,]{{0,11}}|(?:a|{'|'.join(NUMBER_WORDS)})[\s-](?:{'|'.join(_MULTIPLES)})|{'|'.join(NUMBER_WORDS)}"
)
_ENGLISH_LENGTH = re.compile(
    rf"(?P<each>\beach (?:\w{{1,20}} ){{0,3}})?"
    rf"(?:(?P<bound>at least|no (?:less|fewer) than|more than|over|minimum of|at most|no more than|"
    rf"not more than|less than|fewer than|under|up to|within|maximum of)\s{{0,3}})?"
    rf"(?:an? |about |around |some )?\b(?P<low>{_NUMBER})"
    rf"(?:\s{{0,3}}(?:-|–|—|to|and|or)\s{{0,3}}(?P<high>{_NUMBER}))?[\s-]{{1,3}}"
    rf"(?:(?!hundred|thousand)\w{{1,30}}\s)?(?P<unit>word|sentence|paragraph|character)s?\b"
    r"(?P<per>(?=(?: long)? (?:each(?! (?:\w{1,20} ){0,3}\d)|apiece|per|a (?:paragraph|scene|chapter))\b))?",
    re.IGNORECASE,
)
_CJK_NUMBER = r"\d{1,3}(?:[,，]\d{3}){1,3}|\d{1,9}(?:\.\d{1,2})?[千万]?|[零一二三四五六七八九十百千万两]{1,8}"
_CHINESE_LENGTH = re.compile(
    r"(?P<each>每[^\W\d_]{1,2}(?:约|大约|大概|都|各)?)?(?P<bound>不少于|不低于|至少|超过|不超过|不多于|最多|少于)?\s{0,3}"
    rf"(?<![第\d零一二三四五六七八九十百千万两])(?<!\d[.,，])(?P<low>{_CJK_NUMBER})"
    rf"(?:\s{{0,3}}(?:-|–|—{{1,2}}|~|～|到|至)\s{{0,3}}(?P<high>{_CJK_NUMBER}))?"
    r"\s{0,3}[余多来]?个?(?P<unit>字|词|句|段)(?P<after>以上|以内|以下|之内)?"
)
#: What 段 counts besides paragraphs: a time, a way, an experience, a talk.
_NOT_PARAGRAPHS = re.compile(
    r"[^，。；！？\n]{0,12}?(?:时间|时光|岁月|日子|人生|经历|历史|旅程|旅途|旅行|路|距离|感情|爱情|友情|恋情|亲情|"
    r"婚姻|关系|缘分|往事|回忆|记忆|故事|传奇|奇遇|冒险|音乐|旋律|代码|对话|对白|独白)"
)
_AT_LEAST = frozenset(
    {"at least", "no less than", "no fewer than", "more than", "over", "minimum of"}
    | {"不少于", "不低于", "至少", "超过", "以上"}
)
_AT_MOST = frozenset(
    {"at most", "no more than", "not more than", "less than", "fewer than", "under", "up to", "within"}
    | {"maximum of", "不超过", "不多于", "最多", "少于", "以内", "以下", "之内"}
)
#: Fewer words than these are rather a title or a choice of words, and fewer characters rather people, or
#: what they are called by: "三字经".
FEWEST_WORDS, FEWEST_CHARACTERS = 10, 20
_UNITS = {"词": "word", "字": "word", "句": "sentence", "段": "paragraph"}


def asked_length(prompt: str) -> tuple[float, float, str] | None:
    """Reads "500 words", "three to five sentences", "不少于800字" …; the first mention counts.

    A single paragraph or sentence and a handful of words count only where there is no other mention: who asks
    for "一段200字的文字" or for a story with a one-word title asks for another length.

    Args:
        prompt: the user's request.

    Returns:
        The shortest and the longest length that fit, and the unit: ``word`` (in Chinese a character),
        ``sentence``, ``paragraph`` or ``character``. None if the prompt asks for no length.
    """
    matches = itertools.chain(_ENGLISH_LENGTH.finditer(prompt), _CHINESE_LENGTH.finditer(prompt))
    lengths = (length for match in matches if (length := _length_of(match)) is not None)
    first = None
    for low, high, unit in lengths:
        if high >= (FEWEST_WORDS if unit == "word" else 2):
            return low, high, unit
        first = first or (low, high, unit)
    return first


def _length_of(match: re.Match[str]) -> tuple[float, float, str] | None:
    """The length of a mention; None where it is none, or that of a part."""
    said = match.groupdict()
    if said["each"] is not None or said.get("per") is not None:
        return None
    low = _number(match["low"])
    high = _number(match["high"]) if match["high"] else low
    if low < 1 or high < low:
        return None
    unit = _UNITS.get(match["unit"], match["unit"].lower())
    bounds = {(said["bound"] or "").lower(), said.get("after") or ""}
    if match["unit"] in "字词" and high < FEWEST_CHARACTERS and not bounds - {""}:
        return None  # "十字路口", "四字成语"
    if unit == "character" and high < FEWEST_CHARACTERS:
        return None  # people in a story
    if match["unit"] == "段" and _NOT_PARAGRAPHS.match(match.string, match.end()):
        return None
    if bounds & _AT_LEAST:
        return low, math.inf, unit
    if bounds & _AT_MOST:
        return 0.6 * low, high, unit
    # Nobody counts words exactly; sentences and paragraphs are counted.
    slack = 0.1 if unit in ("word", "character") else 0.0
    return low * (1 - slack), high * (1 + slack), unit


def _number(text: str) -> int:
    text = text.lower().replace(",", "").replace("，", "")
    if text.isdigit():
        return int(text)
    if text[0].isdigit():  # "1.5万"
        times = _CJK_POWERS.get(text[-1], 1)
        return round(float(text.rstrip("千万")) * times)
    if text.isascii():
        word, *multiple = re.split(r"[\s-]", text)
        return NUMBER_WORDS.get(word, 1) * (_MULTIPLES[multiple[0]] if multiple else 1)
    total = part = digit = 0
    for character in text:
        if character in _CJK_DIGITS:
            digit = _CJK_DIGITS[character]
        elif character == "万":
            total, part, digit = (part + digit or 1) * _CJK_POWERS[character], 0, 0
        else:
            part += (digit or 1) * _CJK_POWERS[character]
            digit = 0
    return total + part + digit
