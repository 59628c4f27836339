"""`writing-rl data check` and what is behind it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.commands import writing_rl
from writing_rl.data.checking.check import Report, Tokens, check, read_scores
from writing_rl.data.checking.describe import script_of
from writing_rl.data.checking.findings import SHOWN_ROWS, Finding, bare

Row = dict[str, Any]
MakeRow = Callable[..., Row]
WriteParquet = Callable[[Path, Sequence[Mapping[str, Any]]], Path]

LONG = " and then it goes on for a while"
REFERENCES = tuple(f"{name}{LONG}" for name in ("A weak text", "A better text", "The best text"))


@pytest.fixture
def row(make_row: MakeRow) -> MakeRow:
    """Makes a row that nothing is wrong with; each argument replaces a good value."""

    def row(id: int, *, scores: Any = None, **values: Any) -> Row:
        made = make_row(id, **{"prompt": f"Write about number {id}.", "target": REFERENCES, **values})
        if scores is not None:
            made["extra_info"]["scores"] = scores
        return made

    return row


@pytest.fixture
def train(tmp_path: Path, write_parquet: WriteParquet) -> Callable[..., Path]:
    """Writes a training set."""
    return lambda *rows: write_parquet(tmp_path / "data" / "train.parquet", rows)


@pytest.fixture
def validation(tmp_path: Path, write_parquet: WriteParquet) -> Callable[..., Path]:
    """Writes a test set."""
    return lambda *rows: write_parquet(tmp_path / "data" / "test.parquet", rows)


class Words:
    """A tokenizer that takes a word for a token, and a chat for its contents."""

    def apply_chat_template(self, chat: list[dict[str, str]], **_: Any) -> str:
        if any("REFUSED" in message["content"] for message in chat):
            raise ValueError("no such\nchat")
        return " ".join(message["content"] for message in chat)

    def __call__(self, texts: list[str], **_: Any) -> dict[str, list[list[str]]]:
        return {"input_ids": [text.split() for text in texts]}


def only_warning(report: Report) -> str:
    assert report.errors == []
    (warning,) = report.warnings
    assert "\n" not in warning
    return warning


def only_error(report: Report) -> str:
    assert report.warnings == []
    (error,) = report.errors
    assert "\n" not in error
    return error


# --- nothing wrong ------------------------------------------------------------------------------------------


def test_good_files_are_described(
    tmp_path: Path, row: MakeRow, train: Callable[..., Path], validation: Callable[..., Path]
) -> None:
    index = tmp_path / "index.json"
    index.write_text('{"0": 0, "1": 1}')
    first = train(
        row(0, scores=[0.1, 0.5, 0.75]),
        row(1, prompt="写一个关于大海的故事", target=REFERENCES[:2], scores=[0.3, 0.75]),
    )
    report = check(first, validation(row(9, split="test")), index)
    assert (report.errors, report.warnings) == ([], [])
    text = "\n".join(report.lines())
    for part in (
        f"{first}: 2 samples\n",
        "references a sample          2 / 2 / 3  (least",
        "prompt, characters           10 / 10 / 21  (least",
        "script of prompts            Latin 50.0%, Han 50.0%",
        "script of references         Latin 100.0%",
        "stored scores                worst 0.2, best 0.75 (means of 2 rows)",
        f"{index}: 2 samples, mean index 0.50\n",
        "at their last reference: 1 of 2 (50%)\n",
        "test.parquet: 1 sample\n",
    ):
        assert part in text
    assert text.endswith("\nThis data can be trained on: 0 errors, 0 warnings")


def test_a_set_that_is_named_by_extra_info_index_says_so(row: MakeRow, train: Callable[..., Path]) -> None:
    report = check(train(row(0, index=0), row(0, index=1, prompt="Another task.")), None)
    assert (report.errors, report.warnings) == ([], [])
    assert any("named by extra_info.index" in line for line in report.summary)


def test_one_set_alone_can_be_checked(row: MakeRow, validation: Callable[..., Path]) -> None:
    assert check(None, validation(row(0, split="test"), row(0, split="test", prompt="Other."))).errors == []


# --- errors -------------------------------------------------------------------------------------------------


def test_the_first_error_of_each_file_is_told(
    row: MakeRow, train: Callable[..., Path], validation: Callable[..., Path]
) -> None:
    first = train(row(0), row(1, target=()), row(2, target=()))
    second = validation(row(0, split="test", prompt=" "))
    report = check(first, second)
    assert report.errors == [
        f"{first}, row 1: reward_model.ground_truth.target is empty: a sample needs at least one reference",
        f"{second}, row 0: the user message of prompt is empty, it must be a text",
    ]
    assert list(report.lines())[-1] == "This data cannot be trained on: 2 errors, 0 warnings"


def test_a_set_of_the_other_split(row: MakeRow, train: Callable[..., Path]) -> None:
    path = train(row(0), row(1, split="test"))
    assert only_error(check(path, None)) == (
        f"{path}, row 1: extra_info.split is 'test', but this file is used as the train set"
    )


def test_samples_that_nothing_names(row: MakeRow, train: Callable[..., Path]) -> None:
    path = train(row(0), row(0, prompt="Another task."))
    assert only_error(check(path, None)).startswith(f"{path}, rows 0 and 1 have the same ")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, " does not exist: make it with writing-rl index create"),
        ("{", " is not JSON ("),
        ('{"0": 0}', " lacks 1 of 2 samples, the first is id 1: complete it with writing-rl index create"),
        ('{"0": 0, "1": 3}', ", id 1: the index is 3, but the sample has 3 reference(s)"),
        ('{"0": 0, "1": 0, "2": 0}', ", id 2: the training data has no such sample"),
    ],
)
def test_an_index_file_that_does_not_fit(
    tmp_path: Path, row: MakeRow, train: Callable[..., Path], content: str | None, complaint: str
) -> None:
    index = tmp_path / "index.json"
    if content is not None:
        index.write_text(content)
    assert only_error(check(train(row(0), row(1)), None, index)).startswith(f"{index}{complaint}")


def test_a_prompt_of_too_many_tokens(row: MakeRow, train: Callable[..., Path]) -> None:
    path = train(row(0), row(1, prompt="Write " * 9), row(2, prompt="Write it " * 9))
    tokens = Tokens(Words(), prompt=10)  # the system message has two
    assert only_error(check(path, None, None, tokens)) == (
        f"{path}, row 1: the prompt has 11 tokens, the limit is 10: raise data.max_prompt_length, or leave "
        "such rows out with data.filter_overlong_prompts=true"
    )
    assert check(path, None, None, Tokens(Words(), prompt=20)).errors == []


def test_a_prompt_that_the_chat_template_refuses(row: MakeRow, train: Callable[..., Path]) -> None:
    path = train(row(0), row(1, prompt="REFUSED"))
    assert only_error(check(path, None, None, Tokens(Words()))) == (
        f"{path}, row 1: the tokenizer's chat template does not take the prompt (no such chat): change its "
        "messages, or use another model"
    )


# --- warnings -----------------------------------------------------------------------------------------------


def test_a_prompt_that_repeats(row: MakeRow, train: Callable[..., Path]) -> None:
    path = train(row(0), row(1), row(2, prompt="write, about  NUMBER １"))
    assert only_warning(check(path, None)) == (
        f"{path}: the prompt of an earlier row again: 1 row: 2 (as row 1)"
    )


def test_a_test_prompt_that_is_trained_on(
    row: MakeRow, train: Callable[..., Path], validation: Callable[..., Path]
) -> None:
    path = validation(row(7, split="test"), row(8, split="test", prompt="Write about number 1!"))
    warning = only_warning(check(train(row(0), row(1)), path))
    assert warning.startswith(f"{path}: a prompt of the training set")
    assert warning.endswith(": 1 row: 1 (training row 1)")


def test_a_reference_that_occurs_twice(row: MakeRow, train: Callable[..., Path]) -> None:
    path = train(row(0), row(1, target=(REFERENCES[0], f"{REFERENCES[0]} ")))
    assert only_warning(check(path, None)) == f"{path}: a reference occurs twice: 1 row: 1"


def test_one_reference_only(
    row: MakeRow, train: Callable[..., Path], validation: Callable[..., Path]
) -> None:
    path = train(row(0, target=REFERENCES[:1]), row(1))
    other = validation(row(0, split="test", prompt="Other.", target=REFERENCES[:1]))  # enough to validate
    assert only_warning(check(path, other)) == (
        f"{path}: only one reference, which the sample can never move on from: 1 row: 0"
    )


@pytest.mark.parametrize(
    ("scores", "complaint"),
    [
        ([0.1, 0.3, 0.2], "goes down, though the references must get better: 1 row: 1 (0.1, 0.3, 0.2)"),
        ([0.1, 0.3, 0.3], "does not increase, two references have the same: 1 row: 1 (0.1, 0.3, 0.3)"),
        ([0.1, 0.3], "is not one number a reference: 1 row: 1"),
        ([0.1, None, 0.3], "is not one number a reference: 1 row: 1"),
        ([0.1, float("nan"), 0.3], "is not one number a reference: 1 row: 1"),
    ],
)
def test_scores_that_do_not_increase(
    row: MakeRow, train: Callable[..., Path], scores: list[Any], complaint: str
) -> None:
    path = train(row(0, scores=[0.1, 0.2, 0.3]), row(1, scores=scores), row(2))
    assert only_warning(check(path, None)) == f"{path}: extra_info.scores {complaint}"


def test_scores_are_optional(row: MakeRow, train: Callable[..., Path]) -> None:
    assert read_scores(train(row(0))) is None
    assert read_scores(train(row(0) | {"extra_info": {"index": 0, "split": "train", "scores": None}})) is None
    assert read_scores(train(row(0, scores=[1.0, 2.0, 3.0]), row(1))) == [[1.0, 2.0, 3.0], None]


def test_scores_of_another_type(row: MakeRow, train: Callable[..., Path]) -> None:
    warning = only_warning(check(train(row(0, scores="high")), None))
    assert warning.endswith("extra_info.scores is not one number a reference: 1 row: 0")


def test_a_reference_that_the_policy_cannot_reach(row: MakeRow, train: Callable[..., Path]) -> None:
    path = train(row(0), row(1, target=(REFERENCES[0], "word " * 30)), row(2))
    report = check(path, None, None, Tokens(Words(), response=20))
    assert only_warning(report) == (
        f"{path}: a reference of more than 20 tokens, the longest that the policy can write: "
        "1 row: 1 (30 tokens)"
    )
    (line,) = (line for line in report.summary if line.startswith("  reference, tokens "))
    assert " 11 / 11 / 30 " in line


def test_a_very_short_reference(row: MakeRow, train: Callable[..., Path]) -> None:
    path = train(row(0, target=(REFERENCES[0], f" {'x' * 19} ")), row(1, target=(REFERENCES[0], "x" * 20)))
    assert only_warning(check(path, None)) == (
        f"{path}: a reference of fewer than 20 characters: 1 row: 0 (target[1] has 19)"
    )


def test_a_judge_that_reads_another_task(row: MakeRow, train: Callable[..., Path]) -> None:
    other, wrapped, longer = row(0), row(1), row(2)
    other["reward_model"]["ground_truth"]["prompt"] = "Write about something else."
    wrapped["prompt"][1]["content"] = "Write about\nnumber   1."
    longer["prompt"][1]["content"] = "Be brief. Write about number 2. Thanks!"
    silent = row(3)
    silent["prompt"][1]["role"] = "assistant"
    warning = only_warning(check(train(other, wrapped, longer, silent), None))
    assert "the user message does not hold ground_truth.prompt" in warning
    assert warning.endswith(": 2 rows: 0, 3 (it has no user message)")


def test_only_the_first_rows_are_named() -> None:
    text = str(Finding("something", [(row, "") for row in range(SHOWN_ROWS + 7)]))
    assert text == "something: 12 rows: 0, 1, 2, 3, 4 and 7 more"


# --- texts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("Write a story.", "write  a\nSTORY!", True),
        ("写一个故事。", "写一个 故事", True),
        ("Ｗｒｉｔｅ ﬁve", "write five", True),
        ("“Straße”", "strasse", True),
        ("Write about C++", "Write about C", False),
        ("कि", "की", False),
        ("???", "!!!", False),
    ],
)
def test_what_makes_two_prompts_the_same(a: str, b: str, same: bool) -> None:
    assert (bare(a) == bare(b)) is same


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Once upon a time", "Latin"),
        ("“Él leyó naïve”, 1984", "Latin"),
        ("从前有一座山", "Han"),
        ("用Python写一个故事，关于大海和星星的", "Han"),
        ("むかしむかし、あるところに", "other"),
        ("Жили-были", "other"),
        ("123 ...", "other"),
    ],
)
def test_the_script_of_a_text(text: str, script: str) -> None:
    assert script_of(text) == script


# --- the script ---------------------------------------------------------------------------------------------


@pytest.fixture
def run(repository: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the script in a temporary working directory."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return writing_rl("data", "check", *arguments, cwd=tmp_path, env={**os.environ, **environment})

    return run


Run = Callable[..., subprocess.CompletedProcess[str]]


def test_the_script_checks_the_usual_files(
    tmp_path: Path, run: Run, row: MakeRow, train: Callable[..., Path], validation: Callable[..., Path]
) -> None:
    train(row(0))
    validation(row(0, split="test", prompt="Other."))
    done = run("--strict")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("data/train.parquet: 1 sample\n")
    assert done.stdout.endswith("This data can be trained on: 0 errors, 0 warnings\n")
    assert "mean index" not in done.stdout

    index = tmp_path / "running_file" / "index_other.json"
    index.parent.mkdir()
    index.write_text('{"0": 0, "5": 0}')
    done = run(EXPERIMENT_NAME="other", DATA_DIR=str(tmp_path / "data"))
    assert done.returncode == 1
    assert "Error: running_file/index_other.json, id 5: the training data has no such sample" in done.stdout
    index.write_text('{"0": 2}')
    done = run("--data-dir", "data", "--index", str(index))
    assert done.returncode == 0
    assert f"{index}: 1 samples, mean index 2.00\n" in done.stdout


def test_warnings_alone_are_no_failure_unless_strict(
    run: Run, row: MakeRow, train: Callable[..., Path]
) -> None:
    train(row(0), row(0, index=1))  # an index that names the samples is told once, in the report
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert "Warning: data/test.parquet does not exist: " in done.stdout
    assert (
        "Warning: data/train.parquet: the prompt of an earlier row again: 1 row: 1 (as row 0)\n"
        in done.stdout
    )
    assert done.stdout.endswith("This data can be trained on: 0 errors, 2 warnings\n")
    assert run("--strict").returncode == 1


def test_a_file_that_is_named_must_exist(run: Run, row: MakeRow, train: Callable[..., Path]) -> None:
    done = run("--train", str(train(row(0))), "--test", "no.parquet")
    assert done.returncode == 1
    assert "Error: no.parquet does not exist: make it, or " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("--data-dir data --train a", "give either --data-dir, or --train and --test"),
        ("--test a --index b", "--index belongs to a training set"),
        ("--max-prompt-length 5", "--max-prompt-length is in tokens: give --tokenizer, too"),
        ("--max-response-length 5", "--max-response-length is in tokens: give --tokenizer, too"),
        ("--tokenizer a --max-prompt-length 0", "it must be a whole number of at least 1"),
    ],
)
def test_arguments_that_do_not_fit(run: Run, arguments: str, complaint: str) -> None:
    done = run(*arguments.split())
    assert done.returncode == 2
    assert complaint in done.stderr


def test_the_script_counts_tokens(tmp_path: Path, run: Run, row: MakeRow, train: Callable[..., Path]) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    folder = tmp_path / "model"
    folder.mkdir()
    words.save(str(folder / "tokenizer.json"))
    template = "{% for message in messages %}{{ message.content }} {% endfor %}"
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": template})
    )
    path = str(train(row(0)))
    limits = ("--max-prompt-length", "5", "--max-response-length", "10")
    done = run("--train", path, "--tokenizer", str(folder), *limits)
    assert done.returncode == 1, done.stderr
    assert f"Error: {path}, row 0: the prompt has 6 tokens, the limit is 5: " in done.stdout
    assert f"Warning: {path}: a reference of more than 10 tokens, " in done.stdout

    done = run("--train", path, "--tokenizer", str(tmp_path / "none"), HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        f"Error: --tokenizer is {tmp_path / 'none'}, whose tokenizer "
    )
