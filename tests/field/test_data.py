"""Data as people have it: small inputs, each with what is said of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.field.endpoints import FieldServer, Request, Response, error, message
from writing_rl.data.preparation.raw_prompts import read_raw_prompts
from writing_rl.dataset.chat_template import ChatTemplate
from writing_rl.dataset.samples import read_samples
from writing_rl.errors import DataError, SettingError
from writing_rl.util.experiment_name import check_experiment

Script = Callable[..., Any]
ESCAPES = "\x1b]52;c;eA==\x07 \x9b2J \u202e"


def lines(path: Path, *entries: object) -> Path:
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries), encoding="utf-8")
    return path


def is_plain(text: str) -> bool:
    """Whether a terminal has nothing to obey in it."""
    return all(character.isprintable() or character in "\n\t" for character in text)


# --- lines and rows that cannot be read (D4) ---------------------------------------------------------------

PAIR = {"id": 2, "prompt": "Write.", "response_a": "One.", "response_b": "Two."}
LINES = {
    "half": (
        rb'{"id": 2, "prompt": "a \ud83d lone", "response_a": "x", "response_b": "y"}',
        "'prompt' holds half",
    ),
    "half in a list": (rb'{"id": 2, "tags": [{"a": "\udc00"}], "prompt": "a"}', "'tags' holds half"),
    "half in a key": (rb'{"id": 2, "\udc00": 1}', "holds half"),
    "half as bytes": (b'{"id": 2, "prompt": "\xed\xa0\xbd"}', "is no JSON: 'utf-8'"),
    "latin-1": (b'{"id": 2, "prompt": "caf\xe9"}', "is no JSON: 'utf-8'"),
    "a list": (b"[1]", "is no JSON object"),
    "deep": (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    "giant": (b'{"id": ' + b"9" * 5000 + b"}", "is no JSON"),
    "twice": (b'{"prompt": "a", "prompt": "b"}', "the key 'prompt' is there twice"),
    "a raw NUL": (b'{"prompt": "a\x00"}', "is no JSON"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_of_pairs_that_cannot_be_read_is_named(run_cli: Script, tmp_path: Path, name: str) -> None:
    line, complaint = LINES[name]
    path = tmp_path / "in.jsonl"
    path.write_bytes(json.dumps({**PAIR, "id": 1}).encode() + b"\r\n\r\n" + line + b"\n")
    done = run_cli("judge", "pairs", "--judge", "offline", path, "--output", tmp_path / "out.jsonl")
    assert done.code == 1
    assert f"{path}, line 3" in done.err
    assert complaint in done.err
    assert done.err.count("\n") <= 1
    assert is_plain(done.err)


def test_marks_of_editors_are_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    line = b'{"prompt": "Write \\ud83d\\ude00 \\u0000", "responses": [{"text": "a"}], "mine": NaN}'
    path.write_bytes(b"\xef\xbb\xbf" + line + b"\r\n\xef\xbb\xbf" + line.replace(b"Write", b"Sing"))
    assert [prompt.prompt for prompt in read_raw_prompts([path]).prompts] == ["Write 😀 \0", "Sing 😀 \0"]


@pytest.mark.parametrize("line", ['{"id": [1], "verdict": null}', "[" * 100_000, '{"id": 3, "verdict": "A"}'])
def test_an_output_of_something_else_is_told(run_cli: Script, tmp_path: Path, line: str) -> None:
    (output := tmp_path / "out.jsonl").write_text(f"{line}\n")
    path = lines(tmp_path / "in.jsonl", PAIR)
    done = run_cli("judge", "pairs", "--judge", "offline", path, "--output", output)
    assert done.code == 1
    assert done.err.startswith(f"Error: {output}, line 1")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"prompt\nfine\ncaf\xe9\n", "line 3: 'utf-8' codec"),
        (b"prompt\nfine\n\xed\xa0\xbd\n", "line 3: 'utf-8' codec"),
        ("prompt\na\n".encode("utf-16"), "line 1: 'utf-8' codec"),
        (b"prompt,prompt\na,b\n", "two columns 'prompt'"),
    ],
)
def test_a_csv_that_cannot_be_read_names_its_line(
    run_cli: Script, tmp_path: Path, content: bytes, complaint: str
) -> None:
    (path := tmp_path / "in.csv").write_bytes(content)
    done = run_cli("data", "generate", path, "--models", "m", "--output", tmp_path / "out.jsonl")
    assert done.code == 1
    assert done.err.startswith(f"Error: {path} ")
    assert complaint in done.err


def test_a_parquet_row_that_is_no_text_is_named(tmp_path: Path, make_row: Any, write_parquet: Any) -> None:
    import pyarrow
    import pyarrow.parquet

    path = write_parquet(tmp_path / "train.parquet", [make_row(0), make_row(1)])
    table = pyarrow.parquet.read_table(path)
    half = pyarrow.Array.from_buffers(pyarrow.string(), 2, pyarrow.array([b"ok", b"\xed\xa0\xbd"]).buffers())
    pyarrow.parquet.write_table(table.set_column(0, "data_source", half), path)
    with pytest.raises(DataError, match=r"train.parquet, row 1: 'data_source' cannot be read: 'utf-8'"):
        read_samples(path)


@pytest.mark.parametrize("target", ['["a", "b"]', " ['a', 'b'] ", "['a' 'b']", "[]"])
def test_a_list_of_references_as_a_text_is_told(
    run_cli: Script, tmp_path: Path, make_row: Any, write_parquet: Any, target: str
) -> None:
    path = write_parquet(tmp_path / "train.parquet", [make_row(0, target=target)])
    done = run_cli("index", "create", "--data", path, "--folder", tmp_path)
    assert done.code == 1
    assert "row 0: reward_model.ground_truth.target is a list written as one text" in done.err


@pytest.mark.parametrize("target", ["[The end of the story]", 'She said: "no"', ("['a', 'b']",)])
def test_one_reference_may_have_brackets(
    tmp_path: Path, make_row: Any, write_parquet: Any, target: Any
) -> None:
    assert len(read_samples(write_parquet(tmp_path / "a.parquet", [make_row(0, target=target)]))) == 1


# --- columns that no run knows -----------------------------------------------------------------------------


def test_columns_that_are_left_out_are_named(
    run_cli: Script, tmp_path: Path, make_row: Any, write_parquet: Any
) -> None:
    rows = [
        {**make_row(number, prompt=f"Write {number}."), "uid": 1, f"x{ESCAPES}": 1, "score": float("nan")}
        for number in range(2)
    ]
    for row in rows:
        row["extra_info"]["mine"] = {"read by": "a function of one's own"}
        for turn in row["prompt"]:
            turn["tool_calls"] = None
    path = write_parquet(tmp_path / "train.parquet", rows)
    done = run_cli("data", "check", "--train", path)
    assert done.code == 0
    assert is_plain(done.out)
    (line,) = [line for line in done.out.splitlines() if "left out of a run" in line]
    assert "uid, x\\x1b]52;" in line
    assert "score, prompt[].tool_calls" in line
    assert not any(known in line for known in ("ability", "mine", "extra_info", "role"))
    assert set(read_samples(path)[0].messages[0]) == {"role", "content"}


def test_a_type_that_verl_cannot_load_is_told_at_the_start(
    tmp_path: Path, make_row: Any, write_parquet: Any
) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(write_parquet(tmp_path / "train.parquet", [make_row(0)]))
    kind = pyarrow.map_(pyarrow.string(), pyarrow.string())
    odd = pyarrow.array([[("a", "b")]], kind)
    read_samples(_written(tmp_path / "extra.parquet", table.append_column("x", odd)))  # nobody looks at it
    extra = table.column("extra_info").combine_chunks()
    names = [*(field.name for field in extra.type), "x"]
    struct = pyarrow.StructArray.from_arrays([*extra.flatten(), odd], names)
    place = table.schema.get_field_index("extra_info")
    path = _written(tmp_path / "known.parquet", table.set_column(place, "extra_info", struct))
    with pytest.raises(DataError, match=r"known.parquet: extra_info.x has the type map<"):
        read_samples(path)


def _written(path: Path, table: Any) -> Path:
    import pyarrow.parquet

    pyarrow.parquet.write_table(table, path)
    return path


# --- chat templates (D1, D2) -------------------------------------------------------------------------------

CHAT = [{"role": "system", "content": "You write."}, {"role": "user", "content": "Write about the sea."}]
TURNS = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + TURNS
)
THINKING = f"{TURNS}<assistant>{{% if enable_thinking is false %}}<think></think>{{% endif %}}"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A tokenizer of characters, without a template."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    characters = {chr(code): code - 32 for code in range(32, 127)}
    made = Tokenizer(models.WordLevel(characters, unk_token="~"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="~")


def template(tokenizer: Any, text: str | None, **arguments: Any) -> ChatTemplate:
    tokenizer.chat_template = text
    return ChatTemplate.make(tokenizer, arguments, model="BASE_MODEL m")


def test_what_a_template_adds_is_counted_as_the_rollout_does(tokenizer: Any) -> None:
    from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder

    counts: list[int] = []
    for said in ({}, {"enable_thinking": False}):
        counts += template(tokenizer, THINKING, **said).count([CHAT], "x")
        rollout = create_continuous_token_builder(tokenizer, chat_template_kwargs=said)
        assert len(rollout.build_initial_tokens(CHAT)) == counts[-1]
    assert counts[1] - counts[0] == len("<think></think>")


def test_without_a_template_there_is_a_remedy(tokenizer: Any) -> None:
    with pytest.raises(SettingError, match=r"of BASE_MODEL m has no chat template: .*custom_chat_template"):
        template(tokenizer, None)
    assert ChatTemplate.make(tokenizer, {}, TURNS).text(CHAT).startswith("<system>")


def test_a_template_that_refuses_system_messages_is_told_with_the_remedy(tokenizer: Any) -> None:
    strict = template(tokenizer, NO_SYSTEM)
    with pytest.raises(DataError) as told:
        list(strict.count([CHAT[1:], CHAT], "train.parquet"))
    assert str(told.value).startswith("train.parquet, row 1: the tokenizer's chat template does not take")
    assert "System role not supported" in str(told.value)
    assert "--system ''" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "text", ["{% for", "{{ messages[7].content.x }}", "{{ raise_exception('\x1b]52;\n') }}"]
)
def test_a_template_that_fails_is_one_line(tokenizer: Any, text: str) -> None:
    with pytest.raises(DataError, match=r"train.parquet, row 0: .*use another model") as told:
        list(template(tokenizer, text).count([CHAT], "train.parquet"))
    assert is_plain(str(told.value))
    assert "\n" not in str(told.value)


def test_a_template_that_is_deaf_or_none_is_refused(tokenizer: Any) -> None:
    with pytest.raises(DataError, match="leaves the user's message out"):
        list(template(tokenizer, "{{ messages[0]['content'] }}").count([CHAT], "x"))
    with pytest.raises(SettingError, match=r"'/models/chat_template.jinja', which is no template"):
        ChatTemplate.make(tokenizer, {}, "/models/chat_template.jinja")
    with pytest.raises(SettingError, match="has tokenize, which verl sets itself"):
        ChatTemplate.make(tokenizer, {"tokenize": False}, TURNS)


def test_a_checkpoint_is_asked_for_its_template_before_it_is_served(
    run_cli: Script, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(*_: Any, **__: Any) -> None:
        raise AssertionError("it was served")

    monkeypatch.setattr("writing_rl.data.writers.serve", serve)
    folder = tmp_path / "model"
    path = lines(tmp_path / "in.jsonl", {"prompt": "Write of the sea."})
    for text, complaint in ((None, "has no chat template"), (NO_SYSTEM, "the prompt 'Write of the sea.': ")):
        tokenizer.chat_template = text
        tokenizer.save_pretrained(folder)
        (folder / "config.json").write_text("{}")
        output = tmp_path / "out.jsonl"
        done = run_cli("data", "generate", path, "--models", folder, "--output", output)
        assert done.code == 1
        assert complaint in done.err.splitlines()[-1]


def test_check_counts_as_the_rollout_does(
    run_cli: Script, tokenizer: Any, tmp_path: Path, make_row: Any, write_parquet: Any
) -> None:
    tokenizer.chat_template = THINKING
    tokenizer.save_pretrained(tmp_path / "model")
    path = write_parquet(tmp_path / "train.parquet", [make_row(0), make_row(1, prompt="Write of a bell.")])
    arguments = ("--train", path, "--tokenizer", tmp_path / "model", "--max-prompt-length", 70)
    assert run_cli("data", "check", *arguments).code == 0
    done = run_cli("data", "check", *arguments, "--chat-template-kwargs", '{"enable_thinking": false}')
    assert done.code == 1
    assert "row 0: the prompt has 78 tokens, the limit is 70" in done.out
    (tmp_path / "no_system.jinja").write_text(NO_SYSTEM)
    done = run_cli("data", "check", *arguments, "--chat-template", tmp_path / "no_system.jinja")
    assert done.code == 1
    assert "row 0: the tokenizer's chat template does not take the prompt" in done.out


# --- responses that were cut off (D3), and splits (D5) -----------------------------------------------------

GOOD, BETTER, CUT = "The sea was calm today.", "Nobody saw the boat leave.", "He opened the door, and then"


def test_a_response_that_was_cut_off_becomes_a_reference_only_where_it_is_asked_for(
    run_cli: Script, tmp_path: Path
) -> None:
    entries: list[dict[str, Any]] = []
    for number in range(4):
        said = [{"text": GOOD, "score": 1}, {"text": BETTER, "score": 2}]
        entries += [
            {"prompt": f"Write {number}.", "responses": said, "truncated": False},
            {"prompt": f"Write {number}.", "responses": [{"text": CUT, "score": 9}], "truncated": True},
        ]
    entries[0]["responses"].append({"text": f"{CUT} again", "score": 8, "truncated": True})
    path = lines(tmp_path / "in.jsonl", *entries)
    done = run_cli("data", "prepare", path, "--out", tmp_path / "out")
    assert done.code == 0
    assert "5 cut off at a limit of tokens (--keep-truncated keeps them)" in done.out
    made = read_samples(tmp_path / "out" / "train.parquet")
    assert {sample.references for sample in made} == {(GOOD, BETTER)}
    record = json.loads((tmp_path / "out" / "prepare.json").read_text())
    assert record["counts"]["truncated_responses"] == 5

    done = run_cli("data", "prepare", path, "--out", tmp_path / "kept", "--keep-truncated")
    assert done.code == 0
    assert "taken for whole (--keep-truncated): 5 responses" in done.out
    assert all(s.references[-1] == CUT for s in read_samples(tmp_path / "kept" / "train.parquet"))


def test_truncated_is_true_or_false(tmp_path: Path) -> None:
    path = lines(tmp_path / "in.jsonl", {"prompt": "a", "responses": [{"text": "b"}], "truncated": "yes"})
    with pytest.raises(DataError, match="line 1: 'truncated' is 'yes', it must be true or false"):
        read_raw_prompts([path])


@pytest.mark.parametrize(
    ("count", "note"),
    [
        (15, "Note: one prompt is left to train on"),
        (12, "Note: there are fewer prompts to train on (4) than for testing (12)"),
        (1, "Note: one prompt is for testing"),
        (4, None),
    ],
)
def test_a_split_that_leaves_next_to_nothing_says_so(
    run_cli: Script, tmp_path: Path, count: int, note: str | None
) -> None:
    said = [{"text": GOOD, "score": 1}, {"text": BETTER, "score": 2}]
    entries = [{"prompt": f"Write {number}.", "responses": said} for number in range(16)]
    path = lines(tmp_path / "in.jsonl", *entries)
    done = run_cli("data", "prepare", path, "--out", tmp_path / "out", "--test-count", count)
    assert done.code == 0
    assert note in done.out if note else "Note:" not in done.out


# --- spreadsheets (D6) and terminals (T4) ------------------------------------------------------------------

SOURCES = [
    "=cmd|'/C calc'!A0",
    "@SUM(1)",
    "+1",
    "-2+3",
    "\t=1",
    "\r=1",
    ' "=1',
    "＝1",
    "\ufeff=1",
    "news",
    "a=b",
]


def test_a_selection_is_safe_to_open(
    run_cli: Script, tmp_path: Path, make_row: Any, write_parquet: Any
) -> None:
    sources = [*SOURCES, f"x{ESCAPES}"]
    rows = [make_row(number, prompt=f"Write {number}.") for number in range(len(sources))]
    for row, source in zip(rows, sources, strict=True):
        row["extra_info"] |= {"scores": [1.0, 2.0, 3.0], "source": source}
    path = write_parquet(tmp_path / "train.parquet", rows)
    policy = lines(tmp_path / "policy.jsonl", *({"id": number, "score": 1} for number in range(len(rows))))
    out = tmp_path / "kept.parquet"
    done = run_cli("data", "select", path, "--policy", policy, "--top", 3, "--out", out)
    assert done.code == 0
    assert is_plain(done.out)
    table = (tmp_path / "kept.selection.csv").read_text(encoding="utf-8")
    assert is_plain(table)
    cells = [row["source"] for row in csv.DictReader(io.StringIO(table))]
    assert all(cell.startswith("'") for cell in cells[:9])
    assert cells[9:11] == ["news", "a=b"]
    assert cells[0] == "'=cmd|'/C calc'!A0"


def test_what_endpoints_and_models_say_reaches_no_terminal_raw(
    run_cli: Script, field_server: FieldServer, tmp_path: Path
) -> None:
    def answer(request: Request) -> Response:
        return error(400, f"no {ESCAPES}") if "Two" in request.text else message("A text.")

    field_server.behaviours[f"m{ESCAPES}"] = answer
    path = lines(tmp_path / "in.jsonl", {"prompt": "One"}, {"prompt": f"Two {ESCAPES}", "source": ESCAPES})
    arguments = (path, "--models", f"m{ESCAPES}", "--base-url", field_server.url)
    done = run_cli("data", "generate", *arguments, "--output", tmp_path / "out.jsonl")
    assert done.code == 0
    assert "1 of 2 responses" in done.out
    assert is_plain(done.out)
    assert is_plain(done.err)


def test_ids_and_names_of_files_reach_no_terminal_raw(run_cli: Script, tmp_path: Path) -> None:
    folder = tmp_path / f"f{ESCAPES}"
    folder.mkdir()
    (folder / "index_x.json").write_text(json.dumps({f"1{ESCAPES}": 0}))
    arguments = ("--experiment", "x", "--folder", folder)
    for command in (("index", "show", *arguments), ("index", "show", *arguments, f"1{ESCAPES}")):
        done = run_cli(*command)
        assert is_plain(done.out)
        assert is_plain(done.err)
    done = run_cli("data", "check", "--train", folder / "none.parquet")
    assert done.code == 1
    assert is_plain(done.out)
    assert is_plain(done.err)


# --- names of experiments (D7) -----------------------------------------------------------------------------

NAMES = [
    "../../escape",
    "/abs",
    ".",
    "..",
    "a/b",
    "a\\b",
    "-x",
    "~",
    "",
    " a",
    "a\0b",
    "a\x1b[2J",
    "a\nb",
    "x" * 300,
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_leads_out_of_no_folder(
    run_cli: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with pytest.raises(SettingError) as told:
        check_experiment(name)
    assert is_plain(str(told.value))
    assert "\n" not in str(told.value)
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    before = sorted(tmp_path.rglob("*"))
    for command, arguments in {
        "index create": ("--data-num", "3"),
        "index show": (),
        "index set": ("--all", "0"),
        "index diff": ("1", "2"),
        "index history": (),
        "export": (),
        "report": (),
        "chat": ("--prompt", "Write."),
        "data check": ("--train", "none.parquet"),
    }.items():
        done = run_cli(*command.split(), f"--experiment={name}", *arguments)
        assert done.code != 0, command
        assert "\n" not in done.err.strip(), command
        assert is_plain(done.err), command
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["my-writer", "a b", "50%", "$x", "写作", "x" * 150, "a.b"])
def test_other_names_are_fine(name: str) -> None:
    assert check_experiment(name) == name


# --- exit codes (J18) --------------------------------------------------------------------------------------


@pytest.fixture
def refusing(field_server: FieldServer) -> tuple[str, ...]:
    """A judge that refuses every text, as options."""
    field_server.behaviours["refuses"] = lambda _: message("", finish="content_filter")
    return ("--judge", "refuses", "--base-url", field_server.url)


def test_where_no_pair_has_a_verdict_the_exit_code_says_so(
    run_cli: Script, tmp_path: Path, refusing: tuple[str, ...]
) -> None:
    path = lines(tmp_path / "in.jsonl", *({**PAIR, "id": number} for number in range(3)))
    output = tmp_path / "out.jsonl"
    done = run_cli("judge", "pairs", *refusing, path, "--output", output)
    assert done.code == 1
    assert "unscored 3" in done.out
    assert done.err.splitlines()[-1].startswith("Error: no pair got a verdict; the last: content_filter")
    again = ("--judge", "offline", path, "--output", output, "--retry-unscored")
    assert run_cli("judge", "pairs", *again).code == 0
    (tmp_path / "empty.jsonl").touch()
    done = run_cli("judge", "pairs", *refusing, tmp_path / "empty.jsonl", "--output", output)
    assert done.code == 1
    assert "empty.jsonl holds no pairs" in done.err


def test_nor_does_a_calibration_without_verdicts_end_well(
    run_cli: Script, tmp_path: Path, refusing: tuple[str, ...]
) -> None:
    path = lines(tmp_path / "in.jsonl", *({**PAIR, "id": number, "label": "A"} for number in range(3)))
    done = run_cli("judge", "calibrate", *refusing, path, "--output", tmp_path / "out.jsonl")
    assert done.code == 1
    assert "no pair got a verdict, in neither order" in done.err


def test_nor_does_a_generation_without_a_response(
    run_cli: Script, field_server: FieldServer, tmp_path: Path
) -> None:
    field_server.behaviours["refuses"] = lambda _: message("", finish="content_filter")
    path = lines(tmp_path / "in.jsonl", {"prompt": "One"}, {"prompt": "Two"})
    arguments = ("--models", "refuses", "--base-url", field_server.url, "--output", tmp_path / "out.jsonl")
    done = run_cli("data", "generate", path, *arguments)
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("Error: no response could be had; the last:")


def test_nor_does_grading_without_a_grade(run_cli: Script, tmp_path: Path, refusing: tuple[str, ...]) -> None:
    path = lines(tmp_path / "in.jsonl", {"prompt": "One", "responses": [{"text": GOOD}, {"text": BETTER}]})
    done = run_cli("data", "prepare", path, "--out", tmp_path / "out", "--scores", "grade", *refusing)
    assert done.code == 1
    assert "2 without a grade" in done.err
