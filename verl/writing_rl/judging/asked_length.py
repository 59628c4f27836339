"""Reads from a prompt how long the answer should be, in English and Chinese."""

import math
import re

NUMBER_WORDS = {
    **{"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9},
    **{"ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40},
    "fifty": 50,
}
_MULTIPLES = {"hundred": 100, "thousand": 1000}
_CJK_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"两": 2}
# At most twelve characters, since nobody asks for more and Python refuses to read endless numbers.
_NUMBER = (
    rf"\d[\d,]{{0,11}}|(?:a|{'|'.join(NUMBER_WORDS)})[\s-](?:{'|'.join(_MULTIPLES)})|{'|'.join(NUMBER_WORDS)}"
)
_ENGLISH_LENGTH = re.compile(
    rf"(?P<bound>at least|no (?:less|fewer) than|more than|over|minimum of|at most|no more than|"
    rf"not more than|less than|fewer than|under|up to|within|maximum of)?\s*(?:an? |about |around |some )?"
    rf"\b(?P<low>{_NUMBER})(?:\s*(?:-|–|—|to|and|or)\s*(?P<high>{_NUMBER}))?[\s-]+(?:(?!hundred|thousand)\w+\s)?"
    rf"(?P<unit>word|sentence|paragraph|character)s?\b",
    re.IGNORECASE,
)
_CHINESE_LENGTH = re.compile(
    r"(?P<bound>不少于|不低于|至少|超过|不超过|不多于|最多|少于)?\s*"
    r"(?P<low>\d{1,9}|[一二三四五六七八九两]?[十百千][一二三四五六七八九]?[百十]?|[一二三四五六七八九两])"
    r"(?:\s*(?:-|–|—|~|～|到|至)\s*(?P<high>\d{1,9}))?\s*个?(?P<unit>字|词|句|段)(?P<after>以上|以内|以下|之内)?"
)
_AT_LEAST = frozenset(
    {"at least", "no less than", "no fewer than", "more than", "over", "minimum of"}
    | {"不少于", "不低于", "至少", "超过", "以上"}
)
_AT_MOST = frozenset(
    {"at most", "no more than", "not more than", "less than", "fewer than", "under", "up to", "within"}
    | {"maximum of", "不超过", "不多于", "最多", "少于", "以内", "以下", "之内"}
)
_UNITS = {"词": "word", "字": "word", "句": "sentence", "段": "paragraph"}


def asked_length(prompt: str) -> tuple[float, float, str] | None:
    """Reads "500 words", "three to five sentences", "不少于800字" …; the first mention counts.

    Args:
        prompt: the user's request.

    Returns:
        The shortest and the longest length that fit, and the unit: ``word`` (in Chinese a character),
        ``sentence``, ``paragraph`` or ``character``. None if the prompt asks for no length.
    """
    match = _ENGLISH_LENGTH.search(prompt) or _CHINESE_LENGTH.search(prompt)
    if match is None:
        return None
    low = _number(match["low"])
    high = _number(match["high"]) if match["high"] else low
    if low < 1 or high < low:
        return None
    unit = _UNITS.get(match["unit"], match["unit"].lower())
    bounds = {(match["bound"] or "").lower(), match.groupdict().get("after") or ""}
    if bounds & _AT_LEAST:
        return low, math.inf, unit
    if bounds & _AT_MOST:
        return 0.6 * low, high, unit
    # Nobody counts words exactly; sentences and paragraphs are counted.
    slack = 0.1 if unit in ("word", "character") else 0.0
    return low * (1 - slack), high * (1 + slack), unit


def _number(text: str) -> int:
    text = text.lower().replace(",", "")
    if text.isdigit():
        return int(text)
    if text.isascii():
        word, *multiple = re.split(r"[\s-]", text)
        return NUMBER_WORDS.get(word, 1) * (_MULTIPLES[multiple[0]] if multiple else 1)
    total, digit = 0, 0
    for character in text:
        if character in _CJK_DIGITS:
            digit = _CJK_DIGITS[character]
        else:
            total += (digit or 1) * {"十": 10, "百": 100, "千": 1000}[character]
            digit = 0
    return total + digit
