from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.text.criteria import count_criteria


@pytest.mark.parametrize(
    ("criteria", "number"),
    [
        ("1. Style.\n2. Plot.", 2),
        ("1) a\n2) b\n3) c", 3),
        ("（1）情节\n（2）语言", 2),
        ("(1) a\n(2) b", 2),
        ("一、立意\n二、语言\n三、结构", 3),
        ("（一）立意\n（二）语言", 2),
        ("①情节②语言③结构", 3),
        ("①情节\n②语言", 2),
        ("- Style\n- Plot", 2),
        ("• Style\n• Plot\n• Voice", 3),
        ("1、立意\n2、语言", 2),
        ("1．立意\n2．语言", 2),
        ("  1. Style\n     and voice, 2. of all.", 1),
        ("Style and plot.", None),
        ("Judge the salt.", None),
        ("", None),
        ("1. Style; 2. Plot", None),
        ("1. Style; 2. Plot; 3. Voice", 3),
        ("Criteria: 1. style 2. plot 3. voice", 3),
        ("Judge by (1) style and (2) plot.", 2),
        ("1. Style\n  1. a\n  2. b\n2. Plot", 2),
        ("1. Style\n- a\n- b\n2. Plot", 2),
        ("- Style\n  1. a\n  2. b\n- Plot", 2),
        ("**1. Style**: x\n\n**2. Plot**: y", 2),
        ("### 1. Style\ntext\n### 2. Plot\n", 2),
        ("**1.** a\n**2.** b", 2),
        ("1. a\n1. b\n1. c", 3),
        ("5. Excellent\n4. Good", None),
        ("1. a\n3. b", None),
        ("1. a\n2. b\n1. c\n2. d", None),
        ('["Style","Plot","Voice"]', 3),
        ('[{"name":"a"},{"name":"b"}]', 2),
        ("[x] y", None),
        ("A. Style\nB. Plot", 2),
        ("a) Style\nb) Plot", 2),
        ("Criterion 1: Style\nCriterion 2: Plot", 2),
        ("标准一：立意\n标准二：语言", 2),
        ("维度1：a\n维度2：b\n维度3：c", 3),
        ("第一，立意；第二，语言。", 2),
        ("Please grade:\n\n1. Style\n2. Plot\n3. Voice\n4. Form\n5. End", 5),
        ("10. x", None),
        ("1. Style in chapter 2. Then\n2. Plot", 2),
        ("1. Length: 1.5 pages", 1),
        ("- a", 1),
        ("\t- a\n\t- b", 2),
        ("1. x\n2. x\n3. x\n4. x\n5. x\n6. x\n7. x\n8. x\n9. x\n10. x\n11. x\n12. x", 12),
        ("十一、x", None),
        ("一、x\n二、x\n三、x\n四、x\n五、x\n六、x\n七、x\n八、x\n九、x\n十、x\n十一、x\n十二、x", 12),
        ("1: Style\n2: Plot", None),
        ("I. Style\nII. Plot", None),
        ("1.情节\n2.语言", 2),
        ("1) Style 1-10\n2) Plot 1-10", 2),
        ("1 Style\n2 Plot", None),
        ("+ a\n+ b", 2),
        ("* **Style**: x\n* **Plot**: y", 2),
        ("- 1. a\n- 2. b", 2),
        ("“1. a\n2. b", None),
        ("[1] Style\n[2] Plot", 2),
        ("【1】立意\n【2】语言", 2),
        ("❶ Style\n❷ Plot", 2),
        ("- Be strict.\n1. Style\n2. Plot", 2),
        ("[]", None),
    ],
)
def test_criteria_are_counted_where_they_can_be(criteria: str, number: int | None) -> None:
    assert count_criteria(criteria) == number


words = st.text(alphabet="abc xyz, 好", min_size=1).filter(str.strip)


@given(
    entries=st.lists(words, min_size=2, max_size=12),
    form=st.sampled_from(
        ["{}. ", "{}) ", "({}) ", "（{}）", "{}、", "  {}. ", "**{}.** ", "## {}. ", "标准{}：", "- "]
    ),
    gap=st.sampled_from(["\n", "\n\n", "\n  and more of it\n", "\r\n", "\n  - in detail\n"]),
    intro=st.sampled_from(["", "Grade by these:\n\n", "请按以下标准评分：\n"]),
)
def test_lists_of_any_form_are_counted(entries: list[str], form: str, gap: str, intro: str) -> None:
    lines = [form.format(number) + entry.strip() for number, entry in enumerate(entries, start=1)]
    assert count_criteria(intro + gap.join(lines)) == len(entries)


@given(st.text() | st.text(alphabet="12.)(（）一二、①② \n-*a["))
def test_any_text_has_some_number_or_none(criteria: str) -> None:
    number = count_criteria(criteria)
    assert number is None or 1 <= number <= len(criteria)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece", ["1. ", "(", "\n", "- ", "1.\n", "#", "*_", "[", "(1) ", " ", "\t", "(1) (2) ", "一", "a. "]
)
def test_counting_is_linear_in_the_length_of_the_criteria(piece: str) -> None:
    count_criteria(piece * (200_000 // len(piece)))
