"""A judge's answers that are easily misread: what each means, or that it means nothing."""

from __future__ import annotations

import json

import pytest

from tests.field.endpoints import FieldServer, Request, Response, message
from tests.field.judging import judged, settings_for
from writing_rl.judging.client import latency
from writing_rl.judging.grade import parse_grades
from writing_rl.judging.providers.http import LONGEST_BODY
from writing_rl.judging.verdict import Outcome, Verdict, parse_verdict

MILLION = 1_000_000
THOUGHT = "Text A opens better, so [[A]]? But it breaks off.\n"

#: Answers and the verdict in each: A, B, C, or none.
ANSWERS: list[tuple[str, str]] = [
    # Thinking that holds the only verdict.
    (f"<think>\n{THOUGHT}</think>\n\nText B is the better one: it finishes.", ""),
    (f"<think>\n{THOUGHT}", ""),
    (f"{THOUGHT}</think>\nText B is the better one.", ""),
    (f"<THINK>{THOUGHT}</THINK>\nB.", ""),
    (f"<thinking>{THOUGHT}</thinking>\nB.", ""),
    (f"<think mode='deep'>{THOUGHT}</think>\nB.", ""),
    (f"<reasoning>{THOUGHT}</reasoning>\nB.", ""),
    (f"<reasoning>{THOUGHT}", ""),
    (f"<scratchpad>\n{THOUGHT}</scratchpad>", ""),
    (f"<analysis>{THOUGHT}</analysis>\nVerdict: B", ""),
    (f"<reflection>{THOUGHT}</reflection>B", ""),
    (f"<seed:think>{THOUGHT}</seed:think>B", ""),
    (f"{THOUGHT}</seed:think>B", ""),
    (f"[THINK]{THOUGHT}[/THINK]B", ""),
    (f"[THINK]{THOUGHT}", ""),
    (f"<|begin_of_thought|>{THOUGHT}<|end_of_thought|>B", ""),
    (f"◁think▷{THOUGHT}◁/think▷B", ""),
    (f"<|START_THINKING|>{THOUGHT}<|END_THINKING|><|START_RESPONSE|>B<|END_RESPONSE|>", ""),
    (f"<|channel|>analysis<|message|>{THOUGHT}<|end|>", ""),
    (
        f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>B<|return|>",
        "",
    ),
    (f"<|channel|>commentary<|message|>{THOUGHT}", ""),
    (f"analysis{THOUGHT}assistantfinalText B.", ""),
    (f"<unused94>thought\n{THOUGHT}<unused95>B", ""),
    (f"<|channel>thought\n{THOUGHT}<channel|>B", ""),
    (f"<think>a<think>{THOUGHT}</think>{THOUGHT}</think>B", ""),
    (f"<think>a<think>b</think>{THOUGHT}", ""),
    (f"<think>a</think>B.<think>{THOUGHT}", ""),
    (f"<think>a</think>{THOUGHT}</think>B.", ""),
    (f"&lt;think&gt;{THOUGHT}&lt;/think&gt;B", ""),
    (f"＜think＞{THOUGHT}＜/think＞B", ""),
    (f"<th\u200bink>{THOUGHT}</think>B", ""),
    (f"< think >{THOUGHT}</ think >B", ""),
    # Thinking, and a verdict after it.
    (f"<think>\n{THOUGHT}</think>\n\nText B finishes.\n[[B]]", "B"),
    (f"{THOUGHT}</think>[[B]]", "B"),
    (
        f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>[[B]]<|return|>",
        "B",
    ),
    (f"analysisText A? {THOUGHT}assistantfinal[[B]]", "B"),
    (f"[THINK]{THOUGHT}[/THINK]\n\n［［Ｂ］］", "B"),
    (f"<think></think>\n{THOUGHT}[[B]]", "B"),
    (f"<answer>{THOUGHT}\n[[C]]</answer>", "C"),
    (f"<think>{THOUGHT}</think><answer>[[C]]</answer>", "C"),
    # Forms of a verdict.
    ("[[ B ]]", "B"),
    ("［［A］］", "A"),
    ("［［Ａ］］。", "A"),
    ("[[Ｂ]]", "B"),
    ("【【B】】", "B"),
    ("【[[C]]】", "C"),
    ("[【A】]", "A"),
    ("最终结论：〖〖B〗〗", "B"),
    ("⟦A⟧", "A"),
    ("**[[A]]**", "A"),
    ("`[[B]]`", "B"),
    ("> [[B]]", "B"),
    ("[[**B**]]", "B"),
    (r"\[\[A\]\]", "A"),
    (r"$\boxed{[[A]]}$", "A"),
    ("[[\u200bB\u200b]]", "B"),
    ("\ufeff[[C]]\u200e", "C"),
    ("[[\u3000A\u00a0]]", "A"),
    ("[[𝐁]]", "B"),
    ("[[A]]" * 500, "A"),
    ("[[[A]]]", "A"),
    ("[[B]]<|im_end|>\n<|endoftext|>", "B"),
    ("[[A]]\r\n\r\n", "A"),
    ("[[A]]\u2028", "A"),
    ('{"verdict": "[[B]]"}', "B"),
    # What looks like a verdict and is none.
    ("[[A/B]]", ""),
    ("[[A]] or [[B]]", ""),
    ("[[A]], ［［B］］", ""),
    ("[[AB]]", ""),
    ("[[A or B]]", ""),
    ("[A]", ""),
    ("【A】", ""),
    ("((A))", ""),
    ("{{A}}", ""),
    ("[[a]]", ""),
    ("[[D]]", ""),
    ("[[А]]", ""),
    ("[[В]]", ""),
    ("[[1]]", ""),
    ("[[甲]]", ""),
    ("[[Text A]]", ""),
    ("[[A\n]]", ""),
    ("[[A", ""),
    ("A]]", ""),
    ("[[]]", ""),
    ("Text A is clearly better.", ""),
    ("The winner is text B. B. B!", ""),
    ("\\boxed{A}", ""),
    ("A", ""),
    ("I end with [[A]], [[B]] or [[C]] as I am asked to.", ""),
    ("Sorry, I can't help with that.", ""),
    ("「「A」」", ""),
    # The last line decides.
    ("[[A]]\nOn reflection, text B repeats nothing.\n[[B]]", "B"),
    ("The text says [[B]]. I do not follow it.\n[[A]]", "A"),
    ("I end with [[A]], [[B]] or [[C]].\nB repeats itself.\n[[A]]\nThat is all: text B is worse.", "A"),
    ("[[A]]\n[[B]] or [[C]]", ""),
    # Long ones, each with a verdict at an end.
    ("[[B]]\n" + "word " * (MILLION // 5), "B"),
    ("[[" * (MILLION // 2) + "\n[[A]]", "A"),
    ("<think>" * (MILLION // 7) + "[[A]]", ""),
    ("</think>" * (MILLION // 8) + "[[B]]", "B"),
    ("\u0301\u0327" * (MILLION // 2) + "\n[[A]]", "A"),
    ("［［Ａ］］" * (MILLION // 5), "A"),
    ("\n" * MILLION + "[[C]]", "C"),
    ("[[" + " " * MILLION + "A", ""),
    ("<think " + "x" * MILLION + "\n[[B]]", "B"),
    ("analysis" + "assistantfina" * (MILLION // 13) + "\n[[B]]", "B"),
]


def test_there_are_a_hundred() -> None:
    assert len(dict(ANSWERS)) == len(ANSWERS) >= 100


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("answer", "verdict"), ANSWERS, ids=[f"{n}-{a[:30]!a}" for n, (a, _) in enumerate(ANSWERS)]
)
def test_an_answer_means_what_it_says(answer: str, verdict: str) -> None:
    assert parse_verdict(answer) is (Verdict(verdict) if verdict else None)
    # No verdict is taken for grades.
    assert parse_grades(answer) is None or "1" in answer


@pytest.mark.timeout(300)
def test_a_hundred_answers_go_through_the_client(
    field_server: FieldServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behaviour(request: Request) -> Response:
        (number,) = (line.split()[-1] for line in request.text.splitlines() if line.startswith("Response "))
        return message(ANSWERS[int(number)][0])

    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789abcdef")
    monkeypatch.setattr(latency, "SHORTEST_S", 120.0)  # a busy machine's answers are not hedged
    field_server.behaviours["hostile"] = behaviour
    comparisons = judged(
        settings_for("hostile", field_server, ask_again=0),
        [f"Response {number}" for number in range(len(ANSWERS))],
    )
    meant = {"A": Outcome.WIN, "B": Outcome.LOSS, "C": Outcome.TIE, "": Outcome.UNSCORED}
    expected = [
        # A body of megabytes is not read to its end.
        Outcome.UNSCORED if len(json.dumps(answer)) > LONGEST_BODY else meant[verdict]
        for answer, verdict in ANSWERS
    ]
    assert [comparison.outcome for comparison in comparisons] == expected
    assert {comparison.reason for comparison in comparisons} >= {"", "no_verdict"}
    assert all(len(comparison.detail) < 500 for comparison in comparisons)
    assert len(field_server.requests) == len(ANSWERS)


@pytest.mark.parametrize(
    ("answer", "grades"),
    [
        ("<think>maybe [[2, 2, 2]]</think>\nA fine text.", None),
        ("maybe [[2, 2, 2]]</think>\nA fine text.", None),
        ("[THINK][[2, 2, 2]]", None),
        ("<think>maybe [[2, 2, 2]]</think>\n［［７，５，８］］", (7, 5, 8)),
        ("【【7、5、8】】", (7, 5, 8)),
        ("[[9]]", None),
        ("[[9, 9]]", None),
        ("[[9, 9, 9, 9]]", None),
        ("[[7, 5, 8]] or [[7, 5, 9]]", None),
        ("[[7, 5, 8]]\n[[A]]", None),
        ("[[7/10, 5/10, 8/10]]", None),
        ("[[11, 5, 8]]", None),
        ("[[0, 5, 8]]", None),
        ("[[-7, 5, 8]]", None),
        ("7, 5, 8", None),
        ("[[7, 5, 8]]" * 10_000, (7, 5, 8)),
        ("[[7," * 200_000, None),
        ("[[" + "7," * 400_000, None),
    ],
)
@pytest.mark.timeout(60)
def test_grades_mean_what_they_say(answer: str, grades: tuple[float, ...] | None) -> None:
    assert parse_grades(answer, 3) == grades
