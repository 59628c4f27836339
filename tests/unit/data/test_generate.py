from __future__ import annotations

import contextlib
import errno
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from writing_rl.cli import judge_options as options
from writing_rl.cli import main
from writing_rl.data import writers
from writing_rl.data.generate import Generation, questions_of
from writing_rl.data.preparation.raw_prompts import read_raw_prompts
from writing_rl.data.prompt_files import Prompt
from writing_rl.data.writers import Writer, parse_writers
from writing_rl.dataset.system_message import SYSTEM
from writing_rl.errors import DataError, SettingError
from writing_rl.judging.client import request_queue
from writing_rl.judging.settings import JudgeSettings
from writing_rl.models.placement import Placement
from writing_rl.models.serve import Server
from writing_rl.util.console import exit_with_message

KEY = "sk-0123456789abcdef"


def completion(text: str | None, ending: str = "stop") -> str:
    """The body of an answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": ending}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return json.dumps({"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage})


def write(path: Path, *entries: Any) -> Path:
    entries = tuple({"prompt": entry} if isinstance(entry, str) else entry for entry in entries)
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries), encoding="utf-8")
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def asked(server: Any) -> Counter[tuple[str, str]]:
    """How often each model was asked for each prompt."""
    return Counter((request["model"], request["messages"][-1]["content"]) for request in server.requests)


class Done(NamedTuple):
    """What came of a start of the script."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        return self.err.rstrip("\n").split("\n")[-1]


Start = Callable[..., Done]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Start:
    """Starts the script within this process, which does not wait before it asks again."""
    monkeypatch.setattr(request_queue, "FIRST_PAUSE_S", 0.0)

    def started(*arguments: str | Path) -> Done:
        code: Any = 0
        try:
            main(["data", "generate", *map(str, arguments)])
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        assert "never retrieved" not in err
        return Done(1, out, f"{err}{code}\n") if isinstance(code, str) else Done(code, out, err)

    return started


@pytest.fixture
def given(tmp_path: Path, judge_server: Any, reply: Any) -> list[str | Path]:
    """Arguments for three prompts and one model, which writes."""
    judge_server.replies = [reply(body=completion("Once upon a time."))]
    judge_server._server.handle_error = lambda *_: None  # requests are given up here
    prompts = write(tmp_path / "prompts.jsonl", "One", "Two", "Three")
    return [
        prompts,
        "--models",
        f"m@{judge_server.url}",
        "--output",
        tmp_path / "out.jsonl",
        "--parallel",
        "2",
    ]


# Who writes


def test_writers_are_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in ("a/checkpoint", "here"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "config.json").write_text("{}")
    url = "http://host:8000/v1"
    assert parse_writers(f" gpt-4.1, org/m@{url},./here,a/checkpoint ,~/here,vllm:Qwen/Qwen3-8B,") == [
        Writer("gpt-4.1"),
        Writer("org/m", base_url=url),
        Writer("./here", checkpoint="here"),
        Writer("a/checkpoint", checkpoint="a/checkpoint"),
        Writer("~/here", checkpoint=str(tmp_path / "here")),
        Writer("Qwen/Qwen3-8B", checkpoint="Qwen/Qwen3-8B"),
    ]
    assert parse_writers("a@b,c@https://x/v1") == [Writer("a@b"), Writer("c", base_url="https://x/v1")]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("", "no model is named"),
        (" , ,", "no model is named"),
        ("a,b,a", "the model a is named twice"),
        ("a,a@http://host/v1", "the model a is named twice"),
        ("Qwen/Qwen3-8B,vllm:Qwen/Qwen3-8B", "the model Qwen/Qwen3-8B is named twice"),
        ("@http://host/v1", "@http://host/v1: name the model before the @"),
        ("./none", "./none does not exist"),
        ("/none/at/all", "/none/at/all does not exist"),
        ("~/none", "~/none does not exist"),
        ("empty", "empty is no checkpoint in Hugging Face's format: it has no config.json"),
        ("a,vllm:", "vllm: names no model"),
        ("offline", "the offline judge measures texts and cannot write any"),
        ("Offline-2", "the offline judge measures texts and cannot write any"),
    ],
)
def test_what_cannot_write_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingError) as error:
        parse_writers(names)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("name", ["verl-7b", "offline-7b", "qwen3-8b", "gpt-4.1"])
def test_a_model_at_an_address_of_its_own_may_have_any_name(
    tmp_path: Path, start: Start, given: list[str | Path], judge_server: Any, name: str
) -> None:
    given[2] = f"{name}@{judge_server.url}"
    assert start(*given, "--base-url", "http://127.0.0.1:9/v1").code == 0
    assert {request["model"] for request in judge_server.requests} == {name}
    assert [line["responses"][0]["model"] for line in read(tmp_path / "out.jsonl")] == [name] * 3


def test_keys_differ_where_the_question_does() -> None:
    prompts = [Prompt("One", None, {}), Prompt("Two", None, {}), Prompt("One", None, {"system": "x"})]
    generation = Generation([Writer("a"), Writer("b")], JudgeSettings(models=()), samples=3)
    keys = [
        question.key
        for prompt in prompts
        for writer in generation.writers
        for question in questions_of(prompt, writer, generation)
    ]
    assert len(set(keys)) == len(keys) == 18
    same = questions_of(Prompt("One", None, {"source": "y"}), Writer("a", base_url="http://x"), generation)
    assert [question.key for question in same] == keys[:3]


# What is asked and written


def test_every_model_writes_to_every_prompt(
    tmp_path: Path, start: Start, judge_server: Any, reply: Any
) -> None:
    judge_server.choose = lambda number: reply(body=completion(f"Text {number}"))
    prompts = write(tmp_path / "in.jsonl", {"prompt": "One", "criteria": "Style.", "source": "here"}, "Two")
    output = tmp_path / "new folder" / "out.jsonl"
    models = f"small@{judge_server.url},large@{judge_server.url}"
    done = start(
        *(prompts, "--models", models, "--samples", "2", "--output", output),
        *("--temperature", "0.3", "--max-tokens", "77"),
    )
    assert done.code == 0
    assert f"{output}: 8 of 8 responses\n  small: 4\n  large: 4\n" in done.out
    assert f"Next: writing-rl data prepare '{output}' --scores grade" in done.out
    assert asked(judge_server) == {
        (model, text): 2 for model in ("small", "large") for text in ("One", "Two")
    }
    for request in judge_server.requests:
        assert request["messages"][0] == {"role": "system", "content": SYSTEM}
        assert request["messages"][1]["role"] == "user"
        assert len(request["messages"]) == 2
        assert (request["temperature"], request["max_tokens"]) == (0.3, 77)
    lines = read(output)
    assert len({line["key"] for line in lines}) == len({line["responses"][0]["text"] for line in lines}) == 8
    assert Counter((line["prompt"], line["model"], line["sample"]) for line in lines) == {
        (text, model, sample): 1
        for text in ("One", "Two")
        for model in ("small", "large")
        for sample in range(2)
    }
    for line in lines:
        assert line["responses"][0]["model"] == line["model"]
        assert (line["calls"], line["prompt_tokens"], line["completion_tokens"]) == (1, 11, 7)
        assert (line["cost_usd"], line["truncated"]) == (None, False)
        assert line.get("criteria") == ("Style." if line["prompt"] == "One" else None)
    raw = {prompt.prompt: prompt for prompt in read_raw_prompts([output]).prompts}
    assert (raw["One"].criteria, raw["One"].source) == ("Style.", "here")
    assert Counter(response.model for response in raw["Two"].responses) == {"small": 2, "large": 2}
    note = json.loads((output.parent / "out.made.json").read_text())
    assert note["settings"]["temperature"] == 0.3
    assert [model["name"] for model in note["starts"][0]["models"]] == ["small", "large"]
    assert note["starts"][0]["inputs"][0]["path"] == str(prompts)


@pytest.mark.parametrize(
    ("option", "default"), [((), SYSTEM), (("--system", "Be brief."), "Be brief."), (("--system", ""), None)]
)
def test_a_prompt_has_its_own_system_message_or_the_default(
    tmp_path: Path,
    start: Start,
    given: list[str | Path],
    judge_server: Any,
    option: tuple[str, ...],
    default: str | None,
) -> None:
    write(Path(given[0]), {"prompt": "own", "system": "A poet."}, {"prompt": "none", "system": ""}, "default")
    assert start(*given, *option).code == 0
    systems = {
        request["messages"][-1]["content"]: [message["content"] for message in request["messages"][:-1]]
        for request in judge_server.requests
    }
    assert systems == {"own": ["A poet."], "none": [], "default": [default] if default else []}
    said = {line["prompt"]: line.get("system") for line in read(tmp_path / "out.jsonl")}
    assert said == {"own": "A poet.", "none": "", "default": None}


def test_the_messages_of_a_training_set_are_sent_as_they_are(
    tmp_path: Path,
    start: Start,
    given: list[str | Path],
    judge_server: Any,
    make_row: Callable[..., dict[str, Any]],
    write_parquet: Callable[..., Path],
) -> None:
    rows = [make_row(0, prompt="One", criteria="Style."), make_row(1, prompt="Two")]
    rows[0]["prompt"].append({"role": "user", "content": "{more}"})
    given[0] = write_parquet(tmp_path / "train.parquet", rows)
    assert start(*given).code == 0
    sent = sorted((request["messages"] for request in judge_server.requests), key=len)
    assert sent == [rows[1]["prompt"], rows[0]["prompt"]]
    raw = {prompt.prompt: prompt for prompt in read_raw_prompts([tmp_path / "out.jsonl"]).prompts}
    assert (raw["One"].criteria, raw["Two"].criteria) == ("Style.", None)


def test_any_text_goes_there_and_back(
    tmp_path: Path, start: Start, given: list[str | Path], judge_server: Any, reply: Any
) -> None:
    hostile = [
        "{prompt} {0} %s",
        "two\nlines\r\nthree",
        "a\u2028b\u2029c\u0085d",
        "😀 é 海\u0301",
        '"quo\\ted"',
        "\x00\x1b[0m",
    ]
    write(Path(given[0]), *hostile)
    judge_server.choose = lambda number: reply(
        body=completion(judge_server.requests[number - 1]["messages"][-1]["content"] + "!")
    )
    assert start(*given).code == 0
    assert asked(judge_server) == {("m", text): 1 for text in hostile}
    raw = read_raw_prompts([tmp_path / "out.jsonl"])
    assert {prompt.prompt: prompt.responses[0].text for prompt in raw.prompts} == {
        text: f"{text}!" for text in hostile
    }
    assert start(*given).code == 0
    assert len(judge_server.requests) == len(hostile)


def test_a_response_that_was_cut_off_says_so(
    tmp_path: Path, start: Start, given: list[str | Path], judge_server: Any, reply: Any
) -> None:
    judge_server.replies = [reply(body=completion("Once upon", "length")), reply(body=completion("The end."))]
    done = start(*given, "--max-tokens", "2")
    assert "Cut off at --max-tokens 2: 1; a higher one lets them end" in done.out
    assert sorted(line["truncated"] for line in read(tmp_path / "out.jsonl")) == [False, False, True]


# Starting again


def test_only_what_is_missing_is_asked_for(
    tmp_path: Path, start: Start, given: list[str | Path], judge_server: Any
) -> None:
    output = tmp_path / "out.jsonl"
    asked_before = 0

    def asks(*more: str | Path) -> Counter[tuple[str, str]]:
        nonlocal asked_before
        before, count = output.read_bytes() if output.exists() else b"", asked(judge_server)
        done = start(*given, *more)
        assert done.code == 0
        assert output.read_bytes().startswith(before)
        asked_before += 1
        return asked(judge_server) - count

    assert asks().total() == 3
    assert asks().total() == 0
    given[2] = f"m@{judge_server.url},n@{judge_server.url}"
    assert asks() == {("n", text): 1 for text in ("One", "Two", "Three")}
    write(Path(given[0]), "Three", "Four", "ONE")
    assert asks() == {("m", "Four"): 1, ("n", "Four"): 1, ("m", "ONE"): 1, ("n", "ONE"): 1}
    assert asks("--samples", "2") == {(model, text): 1 for model in "mn" for text in ("Three", "Four", "ONE")}
    given[2] = f"n@{judge_server.url}"
    assert asks().total() == 0
    lines = read(output)
    assert len({line["key"] for line in lines}) == len(lines) == len(judge_server.requests) == 16
    note = json.loads((tmp_path / "out.made.json").read_text())
    assert len(note["starts"]) == asked_before == 6


def test_a_line_that_was_lost_is_asked_for_again(
    tmp_path: Path, start: Start, given: list[str | Path], judge_server: Any
) -> None:
    start(*given)
    output = tmp_path / "out.jsonl"
    output.write_bytes(output.read_bytes()[:-5])
    done = start(*given)
    assert "3 of 3 responses" in done.out
    assert len(judge_server.requests) == 4
    assert len(read(output)) == 3


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--temperature", "0.9", "temperature = 0.7, and now it is 0.9"),
        ("--max-tokens", "5", "max_tokens = 4096, and now it is 5"),
        ("--system", "Other.", f"system = {SYSTEM!r}, and now it is 'Other.'"),
    ],
)
def test_other_settings_are_refused_by_name(
    tmp_path: Path,
    start: Start,
    given: list[str | Path],
    judge_server: Any,
    option: str,
    value: str,
    message: str,
) -> None:
    start(*given)
    content = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    done = start(*given, option, value)
    assert done.code == 1
    assert done.err.startswith(f"Error: {tmp_path / 'out.jsonl'} was made with {message}")
    assert done.err.count("\n") == 1
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == content
    assert len(judge_server.requests) == 3


def test_the_budget_ends_a_start_and_the_next_goes_on(
    tmp_path: Path, start: Start, given: list[str | Path], judge_server: Any
) -> None:
    write(Path(given[0]), *map(str, range(7)))
    output = tmp_path / "out.jsonl"
    for number, code in [(3, 1), (6, 1), (7, 0)]:
        done = start(*given, "--max-calls", "3")
        assert done.code == code
        assert len(judge_server.requests) == len(read(output)) == number
        assert f"{number} of 7 responses" in done.out
        if code:
            assert done.last == "Error: the budget is spent: 3 calls, max_calls is reached"


def test_what_may_be_spent_is_kept_to(
    tmp_path: Path, start: Start, given: list[str | Path], judge_server: Any
) -> None:
    done = start(*given, "--max-cost-usd", "1")
    assert done.code == 1
    assert "no price of m is known" in done.last
    assert not judge_server.requests
    (prices := tmp_path / "prices.yaml").write_text("m: {input: 0.0, output: 100000.0}\n")  # 0.1 a token
    done = start(*given, "--max-tokens", "8", "--max-cost-usd", "1.0", "--prices", prices)
    assert done.code == 1
    assert "max_cost_usd=1" in done.last
    assert [line["cost_usd"] for line in read(tmp_path / "out.jsonl")] == [pytest.approx(0.7)]


# What fails


def test_what_failed_is_a_line_with_its_reason_and_asked_again_on_demand(
    tmp_path: Path, start: Start, given: list[str | Path], judge_server: Any, reply: Any
) -> None:
    output = tmp_path / "out.jsonl"
    answers = {
        "One": reply(body=completion("", "content_filter")),
        "Two": reply(status=500),
        "Three": reply(status=400, body=json.dumps({"error": {"message": "too\nlong", "code": "x"}})),
        "Four": reply(body="<html>"),
        "Five": reply(body=completion("A story.")),
    }
    write(Path(given[0]), *answers)
    judge_server.choose = lambda number: answers[judge_server.requests[number - 1]["messages"][-1]["content"]]
    done = start(*given)
    assert done.code == 0
    assert "1 of 5 responses" in done.out
    assert "Not written: 1 (content_filter: " in done.out
    assert asked(judge_server) == {("m", text): 8 if text in ("Two", "Four") else 1 for text in answers}
    lines = {line["prompt"]: line for line in read(output)}
    assert {text: line.get("failed") for text, line in lines.items()} == {
        "One": "content_filter",
        "Two": "http_500",
        "Three": "http_400",
        "Four": "malformed",
        "Five": None,
    }
    assert [len(lines[text]["responses"]) for text in answers] == [0, 0, 0, 0, 1]
    raw = read_raw_prompts([output])
    assert [len(prompt.responses) for prompt in raw.prompts if prompt.prompt != "Five"] == [0] * 4

    judge_server.requests.clear()
    again = start(*given)
    assert again.out == done.out
    assert not judge_server.requests

    answers.update(dict.fromkeys(("One", "Two", "Three"), reply(body=completion("At last."))))
    done = start(*given, "--retry-failed")
    tries = {"One": 1, "Two": 1, "Three": 1, "Four": 8}
    assert asked(judge_server) == {("m", text): count for text, count in tries.items()}
    assert "4 of 5 responses" in done.out
    raw = read_raw_prompts([output])
    assert {prompt.prompt: [response.text for response in prompt.responses] for prompt in raw.prompts} == {
        **{text: ["At last."] for text in ("One", "Two", "Three")},
        "Four": [],
        "Five": ["A story."],
    }
    assert "4 of 5 responses" in start(*given).out


def test_a_failure_that_passes_costs_nothing_but_time(
    tmp_path: Path, start: Start, given: list[str | Path], judge_server: Any, reply: Any
) -> None:
    good = reply(body=completion("A story."))
    judge_server.replies = [reply(status=503), reply(status=429), reply(body="", status=500), good]
    assert "3 of 3 responses" in start(*given).out
    assert len(judge_server.requests) == 6
    assert not any("failed" in line for line in read(tmp_path / "out.jsonl"))


def test_an_endpoint_where_nobody_is_ends_it_in_a_line(
    start: Start, given: list[str | Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "OUTAGE_S", 0.5)
    given[2] = "m@http://127.0.0.1:9/v1"
    done = start(*given)
    assert done.code == 1
    assert "m at 127.0.0.1 cannot be reached (" in done.err


def test_a_wrong_key_ends_it_in_a_line_and_keeps_what_was_written(
    tmp_path: Path,
    start: Start,
    given: list[str | Path],
    judge_server: Any,
    reply: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    refusal = reply(status=401, body=json.dumps({"error": {"message": f"bad key {KEY}", "code": "x"}}))
    judge_server.replies = [reply(body=completion("A story.")), refusal]
    given[-1] = "1"
    done = start(*given)
    assert done.code == 1
    said = "refuses the key (401 x: bad key (hidden)): check OPENAI_API_KEY"
    assert done.last == f"Error: model m at 127.0.0.1 {said}"
    assert "1 of 3 responses" in done.out
    assert len(read(tmp_path / "out.jsonl")) == 1
    assert len(judge_server.requests) <= 1 + 2 * request_queue.REFUSALS + 1
    judge_server.replies = [reply(body=completion("A story."))]
    assert "3 of 3 responses" in start(*given).out


def test_the_key_is_told_to_no_other_host(
    start: Start, given: list[str | Path], judge_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere.invalid/v1")
    assert start(*given).code == 0
    assert set(judge_server.keys) == {"Bearer none"}


def test_the_key_is_sent_and_shown_nowhere(
    tmp_path: Path,
    start: Start,
    given: list[str | Path],
    judge_server: Any,
    reply: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", judge_server.url)
    echo = {"error": {"message": f"no such thing for {KEY}", "code": "x"}}
    judge_server.choose = lambda number: (
        reply(status=(400, 500)[number % 2], body=json.dumps(echo))
        if number > 1
        else reply(body=completion("A"))
    )
    outputs = [start(*given), start(*given, "--retry-failed"), start(*given, "--temperature", "0.1")]
    assert set(judge_server.keys) == {f"Bearer {KEY}"}
    assert "no such thing for (hidden)" in outputs[0].out
    assert not any(KEY in said for done in outputs for said in (done.out, done.err))
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_full_disk_is_one_line_and_the_next_start_goes_on(
    tmp_path: Path, start: Start, given: list[str | Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.jsonl"
    real, room = os.write, iter((10**6, 10))

    def write(descriptor: int, data: bytes) -> int:
        if not (most := next(room, 0)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data[:most])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        done = start(*given)
    assert done.code == 1
    assert done.last == f"Error: {output}: No space left on device"
    assert "1 of 3 responses" in done.out
    assert len(read(output)) == 1
    assert output.read_bytes().endswith(b"\n")
    assert "3 of 3 responses" in start(*given).out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.jsonl", "--models", "m"], "none.jsonl cannot be read: No such file or directory"),
        (["in.jsonl", "--models", "offline"], "the offline judge measures texts"),
        (["in.jsonl", "--models", ","], "no model is named"),
        (["in.jsonl", "--models", "m", "--prompt-column", "task"], "in.jsonl, line 1 lacks 'task': "),
        (["in.jsonl", "--models", "m", "--output", "out.csv"], "out.csv: give it a name that ends in .jsonl"),
        (["in.jsonl", "--models", "m", "--output", "in.jsonl"], "in.jsonl has no in.made.json beside it"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in.jsonl", "One")
    done = start(*arguments)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"Error: {message}")
    assert done.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_missing_key_is_said_before_anything_is_asked(
    tmp_path: Path, start: Start, given: list[str | Path], judge_server: Any
) -> None:
    given[2] = f"m@{judge_server.url},gpt-4.1"
    done = start(*given)
    assert done.code == 1
    assert done.last.startswith("Error: model gpt-4.1 needs a key: set OPENAI_API_KEY")
    assert not judge_server.requests


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--samples", "0"),
        ("--max-tokens", "0"),
        ("--max-tokens", "1.5"),
        ("--temperature", "nan"),
        ("--temperature", "-1"),
        ("--timeout-s", "0"),
        ("--parallel", "0"),
        ("--max-calls", "0"),
        ("--max-cost-usd", "0"),
        ("--vllm-args", "'never closed"),
    ],
)
def test_a_wrong_option_is_named(start: Start, given: list[str | Path], option: str, value: str) -> None:
    done = start(*given, option, value)
    assert done.code == 2
    assert f"error: argument {option}: " in done.last


# Checkpoints


def test_checkpoints_write_one_after_the_other_and_only_where_something_is_missing(
    tmp_path: Path, start: Start, given: list[str | Path], judge_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[str] = []
    running: list[str] = []

    @contextlib.contextmanager
    def serve(
        checkpoint: str, name: str, arguments: Sequence[str] = (), placement: Placement | None = None
    ) -> Iterator[Server]:
        assert not running
        assert list(arguments) == ["--dtype", "two words"]
        running.append(name)
        served.append(checkpoint)
        yield Server(judge_server.url.removeprefix("http://").removesuffix("/v1"), lambda: None)
        running.remove(name)

    monkeypatch.setattr(writers, "serve", serve)
    (checkpoint := tmp_path / "checkpoint").mkdir()
    (checkpoint / "config.json").write_text("{}")
    given[2] = f"vllm:Qwen/Qwen3-8B,m@{judge_server.url},{checkpoint}"
    given += [
        "--vllm-args",
        "--dtype 'two words'",
        "--max-cost-usd",
        "1",
        "--prices",
        tmp_path / "prices.yaml",
    ]
    (tmp_path / "prices.yaml").write_text("m: {input: 0.1, output: 0.1}\n")
    assert start(*given).code == 0
    assert served == ["Qwen/Qwen3-8B", str(checkpoint)]
    names = [request["model"] for request in judge_server.requests]
    assert names == ["m"] * 3 + ["Qwen/Qwen3-8B"] * 3 + [str(checkpoint)] * 3
    lines = read(tmp_path / "out.jsonl")
    assert [line["cost_usd"] for line in lines if line["model"] != "m"] == [0.0] * 6
    note = json.loads((tmp_path / "out.made.json").read_text())
    assert note["starts"][0]["models"][0]["checkpoint"] == "Qwen/Qwen3-8B"

    lost = [line for line in lines if line["model"] != str(checkpoint) or line["prompt"] == "One"]
    (tmp_path / "out.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lost))
    assert "9 of 9 responses" in start(*given).out
    assert served == ["Qwen/Qwen3-8B", str(checkpoint), str(checkpoint)]
    assert len(judge_server.requests) == 11


# Ends of scripts


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (DataError("line 3 is bad"), "Error: line 3 is bad"),
        (
            FileNotFoundError(2, "No such file or directory", "x.txt"),
            "Error: x.txt: No such file or directory",
        ),
        (OSError(28, "No space left on device"), "Error: out.jsonl: No space left on device"),
        (OSError("the pipe is gone"), "Error: out.jsonl: the pipe is gone"),
    ],
)
def test_a_failure_is_exit_with_message(error: Exception, message: str) -> None:
    with pytest.raises(SystemExit) as end, exit_with_message(Path("out.jsonl")):
        raise error
    assert end.value.code == message


@pytest.mark.parametrize(
    ("more", "line"), [((), "\nInterrupted\n"), (("Go on.",), "\nInterrupted. Go on.\n")]
)
def test_an_interruption_is_exit_with_message(
    capsys: pytest.CaptureFixture[str], more: tuple[str, ...], line: str
) -> None:
    with pytest.raises(SystemExit) as end, exit_with_message(Path("out.jsonl"), *more):
        raise KeyboardInterrupt
    assert end.value.code == 130
    assert capsys.readouterr().err == line


def test_what_is_nobodys_mistake_is_no_line() -> None:
    with exit_with_message(Path("out.jsonl")):
        pass
    with pytest.raises(ZeroDivisionError), exit_with_message(Path("out.jsonl")):
        raise ZeroDivisionError
