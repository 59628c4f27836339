from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.text.asked_length import asked_length


@pytest.mark.parametrize(
    ("prompt", "low", "high", "unit"),
    [
        # 段 and "one paragraph" are words for a text here, whose length is said beside.
        ("创作一段200-300字左右的描写", 200, 300, "word"),
        ("写一段不少于200字的文字", 200, math.inf, "word"),
        ("写一段话，介绍大海，200字左右", 200, 200, "word"),
        ("一段约300字的独白", 300, 300, "word"),
        ("讲述一段难忘的经历，800字", 800, 800, "word"),
        ("第二段描写景物，全文600字", 600, 600, "word"),
        ("One paragraph of 200 words about salt.", 200, 200, "word"),
        ("In one paragraph, write 150-200 words.", 150, 200, "word"),
        ("A paragraph of 200 words.", 200, 200, "word"),
        ("One page of 300 words", 300, 300, "word"),
        ("One sentence of 40 words.", 40, 40, "word"),
        ("A story of 500 words with a one-word title", 500, 500, "word"),
        ("With a one-word title, a story of about 500 words", 500, 500, "word"),
        # Alone, they are the length.
        ("写一段话", 1, 1, "paragraph"),
        ("请写一段关于秋天的文字。", 1, 1, "paragraph"),
        ("In one sentence.", 1, 1, "sentence"),
        ("用三句话回答。", 3, 3, "sentence"),
        # Of the whole, not of a part.
        ("写三段，每段200字", 3, 3, "paragraph"),
        ("每段不少于100字，共三段", 3, 3, "paragraph"),
        ("Five paragraphs of 100 words each", 5, 5, "paragraph"),
        ("Write 3 paragraphs, each about 100 words.", 3, 3, "paragraph"),
        # What has the unit's name and is another thing.
        ("用四字成语写一篇500字的文章", 500, 500, "word"),
        ("在十字路口，写300字", 300, 300, "word"),
        ("A story with two characters, about 500 words", 500, 500, "word"),
        ("280 characters", 280, 280, "character"),
        # Numbers in all forms.
        ("写一篇1,200字的文章", 1200, 1200, "word"),
        ("写２００字", 200, 200, "word"),
        ("2万字的小说", 20000, 20000, "word"),
        ("1.5万字", 15000, 15000, "word"),
        ("三千五百字", 3500, 3500, "word"),
        ("一万二千字", 12000, 12000, "word"),
        ("八百至一千字", 800, 1000, "word"),
        ("800——1000字", 800, 1000, "word"),
        ("两千余字", 2000, 2000, "word"),
    ],
)
def test_the_length_of_the_whole_text_is_read(prompt: str, low: float, high: float, unit: str) -> None:
    slack = 0.1 if unit in ("word", "character") and high != math.inf else 0.0
    found = asked_length(prompt)
    assert found is not None
    assert found[2] == unit
    assert found[:2] == pytest.approx((low * (1 - slack), high * (1 + slack)))


@pytest.mark.parametrize(
    "prompt",
    [
        *(
            "讲述一段难忘的经历",
            "写写你的三段感情",
            "写一个发生在十字路口的故事",
            "解释这个四字成语",
            "描写文章的第二段",
        ),
        *(
            "A tale with three main characters",
            "Tell it in other words.",
            "Write the second paragraph.",
            "每段100字",
        ),
    ],
)
def test_what_is_no_length_is_none(prompt: str) -> None:
    assert asked_length(prompt) is None


@given(st.text() | st.text(alphabet="0123456789一二十百千万两字段句词每第,.，- words"))
def test_any_prompt_asks_for_a_range_or_nothing(prompt: str) -> None:
    found = asked_length(prompt)
    assert found is None or 0 < found[0] <= found[1]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "piece",
    [
        " ",
        "1",
        "1 ",
        "一",
        "at least ",
        "one ",
        "each ",
        "每",
        "1,",
        "一段",
        "1 a",
        "第",
        "—",
        "1-",
        "200 words each ",
    ],
)
def test_long_texts_are_read_at_once(piece: str) -> None:
    asked_length(piece * (200_000 // len(piece)))
