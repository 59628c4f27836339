from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from writing_rl.data.grading import Grading
from writing_rl.data.selection.policy import PolicyFiles, check_scale
from writing_rl.errors import SettingError
from writing_rl.judging.grade import GradeTemplates, load_grade_templates
from writing_rl.judging.settings import JudgeSettings

KEY = "sk-a-key-that-nobody-may-see"

#: References; the digits are the grade that the judge gives a text.
LOW = "The sea is big. It is blue. The end. (grade 2)"
HIGH = "When the tide went out that evening, it left my grandfather's boat on the sand. (grade 9)"


Script = Callable[..., Any]


@pytest.fixture
def run(run_cli: Script) -> Script:
    """Runs a script in this process."""
    return run_cli


class Models:
    """An endpoint with a policy and a judge.

    Attributes:
        server: What answers.
        policy: What the policy says to the task of a number, one after another.
        written: The requests to the policy.
        graded: The requests to the judge.
    """

    def __init__(self, server: Any, reply: Any) -> None:
        self.server, self.reply = server, reply
        self.policy: dict[int, list[Any]] = {}
        self.written: list[dict[str, Any]] = []
        self.graded: list[dict[str, Any]] = []
        server.choose = lambda number: self.answer(server.requests[number - 1])

    def answer(self, body: dict[str, Any]) -> Any:
        if body["model"] == "policy":
            self.written.append(body)
            number = int(body["messages"][-1]["content"].split()[-1].strip("."))
            said = self.policy[number].pop(0)
            return self.reply(said) if isinstance(said, str) else said
        self.graded.append(body)
        if (found := re.search(r"\(grade (\S+)\)", text_of(body))) is None:
            return self.reply("I cannot say.")
        default = load_grade_templates().criteria.strip() in body["messages"][0]["content"]
        return self.reply(f"[[{', '.join([found[1]] * (5 if default else 1))}]]")

    def forget(self) -> None:
        """Forgets what was asked."""
        for requests in (self.server.requests, self.written, self.graded):
            requests.clear()


def text_of(body: Mapping[str, Any]) -> str:
    """The text in a request to the judge."""
    found = re.search(r"=== Text ===\n(.*)\n=== End of text", body["messages"][0]["content"], re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def models(judge_server: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> Models:
    monkeypatch.setenv("OPENAI_BASE_URL", judge_server.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return Models(judge_server, reply)


@pytest.fixture
def data(models: Models, run: Script, tmp_path: Path) -> Path:
    """Four samples whose references a judge has graded; the second has criteria of its own."""
    path = tmp_path / "in.jsonl"
    lines: list[dict[str, Any]] = [
        {"prompt": f"Write about sea {number}.", "responses": [{"text": LOW}, {"text": HIGH}]}
        for number in range(5)
    ]
    lines[1]["criteria"] = "Salt alone."
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    done = run(
        "data",
        "prepare",
        *(path, "--out", tmp_path / "all", "--scores", "grade", "--judge", "judge", "--test-count", 1),
        *("--system", "You write.", "--parallel", 4),  # as many connections as the server takes at once
    )
    assert done.code == 0, done.err
    models.forget()
    return tmp_path / "all" / "train.parquet"


def ids(data: Path) -> list[int]:
    import pyarrow.parquet

    return [row["index"] for row in pyarrow.parquet.read_table(data).column("extra_info").to_pylist()]


@pytest.fixture
def select(data: Path, run: Script, tmp_path: Path) -> Script:
    """Runs `select_data.py` on the data set, with the policy and the judge, one request at a time."""
    options = (data, "--out", tmp_path / "out.parquet", "--policy-model", "policy")
    judge = ("--judge", "judge", "--parallel", 1, "--top", 2)
    return lambda *arguments: run("data", "select", *options, *judge, *arguments)


@pytest.fixture
def no_plot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture takes longer than all the rest."""
    monkeypatch.setattr("writing_rl.data.selection.plot.draw", lambda *_: b"a picture")


def reads(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def text(grade: float) -> str:
    return f"The waves rolled in. (grade {grade:g})"


# --- the whole way -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_plot")
def test_margins_are_the_best_reference_less_the_policys_mean(
    models: Models, data: Path, select: Script, run: Script, tmp_path: Path
) -> None:
    assert len(ids(data)) == 4
    for place, id in enumerate(ids(data)):
        models.policy[id] = [text(place + 1), f"<think>(grade 10)</think>\n{text(place + 4)}\n"]
    done = select("--policy-samples", 2, "--policy-temperature", 0.75, "--policy-max-tokens", 77)
    assert done.code == 0, done.err
    assert f"{tmp_path / 'out.policy.jsonl'}: 8 of 8 responses of the policy are scored" in done.out
    assert "how the references were graded" not in done.out

    # The policy sees the sample's chat, and the judge what is left without a thinking part.
    assert len(models.written) == 8
    for body in models.written:
        assert (body["temperature"], body["max_tokens"]) == (0.75, 77)
        assert [message["role"] for message in body["messages"]] == ["system", "user"]
        assert body["messages"][0]["content"] == "You write."
    assert len(models.graded) == 8
    assert {body["temperature"] for body in models.graded} == {0.0}
    defaults = load_grade_templates().criteria.strip()
    for body in models.graded:
        content = body["messages"][0]["content"]
        assert "think" not in text_of(body)
        assert ("Salt alone." in content) is ("Write about sea 1." in content) is (defaults not in content)

    assert Counter((line["id"], line["score"]) for line in reads(tmp_path / "out.policy.jsonl")) == Counter(
        (id, score) for place, id in enumerate(ids(data)) for score in (place + 1, place + 4)
    )
    rows = table(tmp_path / "out.selection.csv")
    assert [(int(row["id"]), float(row["policy_score"]), float(row["margin"])) for row in rows] == [
        (id, place + 2.5, 9 - (place + 2.5)) for place, id in enumerate(ids(data))
    ]
    assert {(row["best_score"], row["samples_k"]) for row in rows} == {("9.0", "2")}
    assert ids(tmp_path / "out.parquet") == ids(data)[:2]

    # The file alone gives the same, and nobody is asked.
    models.forget()
    done = run(
        "data",
        "select",
        *(data, "--policy", tmp_path / "out.policy.jsonl", "--out", tmp_path / "two.parquet"),
        *("--top", 2),
    )
    assert done.code == 0, done.err
    for ending in (".parquet", ".selection.csv"):
        assert (tmp_path / f"two{ending}").read_bytes() == (tmp_path / f"out{ending}").read_bytes()
    # So does the same start.
    before = (tmp_path / "out.policy.jsonl").read_bytes()
    done = select("--policy-samples", 2, "--policy-temperature", 0.75, "--policy-max-tokens", 77, "--force")
    assert done.code == 0, done.err
    assert (tmp_path / "out.policy.jsonl").read_bytes() == before
    assert models.server.requests == []

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert KEY not in done.out + done.err


@pytest.mark.usefixtures("no_plot")
def test_more_responses_ask_only_for_the_additional_ones(
    models: Models, data: Path, select: Script, tmp_path: Path
) -> None:
    for id in ids(data):
        models.policy[id] = [text(3), text(4), text(8)]
    assert select().code == 0
    models.forget()
    done = select("--policy-samples", 3, "--force")
    assert done.code == 0, done.err
    assert (len(models.written), len(models.graded)) == (8, 8)
    assert {row["policy_score"] for row in table(tmp_path / "out.selection.csv")} == {"5.0"}


@pytest.mark.usefixtures("no_plot")
def test_a_policy_at_an_address_of_its_own(
    models: Models, data: Path, select: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL")
    url = models.server.url
    for id in ids(data):
        models.policy[id] = [text(3)]
    done = select("--policy-model", f"policy@{url}", "--base-url", url)
    assert done.code == 0, done.err
    assert {body["model"] for body in models.written} == {"policy"}
    assert (len(models.written), len(models.graded)) == (4, 4)


# --- responses without a grade -----------------------------------------------------------------------------


@pytest.mark.usefixtures("no_plot")
@pytest.mark.parametrize("empty", ["<think>It never ends (grade 9)", "<think>Hm.</think> \n", ""])
def test_an_empty_answer_has_the_lowest_grade(
    models: Models, data: Path, select: Script, tmp_path: Path, empty: str
) -> None:
    first, *others = ids(data)
    models.policy = {first: [text(6), empty], **{id: [text(7), text(5)] for id in others}}
    done = select("--policy-samples", 2)
    assert done.code == 0, done.err
    assert "8 of 8 responses of the policy are scored" in done.out
    assert "1 have no text besides a thinking part: they have the lowest grade" in done.out
    assert len(models.graded) == 7
    scores = {int(row["id"]): float(row["policy_score"]) for row in table(tmp_path / "out.selection.csv")}
    assert scores == {first: 3.5, **dict.fromkeys(others, 6.0)}


@pytest.mark.usefixtures("no_plot")
def test_a_failed_response_leaves_its_sample_unscored(
    models: Models, reply: Any, data: Path, select: Script, tmp_path: Path
) -> None:
    first, *others = ids(data)
    models.policy = {first: [reply(status=400), text(3)], **{id: [text(4)] for id in others}}
    done = select()
    assert done.code == 1
    file = tmp_path / "out.policy.jsonl"
    assert f"Error: {file} has no score for sample {first}, and for 1 of 4 rows in all" in done.err
    assert not (tmp_path / "out.parquet").exists()
    assert "3 of 4 responses of the policy are scored" in done.out
    assert f"1 could not be written: see {tmp_path / 'out.policy_responses.jsonl'}" in done.out

    models.forget()
    done = select("--skip-unscored")
    assert done.code == 0, done.err
    assert models.server.requests == []  # no failure is asked again unasked
    rows = {int(row["id"]): row for row in table(tmp_path / "out.selection.csv")}
    assert (rows[first]["policy_score"], rows[first]["why"]) == ("", "no policy score")
    assert ids(tmp_path / "out.parquet") != [first]

    done = select("--retry-unscored", "--force")
    assert done.code == 0, done.err
    assert (len(models.written), len(models.graded)) == (1, 1)
    assert first in ids(tmp_path / "out.parquet")


@pytest.mark.usefixtures("no_plot")
def test_an_ungraded_response_leaves_its_sample_unscored(
    models: Models, data: Path, select: Script, tmp_path: Path
) -> None:
    first, second, *others = ids(data)
    models.policy = {first: ["No grade.", "None here."], second: [text(4), "No grade."]}
    models.policy |= {id: [text(4), text(6)] for id in others}
    done = select("--policy-samples", 2)
    assert done.code == 1
    assert f"has no score for sample {first}, and for 1 of 4 rows" in done.err
    assert f"3 could not be graded: see {tmp_path / 'out.policy_grades.jsonl'}" in done.out
    done = select("--policy-samples", 2, "--skip-unscored")
    assert done.code == 0, done.err
    scores = {int(row["id"]): row["policy_score"] for row in table(tmp_path / "out.selection.csv")}
    # Never a made-up grade: a mean is over those that there are.
    assert scores == {first: "", second: "4.0", **dict.fromkeys(others, "5.0")}


@pytest.mark.parametrize(
    ("status", "said", "message"),
    [
        (400, "", "the policy wrote nothing: http_400"),
        (200, "No grade.", "no response of the policy could be"),
    ],
)
def test_nothing_at_all_is_an_error_that_says_where(
    models: Models,
    reply: Any,
    data: Path,
    select: Script,
    tmp_path: Path,
    status: int,
    said: str,
    message: str,
) -> None:
    models.policy = {id: [reply(said, status=status)] for id in ids(data)}
    done = select()
    assert done.code == 1
    assert f"Error: {message}" in done.err
    assert str(tmp_path / "out.policy_responses.jsonl") in done.err
    assert not (tmp_path / "out.policy.jsonl").exists()
    assert not (tmp_path / "out.parquet").exists()


# --- before anything is paid for ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["out.parquet", "out.selection.csv", "out.selection.json"])
def test_outputs_are_checked_first(models: Models, select: Script, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    done = select()
    assert done.code == 1
    assert f"Error: {tmp_path / name} exists already" in done.err
    assert models.server.requests == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "all/train.parquet"], "would replace the input"),
        (["--out", "out.csv"], "give it a name that ends in .parquet"),
        (["--out", "."], "give it a name that ends in .parquet"),
        (["--judge", ""], "no judge is set"),
        (["--policy-model", "policy,other"], "there is one policy"),
        (["--policy-model", "offline"], "cannot write any"),
        (["--policy-model", "./nowhere"], "does not exist"),
        (["--judge", "other"], "were graded with judges = ['judge']"),
        (["--grade-temperature", 0.5], "were graded with temperature = 0.0"),
        (["--base-url", "http://127.0.0.1:9/v1"], "were graded with base_url = "),
    ],
)
def test_settings_that_cannot_work_ask_nothing(
    models: Models,
    select: Script,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: Sequence[object],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = select(*arguments)
    assert done.code == 1
    assert message in done.err
    assert done.err.splitlines()[-1].startswith("Error: ")
    assert models.server.requests == []
    assert not list(tmp_path.glob("*policy*"))


def test_the_budget_is_for_both_stages_and_what_was_paid_for_is_kept(
    models: Models, data: Path, select: Script, tmp_path: Path
) -> None:
    models.policy = {id: [text(3)] for id in ids(data)}
    done = select("--max-calls", 6)
    assert done.code == 1
    assert done.err.splitlines()[-1] == "Error: the budget is spent: 6 calls, max_calls is reached"
    assert (len(models.written), len(models.graded)) == (4, 2)
    assert len(reads(tmp_path / "out.policy_responses.jsonl")) == 4
    assert len(reads(tmp_path / "out.policy_grades.jsonl")) == 2
    assert not (tmp_path / "out.policy.jsonl").exists()


def test_the_files_lie_beside_the_selection() -> None:
    names = ("policy_responses.jsonl", "policy_grades.jsonl", "policy.jsonl")
    assert PolicyFiles.beside(Path("a/b.c.parquet")) == PolicyFiles(
        *(Path("a") / f"b.c.{name}" for name in names)
    )


# --- one scale ---------------------------------------------------------------------------------------------

SETTINGS = JudgeSettings(("judge",), base_url="http://here/v1")
GRADING = Grading(SETTINGS, GradeTemplates("{prompt}{text}{criteria}", "1. Style.", "again"))


def record(folder: Path, scores: str, **judged: Any) -> Path:
    content = {"settings": {"scores": scores}, "judged": judged}
    (folder / "prepare.json").write_text(json.dumps(content), encoding="utf-8")
    return folder / "train.parquet"


def test_grades_of_the_same_kind_may_be_compared(tmp_path: Path) -> None:
    judged = {"grades.jsonl": {"file": "grades.jsonl", "sha256": "0", **GRADING.settings}}
    assert check_scale(record(tmp_path, "graded", **judged), GRADING) == ""
    # How many there are makes no other scale.
    several = Grading(replace(SETTINGS, temperature=1.0), GRADING.templates, 3)
    judged["grades.jsonl"]["temperature"] = 1.0
    assert check_scale(record(tmp_path, "graded", **judged), several) == ""


@pytest.mark.parametrize("name", ["judges", "base_url", "temperature", "instructions_sha256"])
def test_another_scale_is_refused_and_named(tmp_path: Path, name: str) -> None:
    judged = {"grades.jsonl": {**GRADING.settings, name: "another"}}
    with pytest.raises(SettingError, match=rf"were graded with {name} = 'another' \(.*prepare\.json\)"):
        check_scale(record(tmp_path, "graded", **judged), GRADING)
    del judged["grades.jsonl"][name]
    with pytest.raises(SettingError, match=f"were graded with {name} = None"):
        check_scale(record(tmp_path, "graded", **judged), GRADING)


def test_ranks_of_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"are ranks of models .*--scores grade"):
        check_scale(record(tmp_path, "model_order"), GRADING)


def test_given_scores_are_noted(tmp_path: Path) -> None:
    for judged in ({}, {"confirmations.jsonl": {"stage": "confirmations", "judges": ["another"]}}):
        assert "scores that were given" in check_scale(record(tmp_path, "given", **judged), GRADING)


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"settings": {"scores": "graded"}}', "null"])
def test_a_record_that_is_missing_or_damaged_is_noted(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "prepare.json").write_text(content)
    note = check_scale(tmp_path / "train.parquet", GRADING)
    assert note.startswith(f"Note: no {tmp_path / 'prepare.json'} says how the references were graded")


@pytest.mark.usefixtures("no_plot")
def test_the_note_is_shown(models: Models, data: Path, select: Script) -> None:
    data.with_name("prepare.json").unlink()
    models.policy = {id: [text(3)] for id in ids(data)}
    done = select("--judge", "judge,another")
    assert done.code == 0, done.err
    assert "Note: no " in done.out


def test_a_judge_without_a_key_is_told_before_anything_is_paid_for(
    models: Models, data: Path, run: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = json.loads(data.with_name("prepare.json").read_text())
    record["judged"]["grades.jsonl"]["base_url"] = None
    data.with_name("prepare.json").write_text(json.dumps(record))
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")
    arguments = (data, "--out", tmp_path / "out.parquet", "--judge", "judge", "--top", 2)
    done = run("data", "select", *arguments, "--policy-model", f"policy@{models.server.url}")
    assert done.code == 1
    assert "model judge needs a key" in done.err
    assert models.written == []
