"""Writing side by side: layout, contestants, and sessions with an endpoint that writes and judges."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from writing_rl.chat import contestants
from writing_rl.chat.contestants import longest_text, of_experiment, of_names
from writing_rl.chat.layout import clean, show, width_of, wrap
from writing_rl.cli import main
from writing_rl.data.writers import Writer
from writing_rl.errors import SettingError
from writing_rl.judging.client import request_queue
from writing_rl.runlog.start_record import write_start

# Layout


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mred\x1b[0m b", "ared b"),
        ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "alink"),
        ("\x1b]52;c;never ends\nnext", "]52;c;never ends\nnext"),
        ("\x1bP+q\x1b\\a\x1bc\x1b(Bb\x1b7", "ab"),
        ("\x9b2Ja\x9d0;x\x9cb", "ab"),
        ("\x1b\x1b[2J[2J", "[2J"),
        ("a\rb\r\nc\x0bd\u2028e\x85f", "a\nb\nc\nd\ne\nf"),
        ("a\tb", "a   b"),
        ("a\x00\x07\x08\x7fb\ud800c", "abc"),
        ("\u202eabc\u2066\u200b\ufeffd", "abcd"),
        ("👩\u200d🚀 می\u200cخواهم", "👩\u200d🚀 می\u200cخواهم"),
    ],
)
def test_what_a_terminal_would_obey_is_left_out(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.text(alphabet=st.sampled_from("\x1b\x9b\x90[]0;mPX^_\\\x07\x9c\r\n\t a海\u0301")))
def test_nothing_is_left_to_obey(text: str) -> None:
    assert not set(clean(text)) & set("\x1b\x9b\x90\x07\x9c\r\t")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", ["\x90", "\x1b]", "\x1b[0", "a", " ", "\u0301", "。", "a "])
def test_time_is_linear_in_the_length(text: str) -> None:
    assert wrap(clean(text * (400_000 // len(text))), 80)


@pytest.mark.parametrize(
    ("text", "width"),
    [("abc", 3), ("海とsea", 7), ("e\u0301", 1), ("\u1112\u1161\u11ab", 2), ("ﾊﾝ", 2), ("", 0)],
)
def test_width_of_a_text(text: str, width: int) -> None:
    assert width_of(text) == width


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("the sea and the ship", ["the sea", "and the", "ship"]),
        ("123456789  a b", ["123456789", "a b"]),
        ("  indented", ["  indented"]),
        ("a\n\nb\n", ["a", "", "b", ""]),
        ("abcdefghijklmno p", ["abcdefghij", "klmno p"]),
        ("很久以前，有一个女孩。", ["很久以前，", "有一个女", "孩。"]),
        ("她说：“好。”对", ["她说：“", "好。”对"]),
        ("海海海海海海", ["海海海海海", "海"]),
        ("", [""]),
        ("            ", [""]),
    ],
)
def test_wrapping(text: str, lines: list[str]) -> None:
    assert wrap(text, 10) == lines


@example("\u0301a。。", 4)
@given(st.text(alphabet="ab 海，。e\u0301\n"), st.integers(4, 12))
def test_nothing_is_lost_or_too_wide(text: str, width: int) -> None:
    lines = wrap(clean(text), width)
    assert all(width_of(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(clean(text).split())


def test_columns_stand_beside_each_other() -> None:
    lines = show(("one", "two"), ("The sea.\n\n很久以前", "A \x1b[2Jship."), 75).split("\n")
    blank = " " * 36
    assert lines == [
        f"one{blank[3:]} | two",
        f"{'-' * 36} | {'-' * 36}",
        f"The sea.{blank[8:]} | A ship.",
        f"{blank} |",
        f"很久以前{blank[8:]} |",
    ]
    assert {line.index("|") for line in lines if "很" not in line} == {37}


def test_on_a_narrow_terminal_one_is_below_the_other() -> None:
    assert show(("one", "two"), ("The sea.", "A ship."), 74) == "one\n---\nThe sea.\n\ntwo\n---\nA ship."
    assert show(("一", "b"), ("海", ""), 1) == "一\n--\n海\n\nb\n-\n"


# Who writes


def test_two_models_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = "http://host:1/v1"
    assert of_names("vllm:a/b", f"m@{url}") == (Writer("a/b", checkpoint="a/b"), Writer("m", base_url=url))
    assert of_names("m@http://a/v1", "m@http://b/v1")[0].base_url == "http://a/v1"
    for names, message in {
        ("a,b", "c"): "--model a,b names several models: name one",
        ("a", "a"): "a would be compared with itself",
        ("a", "./none"): "./none does not exist",
        ("a", ""): "no model is named",
    }.items():
        with pytest.raises(SettingError, match=message):
            of_names(*names)


def test_half_of_what_the_smaller_model_holds_is_for_the_text(tmp_path: Path) -> None:
    for name, config in {
        "small": {"max_position_embeddings": 1000},
        "large": {"max_position_embeddings": 131072},
        "nested": {"text_config": {"max_position_embeddings": 2048}},
        "silent": {},
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))

    def longest(*names: str) -> int:
        return longest_text([Writer(name, checkpoint=str(tmp_path / name)) for name in names])

    assert longest_text([Writer("gpt-4.1")]) == longest("large", "silent", "nowhere") == 4096
    assert longest("small", "large") == 500
    assert longest("nested") == 1024


class Experiment:
    """A checkpoint of a training, and what takes the exporter's place."""

    def __init__(self, folder: Path) -> None:
        self.exported: list[Path] = []
        self.folder = folder
        self.actor = folder / "checkpoints" / "trial" / "global_step_3" / "actor"
        (self.actor / "huggingface").mkdir(parents=True)
        (self.actor / "huggingface" / "config.json").write_text("{}")
        (self.actor / "fsdp_config.json").write_text('{"world_size": 1}')
        (self.actor / "model_world_size_1_rank_0.pt").touch()
        (self.actor.parents[1] / "latest_checkpointed_iteration.txt").write_text("3")

    def began_with(self, model: str) -> None:
        settings = {"actor_rollout_ref": {"model": {"path": model}}}
        write_start(self.folder / "logs" / "trial", settings, "1")

    def export(self, checkpoint: Any, out: Path, base: str | None = None) -> None:
        self.exported.append(out)
        out.mkdir(parents=True)
        (out / "writing_rl.json").touch()

    def writers(self, base: str | None = None) -> tuple[Writer, Writer]:
        return of_experiment(Path("checkpoints"), "trial", None, base)


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    monkeypatch.chdir(tmp_path)
    experiment = Experiment(tmp_path)
    monkeypatch.setattr(contestants, "export", experiment.export)
    return experiment


def test_a_checkpoint_is_exported_once(experiment: Experiment) -> None:
    experiment.began_with("org/base")
    trained = Writer("models/trial-step-3", checkpoint="models/trial-step-3")
    assert experiment.writers() == (trained, Writer("org/base", checkpoint="org/base"))
    assert experiment.writers() == (trained, Writer("org/base", checkpoint="org/base"))
    assert experiment.exported == [Path("models/trial-step-3")]


def test_the_base_model_is_what_is_named_before_what_the_log_says(experiment: Experiment) -> None:
    with pytest.raises(
        SettingError, match=r"no log of trial says .* \(logs\): name its base model with --base"
    ):
        experiment.writers()
    assert experiment.writers("m@http://x/v1")[1] == Writer("m", base_url="http://x/v1")
    experiment.began_with("/somewhere/else")
    with pytest.raises(SettingError, match="/somewhere/else does not exist"):
        experiment.writers()
    assert experiment.writers("gpt-4.1")[1] == Writer("gpt-4.1")


def test_an_export_that_is_not_of_this_checkpoint_is_not_taken_for_it(experiment: Experiment) -> None:
    experiment.began_with("org/base")
    experiment.writers()
    os.utime(experiment.actor / "model_world_size_1_rank_0.pt", (2e9, 2e9))
    with pytest.raises(SettingError, match=r"writing-rl export --experiment trial --step 3 --force"):
        experiment.writers()
    Path("models/trial-step-3/writing_rl.json").unlink()
    with pytest.raises(SettingError, match="was not exported by this project"):
        experiment.writers()


def test_an_adapter_alone_is_no_model(experiment: Experiment) -> None:
    experiment.began_with("org/base")
    experiment.writers()
    Path("models/trial-step-3/lora_adapter").mkdir()
    with pytest.raises(SettingError, match="holds a LoRA adapter"):
        experiment.writers()


# Sessions


GOOD, POOR = "The tide took the letter.", "sea sea sea"


class Endpoint:
    """`trained` writes a good text, `base` a poor one, and `judge` can tell."""

    def __init__(self, server: Any, reply: Any) -> None:
        self.server, self.reply = server, reply
        self.texts = {"trained": GOOD, "base": POOR}
        self.verdict: Callable[[bool], str] = lambda good_first: "[[A]]" if good_first else "[[B]]"
        self.status = 200
        server.choose = self.answer

    @property
    def models(self) -> list[str]:
        """What was asked for, in the order of requests."""
        return [request["model"] for request in self.server.requests]

    def answer(self, number: int) -> Any:
        request = self.server.requests[number - 1]
        if request["model"] in self.texts:
            return self.reply(self.texts[request["model"]])
        said = request["messages"][0]["content"]
        if self.status != 200:
            return self.reply(status=self.status)
        good_first = said.index(self.texts["trained"]) < said.index(self.texts["base"])
        return self.reply(f"I have read both.\x1b[2J\n{self.verdict(good_first)}")


@pytest.fixture
def endpoint(judge_server: Any, reply: Any) -> Endpoint:
    return Endpoint(judge_server, reply)


class Done(NamedTuple):
    """What came of a session."""

    code: int
    out: str
    err: str


Start = Callable[..., Done]


@pytest.fixture
def start(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Start:
    """Starts the script within this process, with the two models of the endpoint."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(request_queue, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setenv("COLUMNS", "100")
    url = endpoint.server.url
    endpoint.server._server.handle_error = lambda *_: None  # requests are given up here

    def started(*arguments: str, typed: str | None = None) -> Done:
        models = ["--model", f"trained@{url}", "--against", f"base@{url}"]
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((typed or "").encode())))
        code: Any = 0
        try:
            main(["chat", *models, "--base-url", url, *arguments])
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        assert "\x1b" not in out
        assert "never retrieved" not in err
        return Done(1, out, f"{err}{code}\n") if isinstance(code, str) else Done(code or 0, out, err)

    return started


def test_typed_prompts_are_written_to_and_judged_in_both_orders(endpoint: Endpoint, start: Start) -> None:
    done = start("--judge", "judge", typed="Write about the sea.\n\nTwo\\\nlines.\n")
    assert (done.code, done.err) == (0, "")
    assert "trained (5 words)" in done.out
    assert f"{GOOD}{' ' * (48 - len(GOOD))} | {POOR}\n" in done.out
    assert done.out.count("=> trained wins | read second: win; read first: win\n") == 2
    assert "trained against base: win 2, tie 0, loss 0, unscored 0 of 2; win rate 1.00\n" in done.out
    assert "I have read both" not in done.out
    asked = {request["messages"][-1]["content"] for request in endpoint.server.requests[::4]}
    assert asked == {"Write about the sea.", "Two\nlines."}
    assert {request["messages"][0]["role"] for request in endpoint.server.requests[:2]} == {"system"}


def test_the_end_of_the_input_ends_a_session_that_has_not_begun(endpoint: Endpoint, start: Start) -> None:
    assert start(typed="") == Done(0, "", "")
    done = start(typed="last line \\")
    assert done.code == 0
    assert "trained and base wrote to 1 prompts, which nobody judged: see --judge" in done.out
    assert endpoint.models.count("trained") == 1


def test_orders_that_disagree_are_a_tie(endpoint: Endpoint, start: Start) -> None:
    endpoint.verdict = lambda _: "[[A]]"
    done = start("--judge", "judge", "--explain", "--prompt", "Write.")
    assert "[1 of 1] Write.\n" in done.out
    assert "=> a tie | read second: loss; read first: win\n" in done.out
    assert "  judge, trained read second:\n    I have read both.\n    [[A]]\n" in done.out
    assert "win 0, tie 1, loss 0, unscored 0 of 1; win rate 0.00" in done.out


def test_what_models_write_cannot_change_the_terminal(endpoint: Endpoint, start: Start) -> None:
    endpoint.texts["base"] = "\x1b]0;owned\x07\x1b[2Jsea\r\x1b[1A\ud800"
    done = start("--prompt", "Write \x1b[5m.")
    assert "owned" not in done.out
    assert " | sea\n" in done.out


def test_a_file_of_prompts_is_kept_with_texts_and_verdicts(
    endpoint: Endpoint, start: Start, tmp_path: Path
) -> None:
    lines = [{"prompt": "One", "criteria": "Be brief."}, {"prompt": "Two", "system": ""}]
    (tmp_path / "in.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    arguments = ("--judge", "judge", "--prompts", "in.jsonl", "--output", "deep/out.jsonl")
    assert start(*arguments, "--temperature", "0.2", "--max-tokens", "9").code == 0
    kept = [json.loads(line) for line in (tmp_path / "deep" / "out.jsonl").read_text().splitlines()]
    first, second = sorted(kept, key=lambda line: line["prompt"])
    assert (first["criteria"], second["system"]) == ("Be brief.", "")
    assert first["model"] == {"name": "trained", "text": GOOD, "failed": None, "truncated": False}
    assert (first["against"]["text"], first["outcome"], first["flipped"], first["calls"]) == (
        POOR,
        "win",
        False,
        4,
    )
    assert [(said["model_is"], said["verdict"]) for said in first["verdicts"]] == [("B", "B"), ("A", "A")]
    writing = [request for request in endpoint.server.requests if request["model"] == "base"]
    assert {(request["temperature"], request["max_tokens"]) for request in writing} == {(0.2, 9)}
    judging = [request for request in endpoint.server.requests if request["model"] == "judge"]
    assert sum("Be brief." in request["messages"][0]["content"] for request in judging) == 2
    assert {request["temperature"] for request in judging} == {0.0}
    start(*arguments)
    assert len((tmp_path / "deep" / "out.jsonl").read_text().splitlines()) == 4


def test_one_at_a_time(endpoint: Endpoint, start: Start, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("task\nOne\nTwo\nThree\n")
    arguments = ("--prompts", "in.csv", "--prompt-column", "task", "--one-at-a-time")
    done = start(*arguments, "--judge", "offline")
    assert done.code == 0
    assert endpoint.models == ["trained"] * 3 + ["base"] * 3
    assert "unscored 0 of 3" in done.out
    assert "Judge: the offline judge, which measures texts and is no LLM judge\n" in done.out


def test_several_judges_are_told_apart(endpoint: Endpoint, start: Start) -> None:
    done = start("--judge", "judge,other", "--prompt", "Write.")
    assert "other, read second: win; other, read first: win\n" in done.out


@pytest.mark.parametrize("text", ["", "<think>no end", "<think>a</think> "])
def test_a_model_that_writes_nothing_loses(endpoint: Endpoint, start: Start, text: str) -> None:
    endpoint.texts["trained"] = text
    done = start("--judge", "judge", "--prompt", "Write.")
    assert "trained (0 words)" in done.out
    assert "=> base wins (no_answer)\n" in done.out
    assert "judge" not in endpoint.models


def test_a_text_that_cannot_be_had_is_no_loss(endpoint: Endpoint, start: Start) -> None:
    answer = endpoint.answer

    def failing(number: int) -> Any:
        is_base = endpoint.server.requests[number - 1]["model"] == "base"
        return endpoint.reply(status=400) if is_base else answer(number)

    endpoint.server.choose = failing
    done = start("--judge", "judge", "--prompt", "Write.")
    assert done.code == 0
    assert "base (nothing: http_400" in done.out
    assert "=> no verdict (not_written: http_400" in done.out
    assert "win 0, tie 0, loss 0, unscored 1 of 1\n" in done.out


def test_a_judge_that_refuses_the_key_takes_no_text_away(
    endpoint: Endpoint, start: Start, tmp_path: Path
) -> None:
    endpoint.status = 401
    done = start("--judge", "judge", "--output", "out.jsonl", typed="One\nTwo\n")
    assert done.code == 1
    assert GOOD in done.out
    assert "unscored 1 of 1" in done.out
    assert done.err.startswith("Error: model judge at 127.0.0.1 refuses the key (401 ")
    (line,) = (tmp_path / "out.jsonl").read_text().splitlines()
    assert json.loads(line)["model"]["text"] == GOOD


def test_a_budget_is_for_the_whole_session(endpoint: Endpoint, start: Start) -> None:
    done = start("--judge", "judge", "--max-calls", "6", typed="One\nTwo\nThree\n")
    assert done.code == 1
    assert len(endpoint.models) == 6
    assert "win 1, tie 0, loss 0, unscored 1 of 2" in done.out
    assert "max_calls" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--prompt", " "), "Error: --prompt is empty"),
        (("--prompt", "x", "--output", "out.txt"), "Error: --output is out.txt: give it a name that ends in"),
        (("--prompts", "none.jsonl"), "Error: none.jsonl cannot be read: No such file"),
        (("--prompts", "in.jsonl", "--output", "./in.jsonl"), "Error: --output is the file of the prompts"),
        (("--judge", "a,a", "--prompt", "x"), "twice"),
        (("--one-at-a-time",), "--one-at-a-time needs --prompts or --prompt"),
        (("--explain",), "--explain needs --judge"),
        (("--step", "3"), "--step and --base go with --experiment"),
        (("--experiment", "x"), "not allowed with argument"),
        (("--prompt", "x", "--prompts", "y"), "not allowed with argument"),
    ],
)
def test_mistakes_are_one_line(
    endpoint: Endpoint, start: Start, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "in.jsonl").write_text('{"prompt": "One"}\n')
    done = start(*arguments)
    assert done.code != 0
    assert message in done.err
    assert "Traceback" not in done.err
    assert not endpoint.models
    assert (tmp_path / "in.jsonl").read_text() == '{"prompt": "One"}\n'
