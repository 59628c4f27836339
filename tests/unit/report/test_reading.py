"""What a report reads from what a run leaves behind."""

from __future__ import annotations

import json
import math
import os
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.curriculum.journal import Journal, read_journal, rebuild
from writing_rl.curriculum.state import Move
from writing_rl.errors import DataError
from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.compare import Call, Comparison
from writing_rl.judging.verdict import Outcome, Verdict
from writing_rl.report.headline import outcomes_by_step
from writing_rl.report.metrics import ends, smoothed, smoothing, thinned, validation_keys
from writing_rl.report.positions import follow
from writing_rl.report.run_data import Judged, Positions
from writing_rl.report.shown_settings import chosen, differing, shown
from writing_rl.report.training_set import read_prompts, read_references
from writing_rl.report.transcripts import read_entry, read_transcripts
from writing_rl.runlog.metrics_file import read_figures
from writing_rl.runlog.start_record import write_start
from writing_rl.runlog.train_log import read_train_logs
from writing_rl.runlog.transcript import Transcript
from writing_rl.util.redact import HIDDEN, clean, is_secret, redact

TRAINED = {"writing_rl/win_rate": 0.5}
WIN, TIE, LOSS, UNSCORED = Outcome.WIN, Outcome.TIE, Outcome.LOSS, Outcome.UNSCORED


# --- metrics


def log(folder: Path, name: str, steps: Sequence[tuple[int, Mapping[str, Any]]], torn: str = "") -> None:
    folder.mkdir(exist_ok=True)
    lines = [json.dumps({"step": step, "data": data}) + "\n" for step, data in steps]
    (folder / name).write_text("".join(lines) + torn)


def test_a_run_that_went_back_has_the_steps_of_its_last_start(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    log(folder, "1.jsonl", [(step, {**TRAINED, "x": step}) for step in range(1, 7)])
    log(folder, "2.jsonl", [(4, {"val-aux/a/win/mean@1": 0.25}), (5, {**TRAINED, "x": 50})])
    figures, unreadable = read_figures(folder)
    assert unreadable == 0
    assert list(figures) == [1, 2, 3, 4, 5]
    # The checkpoint's own step keeps its figures beside those of the validation before training.
    assert figures[4] == {**TRAINED, "x": 4, "val-aux/a/win/mean@1": 0.25}
    assert figures[5]["x"] == 50


@pytest.mark.parametrize("torn", ['{"step": 2, "da', "{", '{"step": 2}', "[1]", '{"step": "2", "data": {}}'])
def test_a_torn_last_line_is_left_out_and_others_are_counted(tmp_path: Path, torn: str) -> None:
    folder = tmp_path / "metrics"
    log(folder, "1.jsonl", [(1, TRAINED)], torn)
    assert read_figures(folder) == ({1: TRAINED}, 0)
    log(folder, "1.jsonl", [(1, TRAINED)], f"{torn}\n")
    assert read_figures(folder) == ({1: TRAINED}, 1)


def test_only_finite_numbers_are_figures(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    data = {"a": 1, "b": None, "c": "text", "d": True, "e": [1], "f": 0.5}
    log(folder, "1.jsonl", [(1, data)])
    assert read_figures(folder)[0] == {1: {"a": 1.0, "f": 0.5}}


def test_validation_keys_carry_their_source() -> None:
    figures = {
        0: {"val-aux/a/b/win/mean@4": 0.1, "val-aux/c/reward/mean@1": 0.2, "val-core/d/win/mean@1": 0.3}
    }
    assert validation_keys(figures) == {"val-aux/a/b/win/mean@4": "a/b"}


@given(st.dictionaries(st.integers(0, 5000), st.floats(-1e6, 1e6), min_size=1), st.integers(1, 50))
def test_a_thinned_series_keeps_its_end_and_its_range(series: dict[int, float], most: int) -> None:
    series = dict(sorted(series.items()))
    thin = thinned(series, most)
    assert len(thin) <= most
    assert list(thin)[-1] == list(series)[-1]
    assert (
        min(series.values()) - 1e-3 <= min(thin.values()) <= max(thin.values()) <= max(series.values()) + 1e-3
    )
    assert list(smoothed(series, 3)) == list(series)


def test_smoothing_begins_with_some_steps() -> None:
    assert smoothing(29) == 1
    assert smoothed(dict.fromkeys(range(40), 2.0), 3) == dict.fromkeys(range(40), 2.0)
    series = {step: float(step == 20) for step in range(40)}
    assert math.isclose(smoothed(series, smoothing(len(series)))[20], 1 / 3)
    assert ends([1.0, 2.0, 3.0, 10.0], 5) == (1.5, 6.5)
    assert ends([1.0], 5) == (1.0, 1.0)


# --- journal


def columns(positions: Positions) -> list[list[int]]:
    return positions.counts.T.tolist()


def test_the_heat_map_is_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "index_a.json")
    journal.begin(0, {"0": 0, "1": 0, "2": 1})
    journal.append(1, [Move("0", 0, 1, "won")])
    journal.append(3, [Move("0", 1, 2, "won"), Move("2", 1, 0, "lost")])
    positions = follow(read_journal(journal.path), last_step=4)
    assert positions is not None
    assert list(positions.steps) == [0, 1, 2, 3, 4]
    assert columns(positions) == [[2, 1, 0], [1, 2, 0], [1, 2, 0], [2, 0, 1], [2, 0, 1]]
    assert positions.changes == {"0": [(1, 1), (3, 2)], "2": [(3, 0)]}
    assert [positions.end(key) for key in "012"] == [2, 0, 0]
    assert not positions.resumed


def test_of_a_step_that_is_taken_twice_the_second_time_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "index_a.json")
    journal.begin(0, {"0": 0, "1": 0})
    journal.append(1, [Move("0", 0, 1, "won")])
    saved = {"0": 1, "1": 0}
    journal.append(2, [Move("0", 1, 2, "won"), Move("1", 0, 1, "won")])
    journal.append(3, [Move("0", 2, 3, "won")])
    journal.resume(1, saved)
    journal.append(2, [Move("1", 0, 1, "won")])
    positions = follow(read_journal(journal.path))
    assert positions is not None
    assert positions.resumed == (1,)
    assert positions.changes == {"0": [(1, 1)], "1": [(2, 1)]}
    assert columns(positions) == [[2, 0], [1, 1], [0, 2]]


def test_a_run_that_begins_anew_and_keeps_its_indexes_goes_on_with_them(tmp_path: Path) -> None:
    entries = [
        {"step": 0, "why": "start", "indexes": {"0": 0, "1": 0}},
        {"step": 5, "id": "0", "from": 0, "to": 1, "why": "won"},
        {"step": 1, "id": "0", "from": 1, "to": 2, "why": "won"},
    ]
    positions = follow(entries)
    assert positions is not None
    assert positions.end("0") == 2
    assert columns(positions)[-1] == [1, 0, 1]


@given(st.integers(0, 10**6))
def test_the_last_column_is_the_state_that_the_journal_leads_to(seed: int) -> None:
    draw = random.Random(seed)
    state = {str(key): draw.randrange(3) for key in range(draw.randrange(1, 6))}
    entries: list[dict[str, object]] = [{"step": 0, "why": "start", "indexes": dict(state)}]
    states, step = {0: dict(state)}, 0
    for _ in range(draw.randrange(12)):
        if step and draw.random() < 0.25:
            step = draw.randrange(step)
            entries.append({"step": step, "why": "resumed"})
            kept = states[step]
            entries += [
                {"step": step, "id": key, "from": state[key], "to": kept[key], "why": "restored"}
                for key in state
                if state[key] != kept[key]
            ]
            state = dict(kept)
        step += 1
        for key in draw.sample(sorted(state), draw.randrange(len(state) + 1)):
            after = max(0, state[key] + draw.choice([-1, 1]))
            entries.append({"step": step, "id": key, "from": state[key], "to": after, "why": "won"})
            state[key] = after
        states[step] = dict(state)
    positions = follow(entries, step)
    assert positions is not None
    assert {key: positions.end(key) for key in state} == rebuild(entries) == state
    for column, at in enumerate(positions.steps[: step + 1]):
        expected = Counter(states[at].values())
        assert {i: n for i, n in enumerate(positions.counts[:, column].tolist()) if n} == dict(expected)


def test_edits_by_hand_are_counted_and_an_empty_journal_is_none() -> None:
    assert follow([]) is None
    positions = follow(
        [
            {"step": 0, "why": "start", "indexes": {"0": 0}},
            {"step": 1, "id": "0", "from": 0, "to": 1, "why": "manual"},
        ]
    )
    assert positions is not None
    assert positions.by_hand == 1
    assert isinstance(positions.counts, numpy.ndarray)


# --- transcripts


def compared(outcome: Outcome, latency_s: float = 1.0) -> Comparison:
    if outcome is UNSCORED:
        return Comparison(outcome, reason="timeout", detail="no answer")
    return Comparison(
        outcome, calls=(Call("judge-1", Verdict.B, Answer("ok", latency_s=latency_s), Verdict.B),)
    )


def write_group(
    transcript: Transcript,
    step: int,
    id: int,
    outcomes: Sequence[Outcome],
    *,
    index: int | None = None,
    uid: str = "u",
    training: bool = True,
    reference: int = 0,
) -> None:
    for session, outcome in enumerate(outcomes):
        about = {
            "step": step,
            "id": id,
            "index": id if index is None else index,
            "rollout": f"{uid}_{session}",
            "training": training,
            "reference_index": reference,
        }
        transcript.write(
            compared(outcome, 1.0 + session), about, {"response": f"{uid} {step}", "reference": "r"}
        )


def counted(judged: Judged) -> dict[int, dict[Outcome, int]]:
    return {step: dict(counts) for step, counts in outcomes_by_step(judged.training).items()}


def test_transcripts_become_meetings(tmp_path: Path) -> None:
    transcript = Transcript(tmp_path, characters=100)
    write_group(transcript, 0, 7, [LOSS], training=False, reference=2)
    write_group(transcript, 1, 7, [WIN, WIN, TIE, UNSCORED])
    write_group(transcript, 2, 7, [LOSS, LOSS], reference=1)
    judged = read_transcripts(tmp_path)
    assert judged.comparisons == 7
    assert judged.unreadable == 0
    assert counted(judged) == {1: {WIN: 2, TIE: 1, UNSCORED: 1}, 2: {LOSS: 2}}
    assert [(m.step, m.reference, m.win_share) for m in judged.training["7"]] == [(1, 0, 2 / 3), (2, 1, 0.0)]
    assert list(judged.validation) == ["7"]
    assert judged.latencies_s == {1: (2.0, 3.0), 2: (1.0, 2.0)}
    assert [(reason.name, reason.count, reason.example) for reason in judged.reasons] == [
        ("timeout", 1, "no answer")
    ]
    assert judged.judges == {"judge-1": 6}
    assert read_entry(judged, judged.training["7"][1].places[0])["response"] == "u 2"


def test_a_step_that_is_taken_again_counts_as_it_was_the_last_time(tmp_path: Path) -> None:
    transcript = Transcript(tmp_path, characters=0)
    for step in (1, 2, 3):
        write_group(transcript, step, 7, [LOSS, LOSS], uid="first")
    write_group(transcript, 2, 7, [WIN, TIE], uid="second")
    assert counted(read_transcripts(tmp_path)) == {1: {LOSS: 2}, 2: {WIN: 1, TIE: 1}}


def test_two_machines_share_the_rollouts_of_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for machine, outcome in (("a-1", WIN), ("b", LOSS)):
        monkeypatch.setattr("socket.gethostname", lambda machine=machine: machine)
        transcript = Transcript(tmp_path, characters=0, full_bytes=100)  # a file for every line
        write_group(transcript, 1, 7, [outcome, outcome])
        write_group(transcript, 2, 7, [outcome])
    assert len(list(tmp_path.iterdir())) == 6
    assert counted(read_transcripts(tmp_path)) == {1: {WIN: 2, LOSS: 2}, 2: {WIN: 1, LOSS: 1}}


def test_the_machine_that_wrote_last_counts_where_the_run_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for time, (machine, outcome) in enumerate((("b", LOSS), ("a", WIN))):
        monkeypatch.setattr("socket.gethostname", lambda machine=machine: machine)
        write_group(Transcript(tmp_path, characters=0), 5, 7, [outcome], uid=machine)
        os.utime(tmp_path / f"comparisons-{machine}-0001.jsonl", (time, time))
    assert counted(read_transcripts(tmp_path)) == {5: {WIN: 1}}


def test_where_ids_repeat_the_index_names_the_sample(tmp_path: Path) -> None:
    transcript = Transcript(tmp_path, characters=0)
    for index in (10, 11):
        write_group(transcript, 1, 0, [WIN], index=index, uid=str(index))
    assert set(read_transcripts(tmp_path).training) == {"10", "11"}
    assert set(read_transcripts(tmp_path, by_index=False).training) == {"0"}
    write_group(transcript, 2, 5, [WIN], index=12)
    assert set(read_transcripts(tmp_path, by_index=True).training) == {"10", "11", "12"}


def test_damaged_lines_are_counted_and_a_torn_last_one_is_not(tmp_path: Path) -> None:
    write_group(Transcript(tmp_path, characters=0), 1, 7, [WIN])
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()
    wrong = [b"{", b"[]", b'{"step": 1}', b'{"step": 1, "outcome": "draw"}']
    wrong.append(good.rstrip().replace(b'"latency_s":1.0', b'"latency_s":null'))
    path.write_bytes(good + b"".join(line + b"\n" for line in wrong) + good[:40])
    judged = read_transcripts(tmp_path)
    assert (judged.comparisons, judged.unreadable) == (1, 5)
    assert counted(judged) == {1: {WIN: 1}}


def test_no_transcripts_are_nothing(tmp_path: Path) -> None:
    judged = read_transcripts(tmp_path / "none")
    assert (judged.comparisons, judged.training, judged.reasons) == (0, {}, [])


# --- logs of the training

CONFIG = {
    "actor_rollout_ref": {
        "actor": {"optim": {"lr": 3e-4}, "notes": {"a": "}" * 30, "b": "x" * 90}},
        "rollout": {"n": 8},
    },
    "data": {"train_files": "/somewhere/data/train.parquet"},
    "ray_kwargs": {"ray_init": {"runtime_env": {"env_vars": {"WANDB_API_KEY": "abc"}}}},
    "trainer": {"total_training_steps": 36},
    "writing_rl": {"judge": {"model": "judge-1", "api_key": "sk-secret-secret", "max_tokens": 5}},
}


def test_a_start_record_holds_the_settings_but_no_secret(tmp_path: Path) -> None:
    write_start(tmp_path, CONFIG, "1")
    facts = read_train_logs(tmp_path)
    assert facts.settings["actor_rollout_ref.actor.optim.lr"] == 3e-4
    assert facts.settings["writing_rl.judge.max_tokens"] == 5
    assert facts.total_steps == 36
    assert facts.starts == 1
    assert not any("secret" in str(value) or value == "abc" for value in facts.settings.values())


def test_what_the_last_start_says_counts(tmp_path: Path) -> None:
    step = "\x1b[36m(WatchedTaskRunner pid=12, ip=10.0.0.1)\x1b[0m [writing-rl] step 3/{} | win 0.94\n"
    refused = "Error: the judge refuses the key sk-abcdefgh1234\n"
    (tmp_path / "train-1.log").write_text(step.format(36) + refused)
    assert read_train_logs(tmp_path).endings == (f"Error: the judge refuses the key {HIDDEN}",)
    (tmp_path / "train-2.log").write_text(
        step.format(400) + "(A pid=1) [writing-rl] ended before its last step: no money\n"
    )
    facts = read_train_logs(tmp_path)
    assert (facts.total_steps, facts.starts) == (400, 2)
    assert facts.endings == ("Ended before its last step: no money",)


@pytest.mark.parametrize("log", ["", "\xff\n"])
def test_a_log_without_a_record_has_no_settings(tmp_path: Path, log: str) -> None:
    (tmp_path / "train-1.log").write_text(log, encoding="latin-1")
    assert read_train_logs(tmp_path).settings == {}


def test_settings_are_shown_as_people_write_them() -> None:
    root = Path("/somewhere")
    assert [shown(value, root) for value in (None, True, 1e-6, "/somewhere/data/a", ["a", 1])] == [
        "none",
        "yes",
        "1e-06",
        "data/a",
        "a, 1",
    ]
    assert shown("http://me:word@host/v1?key=1", root) == f"http://{HIDDEN}@host/v1?{HIDDEN}"
    assert chosen({"writing_rl.judge.model": "x", "unknown": 1}, root) == {"Judge": [("model", "x")]}
    two = [
        {"a": 1, "b": 2, "trainer.experiment_name": "x"},
        {"a": 1, "b": 3, "c": 4, "trainer.experiment_name": "y"},
    ]
    assert list(differing(two, root)) == [("b", ["2", "3"]), ("c", ["–", "4"])]


@pytest.mark.parametrize(
    "key", ["a.api_key", "a.OPENAI_API_KEY", "b.password", "token", "hf_token", "x.env_vars.y"]
)
def test_secret_settings_are_known_by_their_names(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize(
    "key", ["max_tokens", "tokens_per_minute", "prompt_key", "ppo_max_token_len_per_gpu"]
)
def test_other_settings_are_not_secret(key: str) -> None:
    assert not is_secret(key)


def test_keys_in_texts_are_hidden() -> None:
    text = "Incorrect API key provided: sk-proj-abc***xyz. Bearer abc.def.ghi. A risk-free word"
    hidden = redact(text)
    assert "abc" not in hidden
    assert "risk-free word" in hidden
    assert clean("a\x00b\x1b[31m\r\nc\td\ud800") == "a�b�[31m\nc\td�"


# --- training set


def test_the_training_set_says_how_many_references_there_are(
    tmp_path: Path, make_row: Callable[..., dict[str, Any]], write_parquet: Callable[..., Path]
) -> None:
    rows = [make_row(id, index=10 + id) for id in range(3)]
    path = write_parquet(tmp_path / "train.parquet", rows)
    references, by_index = read_references(path)
    count = len(rows[0]["reward_model"]["ground_truth"]["target"])
    assert (references, by_index) == ({"0": count, "1": count, "2": count}, False)
    prompt = rows[1]["reward_model"]["ground_truth"]["prompt"]
    assert read_prompts(path, {"1"}, by_index=False) == {"1": prompt}
    assert set(read_prompts(path, {"11"}, by_index=True)) == {"11"}
    path.write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"train\.parquet cannot be read"):
        read_references(path)
