from __future__ import annotations

import json
from pathlib import Path

from writing_rl.runlog.phase_log import Peak, Sample, Span, peaks, read_spans, seconds


def write(path: Path, *entries: tuple[float, str, bool]) -> Path:
    lines = [json.dumps({"time": time, "phase": phase, "begins": begins}) for time, phase, begins in entries]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_a_phase_lasts_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    log = write(
        tmp_path / "phases.jsonl",
        (1.0, "load", True),
        (4.0, "load", False),
        (5.0, "rollout", True),
        (9.0, "rollout", False),
        (10.0, "save", True),
    )
    assert read_spans(log) == [Span("load", 1.0, 4.0), Span("rollout", 5.0, 9.0)]


def test_seconds_of_a_phase_add_up_in_the_order_of_a_step() -> None:
    spans = [Span("update", 5, 7), Span("rollout", 1, 4), Span("update", 8, 9)]
    took = seconds(spans)
    assert (took["rollout"], took["update"], took["save"]) == (3, 3, 0)
    assert list(took)[:2] == ["load", "rollout"]


def test_each_phase_has_the_most_memory_that_was_seen_in_it() -> None:
    spans = [Span("rollout", 0, 10), Span("update", 10, 20)]
    samples = [Sample(1, 100, (5, 6)), Sample(9, 300, (4, 7)), Sample(15, 200, (9, 1))]
    assert peaks(spans, samples) == {"rollout": Peak(300, 7), "update": Peak(200, 9)}


def test_a_phase_between_two_looks_has_the_nearest() -> None:
    spans = [Span("save", 5.0, 5.1)]
    assert peaks(spans, [Sample(4.9, 10), Sample(9, 99)]) == {"save": Peak(10, 0)}


def test_without_a_look_nothing_is_claimed() -> None:
    assert peaks([Span("save", 5.0, 5.1)], []) == {}
