from __future__ import annotations

import functools
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.data.grading import mean_by_model
from writing_rl.judging.grade import load_grade_templates

KEY = "sk-a-key-that-nobody-may-see"

WEAK = "The sea is big. It is blue. The end."
FAIR = "Grey waves rolled in all morning, and nobody on the pier spoke a word."
GOOD = (
    "When the tide went out that evening, it left my grandfather's boat on the sand, and his letters in it."
)
#: What the judge finds in the texts, whatever anybody else says of them.
WORTH: Mapping[str, float] = {WEAK: 2, FAIR: 5, GOOD: 9}


Script = Callable[..., Any]


@pytest.fixture
def prepare_data(run_cli: Script) -> Script:
    """Runs the script in this process."""
    return functools.partial(run_cli, "data", "prepare")


def section(body: Mapping[str, Any], name: str) -> str:
    """What a request to the judge shows as its text, task or criteria."""
    found = re.search(rf"=== {name} ===\n(.*?)\n=== End of", body["messages"][0]["content"], re.DOTALL)
    assert found is not None
    return found[1]


def says(grade: float, number: int = 5) -> str:
    """A judge's answer with the same grade for each criterion, of which the default ones are five."""
    return f"It has merits and faults.\n[[{', '.join([f'{grade:g}'] * number)}]]"


def by_worth(body: Mapping[str, Any]) -> str:
    """A judge's answer that gives the text what it is worth by each line of the criteria."""
    return says(WORTH[section(body, "Text")], len(section(body, "Criteria").splitlines()))


@pytest.fixture
def judge(judge_server: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An endpoint that gives texts what they are worth."""
    monkeypatch.setenv("OPENAI_BASE_URL", judge_server.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    answer_with(judge_server, lambda body: reply(by_worth(body)))
    return judge_server


def answer_with(server: Any, answer: Callable[[dict[str, Any]], Any]) -> None:
    server.choose = lambda number: answer(server.requests[number - 1])


def entry(number: int, *texts: str, **more: Any) -> dict[str, Any]:
    """A line whose scores are upside down; the models are called by what their texts are worth."""
    names = {WEAK: "weak", FAIR: "fair", GOOD: "good"}
    responses = [
        {"text": text, "score": -place, "model": names.get(text)} for place, text in enumerate(texts)
    ]
    return {"prompt": f"Write about sea {number}.", "responses": responses, **more}


def write(path: Path, *entries: Mapping[str, Any]) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in entries), encoding="utf-8")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two prompts with two responses each."""
    return write(tmp_path / "in.jsonl", *(entry(number, WEAK, GOOD) for number in range(2)))


@pytest.fixture
def options(tmp_path: Path) -> list[object]:
    """Of most tests."""
    return [
        *("--out", tmp_path / "out", "--scores", "grade", "--judge", "m", "--test-count", 1),
        *("--parallel", 4),  # as many connections as the server takes at once
    ]


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    """The rows of both sets, by their prompts."""
    import pyarrow.parquet

    both = [
        row
        for name in ("train", "test")
        for row in pyarrow.parquet.read_table(folder / f"{name}.parquet").to_pylist()
    ]
    return {row["reward_model"]["ground_truth"]["prompt"]: row for row in both}


def scored(folder: Path) -> dict[str, list[tuple[str, float]]]:
    """The references of each prompt with their scores."""
    return {
        prompt: list(
            zip(row["reward_model"]["ground_truth"]["target"], row["extra_info"]["scores"], strict=True)
        )
        for prompt, row in rows(folder).items()
    }


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "grades.jsonl").read_text().splitlines()]


def written(folder: Path) -> list[str]:
    """What is there of the data set."""
    return sorted(path.name for path in folder.glob("*") if path.suffix == ".parquet") + [
        path.name for path in folder.glob("prepare.json")
    ]


# --- the whole way -----------------------------------------------------------------------------------------


def test_a_judge_grades_the_whole_way(
    judge: Any, prepare_data: Script, tmp_path: Path, options: list[object]
) -> None:
    own = entry(0, GOOD, WEAK, FAIR, criteria="1. Salt.\n2. Wind.")
    data = write(tmp_path / "in.jsonl", own, entry(1, GOOD, WEAK))
    done = prepare_data(data, *options)
    assert done.code == 0, done.err
    assert "Mean grade by model: good 9.00 (2), fair 5.00 (1), weak 2.00 (2)\n" in done.out
    assert "Mean score: worst reference 2, best 9\n" in done.out
    assert "0 without a grade" in done.out

    # The order is the judge's, not that of the scores in the file.
    assert scored(tmp_path / "out") == {
        "Write about sea 0.": [(WEAK, 2), (FAIR, 5), (GOOD, 9)],
        "Write about sea 1.": [(WEAK, 2), (GOOD, 9)],
    }
    assert rows(tmp_path / "out")["Write about sea 0."]["extra_info"]["models"] == ["weak", "fair", "good"]

    defaults = load_grade_templates().criteria.strip()
    asked = Counter(
        (section(body, "Task"), section(body, "Text"), section(body, "Criteria")) for body in judge.requests
    )
    assert asked == Counter(
        [
            *(("Write about sea 0.", text, "1. Salt.\n2. Wind.") for text in (GOOD, WEAK, FAIR)),
            *(("Write about sea 1.", text, defaults) for text in (GOOD, WEAK)),
        ]
    )
    assert {(body["model"], body["temperature"]) for body in judge.requests} == {("m", 0.0)}

    record = json.loads((tmp_path / "out/prepare.json").read_text())
    assert (record["settings"]["scores"], record["settings"]["grade_samples"]) == ("graded", 1)
    assert record["judged"] == {
        "grades.jsonl": {
            "file": "grades.jsonl",
            "sha256": hashlib.sha256((tmp_path / "out/grades.jsonl").read_bytes()).hexdigest(),
            "stage": "grades",
            "judges": ["m"],
            "base_url": judge.url,
            "temperature": 0.0,
            "instructions_sha256": load_grade_templates().fingerprint,
        }
    }
    graded = lines(tmp_path / "out")
    assert sorted((line["text"], line["grade"], line["judge"]) for line in graded) == sorted(
        (text, WORTH[text], "m") for text in (GOOD, WEAK, FAIR, GOOD, WEAK)
    )
    assert {line["calls"] for line in graded} == {1}
    assert all("[[" in line["judge_text"] for line in graded)


def test_a_chinese_sample_goes_the_whole_way(
    judge: Any, reply: Any, prepare_data: Script, tmp_path: Path, options: list[object]
) -> None:
    best = "海边的清晨,老人独自修补渔网,想起了许多年前离开的儿子,和那条再也没有回来的船。"
    worst = "海很大。海很蓝。我喜欢海。"
    worth = {best: "8.5", worst: "3"}
    answer_with(
        judge,
        lambda body: reply(f"我会以 [[7，5]] 的形式打分。\n结论：[[{worth[section(body, 'Text')]}，9]]。"),
    )
    prompts = ("写一个关于大海的故事。", "写一首关于大海的诗。")
    responses = [{"text": text} for text in worth]
    samples = [{"prompt": one, "responses": responses, "criteria": "1、立意\n2、语言"} for one in prompts]
    done = prepare_data(write(tmp_path / "in.jsonl", *samples), *options)
    assert done.code == 0, done.err
    assert scored(tmp_path / "out") == {one: [(worst, 6), (best, 8.75)] for one in prompts}
    assert {section(body, "Criteria") for body in judge.requests} == {"1、立意\n2、语言"}
    assert best in (tmp_path / "out/grades.jsonl").read_text(encoding="utf-8")
    # Nobody said who wrote them.
    assert "Mean grade by model" not in done.out


def test_the_offline_judge_grades_the_whole_way(
    prepare_data: Script, tmp_path: Path, options: list[object]
) -> None:
    worst = "Sea. Sea. Sea. Sea."
    best = "The sea was grey. A gull followed our boat over it, and then it turned back to its cliff."
    own = entry(0, best, worst, criteria="1. Salt.\n2. Wind.")
    data = write(tmp_path / "in.jsonl", own, entry(1, best, worst))
    done = prepare_data(data, *options, "--judge", "offline", "--grade-samples", 2)
    assert done.code == 0, done.err
    for references in scored(tmp_path / "out").values():
        assert [text for text, _ in references] == [worst, best]
        assert all(1 <= score <= 10 for _, score in references)
    assert [len(line["grades"]) for line in lines(tmp_path / "out")] == [1] * 8


def test_several_grades_are_averaged(
    judge: Any, reply: Any, prepare_data: Script, data: Path, tmp_path: Path, options: list[object]
) -> None:
    asked: Counter[str] = Counter()

    def answer(body: Mapping[str, Any]) -> Any:
        asked[which := section(body, "Task") + section(body, "Text")] += 1
        return reply(says(WORTH[section(body, "Text")] - 1 + 0.5 * asked[which]))

    answer_with(judge, answer)
    done = prepare_data(data, *options, "--grade-samples", 3, "--parallel", 1)
    assert done.code == 0, done.err
    assert len(judge.requests) == 12
    assert {body["temperature"] for body in judge.requests} == {1.0}
    for references in scored(tmp_path / "out").values():
        assert references == [(WEAK, 2), (GOOD, 9)]


def test_several_judges_are_averaged(
    judge: Any, reply: Any, prepare_data: Script, data: Path, tmp_path: Path, options: list[object]
) -> None:
    answer_with(
        judge, lambda body: reply(says(WORTH[section(body, "Text")] - {"mild": 0, "stern": 1}[body["model"]]))
    )
    done = prepare_data(data, *options, "--judge", "mild,stern", "--grade-temperature", 0.25)
    assert done.code == 0, done.err
    assert Counter(body["model"] for body in judge.requests) == {"mild": 4, "stern": 4}
    assert {body["temperature"] for body in judge.requests} == {0.25}
    for references in scored(tmp_path / "out").values():
        assert references == [(WEAK, 1.5), (GOOD, 8.5)]


def test_the_same_text_twice_is_graded_once(
    judge: Any, prepare_data: Script, tmp_path: Path, options: list[object]
) -> None:
    data = write(tmp_path / "in.jsonl", entry(0, WEAK, GOOD, WEAK), entry(1, WEAK, GOOD), entry(0, GOOD))
    done = prepare_data(data, *options)
    assert done.code == 0, done.err
    assert len(judge.requests) == 4  # a text under two prompts is two questions
    assert "Mean grade by model: good 9.00 (3), weak 2.00 (3)" in done.out


# --- without a grade ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("failing", "grade"), [(0, 5), (1, 6), (2, None), (4, None)])
def test_more_than_half_of_the_grades_must_be_there(
    judge: Any,
    reply: Any,
    prepare_data: Script,
    tmp_path: Path,
    options: list[object],
    failing: int,
    grade: float | None,
) -> None:
    # The fair text gets no answer at first, and then the grades 5, 6, 7; four that do get 4, 5, 5, 6.
    given: dict[int, list[float]] = {0: [4, 5, 5, 6], 1: [5, 6, 7], 2: [5, 6], 4: []}
    says_of_fair = [reply(status=400)] * failing + [reply(says(one)) for one in given[failing]]
    fair = iter(says_of_fair)

    def answer(body: Mapping[str, Any]) -> Any:
        text = section(body, "Text")
        return next(fair) if text == FAIR else reply(says(WORTH[text]))

    answer_with(judge, answer)
    data = write(tmp_path / "in.jsonl", entry(0, WEAK, FAIR, GOOD), entry(1, WEAK, GOOD))
    done = prepare_data(data, *options, "--grade-samples", 4, "--parallel", 1)
    assert done.code == 0, done.err
    between = [] if grade is None else [(FAIR, grade)]
    assert scored(tmp_path / "out")["Write about sea 0."] == [(WEAK, 2), *between, (GOOD, 9)]
    assert ("Without a grade: 1 http_400" in done.out) is (grade is None)
    counts = json.loads((tmp_path / "out/prepare.json").read_text())["counts"]
    assert counts["ungraded_responses"] == (grade is None)


def test_a_judge_without_a_grade_leaves_none_for_the_others(
    judge: Any, reply: Any, prepare_data: Script, tmp_path: Path, options: list[object]
) -> None:
    def answer(body: Mapping[str, Any]) -> Any:
        refused = body["model"] == "stern" and section(body, "Text") == FAIR
        return reply("I will not grade this." if refused else says(WORTH[section(body, "Text")]))

    answer_with(judge, answer)
    data = write(tmp_path / "in.jsonl", *(entry(number, WEAK, FAIR, GOOD) for number in range(2)))
    done = prepare_data(data, *options, "--judge", "mild,stern")
    assert done.code == 0, done.err
    # A mean of those that happened to work would be of another kind.
    assert [text for text, _ in scored(tmp_path / "out")["Write about sea 0."]] == [WEAK, GOOD]
    assert "Without a grade: 2 no_grades; the last: the answer ends in 'I will not grade this.'" in done.out


def test_what_has_no_grade_is_asked_again_only_when_wanted(
    judge: Any, reply: Any, prepare_data: Script, tmp_path: Path, options: list[object]
) -> None:
    working, two = judge.choose, "[[7, 5]]"  # for five criteria
    answer_with(
        judge,
        lambda body: (
            reply(two) if section(body, "Text") == FAIR else reply(says(WORTH[section(body, "Text")]))
        ),
    )
    data = write(tmp_path / "in.jsonl", entry(0, WEAK, FAIR, GOOD), entry(1, WEAK, GOOD))
    first = prepare_data(data, *options)
    assert first.code == 0, first.err
    assert len(judge.requests) == 6  # one is asked a second time
    again = [body for body in judge.requests if len(body["messages"]) == 3]
    assert [message["content"] for message in again[0]["messages"][1:]] == [
        two,
        load_grade_templates().ask_again,
    ]
    assert "(--retry-unscored asks again)" in first.out

    judge.choose = working
    judge.requests.clear()
    assert prepare_data(data, *options, "--force").out == first.out
    assert judge.requests == []
    assert [text for text, _ in scored(tmp_path / "out")["Write about sea 0."]] == [WEAK, GOOD]

    done = prepare_data(data, *options, "--force", "--retry-unscored")
    assert done.code == 0, done.err
    assert [section(body, "Text") for body in judge.requests] == [FAIR]
    assert scored(tmp_path / "out")["Write about sea 0."] == [(WEAK, 2), (FAIR, 5), (GOOD, 9)]
    assert "Without a grade" not in done.out


@pytest.mark.parametrize(
    "ending",
    [
        {"finish_reason": "content_filter", "message": {"content": ""}},
        {"finish_reason": "stop", "message": {"content": None, "refusal": "I cannot grade that."}},
    ],
)
def test_what_is_refused_is_asked_once(
    judge: Any,
    reply: Any,
    prepare_data: Script,
    tmp_path: Path,
    options: list[object],
    ending: dict[str, Any],
) -> None:
    refused = reply(body=json.dumps({"choices": [ending]}))
    answer_with(
        judge,
        lambda body: refused if section(body, "Text") == FAIR else reply(says(WORTH[section(body, "Text")])),
    )
    data = write(tmp_path / "in.jsonl", entry(0, WEAK, FAIR, GOOD), entry(1, WEAK, GOOD))
    done = prepare_data(data, *options)
    assert done.code == 0, done.err
    assert len(judge.requests) == 5
    assert [text for text, _ in scored(tmp_path / "out")["Write about sea 0."]] == [WEAK, GOOD]


# --- what is written when it fails -------------------------------------------------------------------------


def test_a_judge_that_refuses_the_key_is_an_error_in_one_line(
    judge: Any, reply: Any, prepare_data: Script, data: Path, tmp_path: Path, options: list[object]
) -> None:
    answer_with(judge, lambda _: reply(status=401))
    done = prepare_data(data, *options, "--parallel", 1)
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("Error: model m at 127.0.0.1 refuses the key (401 ")
    assert written(tmp_path / "out") == []


def test_no_grade_at_all_is_an_error_that_says_so(
    judge: Any, reply: Any, prepare_data: Script, data: Path, tmp_path: Path, options: list[object]
) -> None:
    answer_with(judge, lambda _: reply("Both texts are good."))
    done = prepare_data(data, *options)
    assert done.code == 1
    assert "Error: no prompt is left of 2" in done.err
    assert "4 without a grade" in done.err
    assert written(tmp_path / "out") == []


def test_an_existing_set_stays_when_grading_fails(
    judge: Any, reply: Any, prepare_data: Script, data: Path, tmp_path: Path, options: list[object]
) -> None:
    assert prepare_data(data, *options).code == 0
    before = {name: (tmp_path / "out" / name).read_bytes() for name in written(tmp_path / "out")}
    assert len(before) == 3
    (tmp_path / "out/grades.jsonl").unlink()
    answer_with(judge, lambda _: reply("Both texts are good."))
    assert prepare_data(data, *options, "--force").code == 1
    assert {name: (tmp_path / "out" / name).read_bytes() for name in written(tmp_path / "out")} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--judge", ""], "no judge is set"),
        (["--judge", "m,m"], "it names one judge twice"),
        (["--grade-samples", 2, "--grade-temperature", 0], "set --grade-temperature above 0"),
        (["--max-cost-usd", 1], "no price of m is known"),
    ],
)
def test_settings_that_cannot_work_ask_nothing(
    judge: Any,
    prepare_data: Script,
    data: Path,
    tmp_path: Path,
    options: list[object],
    arguments: list[object],
    message: str,
) -> None:
    done = prepare_data(data, *options, *arguments)
    assert done.code == 1
    assert message in done.err
    assert done.err.splitlines()[-1].startswith("Error: ")
    assert judge.requests == []
    assert written(tmp_path / "out") == []


def test_an_existing_set_is_told_before_anything_is_asked(
    judge: Any, prepare_data: Script, data: Path, tmp_path: Path, options: list[object]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/test.parquet").write_text("precious")
    done = prepare_data(data, *options)
    assert done.code == 1
    assert "overwrite it with --force" in done.err
    assert judge.requests == []


def test_the_budget_ends_the_start_and_what_was_paid_for_is_kept(
    judge: Any, prepare_data: Script, data: Path, tmp_path: Path, options: list[object]
) -> None:
    done = prepare_data(data, *options, "--max-calls", 3)
    assert done.code == 1
    assert done.err.splitlines()[-1] == "Error: the budget is spent: 3 calls, max_calls is reached"
    assert len(judge.requests) == len(lines(tmp_path / "out")) == 3
    assert written(tmp_path / "out") == []
    assert prepare_data(data, *options, "--max-calls", 3).code == 0
    assert len(judge.requests) == 4
    assert len(written(tmp_path / "out")) == 3


def test_the_key_is_nowhere(
    judge: Any, reply: Any, prepare_data: Script, tmp_path: Path, options: list[object]
) -> None:
    # Some endpoints repeat it in their messages.
    error = json.dumps({"error": {"message": f"no model for key {KEY}", "code": "bad"}})
    answer_with(
        judge,
        lambda body: (
            reply(status=400, body=error)
            if section(body, "Text") == FAIR
            else reply(says(WORTH[section(body, "Text")]))
        ),
    )
    data = write(tmp_path / "in.jsonl", entry(0, WEAK, FAIR, GOOD), entry(1, WEAK, GOOD))
    done = prepare_data(data, *options)
    assert done.code == 0, done.err
    assert f"Bearer {KEY}" in judge.keys
    assert "no model for key (hidden)" in done.out
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 6
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert KEY not in done.out + done.err


def test_other_rules_and_more_prompts_ask_for_nothing_twice(
    judge: Any, prepare_data: Script, tmp_path: Path, options: list[object]
) -> None:
    data = write(tmp_path / "in.jsonl", *(entry(number, WEAK, FAIR, GOOD) for number in range(2)))
    assert prepare_data(data, *options).code == 0
    assert len(judge.requests) == 6
    done = prepare_data(data, *options, "--tie-margin", 3, "--force")
    assert done.code == 0, done.err
    assert len(judge.requests) == 6
    for references in scored(tmp_path / "out").values():
        assert references == [(FAIR, 5), (GOOD, 9)]
    more = write(tmp_path / "more.jsonl", entry(7, WEAK, GOOD))
    assert prepare_data(data, more, *options, "--force").code == 0
    assert [section(body, "Task") for body in judge.requests[6:]] == ["Write about sea 7."] * 2


def test_more_samples_ask_only_for_the_additional_ones(
    judge: Any, prepare_data: Script, data: Path, tmp_path: Path, options: list[object]
) -> None:
    assert prepare_data(data, *options, "--grade-temperature", 0.5).code == 0
    more = [*options, "--grade-samples", 3, "--force"]
    done = prepare_data(data, *more)
    assert done.code == 1
    assert "was made with temperature = 0.5, and now it is 1.0" in done.err
    assert len(judge.requests) == 4
    done = prepare_data(data, *more, "--grade-temperature", 0.5)
    assert done.code == 0, done.err
    assert len(judge.requests) == 12
    assert json.loads((tmp_path / "out/prepare.json").read_text())["settings"]["grade_samples"] == 3
    # Fewer are a part of them.
    assert prepare_data(data, *options, "--grade-temperature", 0.5, "--force").code == 0
    assert len(judge.requests) == 12


@pytest.mark.parametrize("change", ["judges", "base_url", "instructions_sha256"])
def test_grades_of_another_scale_are_refused(
    judge: Any,
    prepare_data: Script,
    data: Path,
    tmp_path: Path,
    options: list[object],
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    assert prepare_data(data, *options).code == 0
    before = (tmp_path / "out/grades.jsonl").read_bytes()
    arguments: list[object] = [*options, "--force"]
    if change == "judges":
        arguments += ["--judge", "other"]
    elif change == "base_url":
        arguments += ["--base-url", judge.url + "/"]
    else:
        edited = replace(load_grade_templates(), criteria="1. Brevity.")
        monkeypatch.setattr("writing_rl.judging.grade.load_grade_templates", lambda: edited)
    done = prepare_data(data, *arguments)
    assert done.code == 1
    assert f"Error: {tmp_path / 'out/grades.jsonl'} was made with {change} = " in done.err
    assert len(judge.requests) == 4
    assert (tmp_path / "out/grades.jsonl").read_bytes() == before


# --- means -------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]) | st.none(), st.integers(1, 10).map(float))))
def test_the_mean_of_each_model_the_best_first(given_scores: Iterable[tuple[str | None, float]]) -> None:
    given_scores = list(given_scores)
    means = mean_by_model(given_scores)
    assert {name for name, _, _ in means} == {name for name, _ in given_scores if name is not None}
    assert [mean for _, mean, _ in means] == sorted((mean for _, mean, _ in means), reverse=True)
    for model, mean, number in means:
        scores = [score for name, score in given_scores if name == model]
        assert number == len(scores)
        assert mean == pytest.approx(sum(scores) / len(scores))
