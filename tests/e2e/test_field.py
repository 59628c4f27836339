"""A training with everything at once that a judge does in the field."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.field.endpoints import FieldServer, Request, Response, error, message
from writing_rl.dataset.samples import read_samples
from writing_rl.runlog.start_record import read_starts
from writing_rl.runlog.summary import read_metrics

STEPS, STEP = 10, 16  # a step is 4 prompts with 4 rollouts each


@pytest.fixture
def judge() -> Iterator[FieldServer]:
    server = FieldServer()
    yield server
    server.close()


@pytest.mark.parametrize("away_s", [40.0, pytest.param(120.0, marks=pytest.mark.nightly)])
def test_ten_steps_survive_an_outage_a_flagged_text_a_401_and_a_proxy(
    start_training: Callable[..., object], judge: FieldServer, material: Path, away_s: float
) -> None:
    flagged = read_samples(str(material / "train.parquet"))[5]
    refusals = 0

    def behave(request: Request) -> Response:
        nonlocal refusals
        number = request.number
        for name in ("max_tokens", "temperature"):
            if name in request.body:
                refusals += 1
                return error(
                    400, f"Unsupported parameter: '{name}'", param=name, code="unsupported_parameter"
                )
        if number == 30:
            return error(401, "gateway hiccup")
        if number == 60:
            judge.go_away(away_s)
        if flagged.prompt in request.text:
            return error(
                403, "This request requires moderation", code=403, metadata={"reasons": ["violence"]}
            )
        return message(f"The second text goes on.\n[[{'B' if number % 3 else 'A'}]]")

    judge.behaviours["field-judge"] = behave
    run = start_training(
        "writing_rl.judge.model=field-judge",
        f"writing_rl.judge.base_url={judge.url}",
        f"writing_rl.judge.deadline_s={away_s / 2}",  # an outage is longer than a comparison may take
        f"trainer.total_training_steps={STEPS}",
        "trainer.total_epochs=3",
        "trainer.val_before_train=false",
        # Nobody is there: whatever goes to a server of the run's own by it fails.
        http_proxy="http://127.0.0.1:9",
        https_proxy="http://127.0.0.1:9",
        HTTP_PROXY="http://127.0.0.1:9",
        no_proxy="localhost,127.0.0.1",
        NO_PROXY="localhost,127.0.0.1",
    )
    assert run.wait() == 0, run.story
    steps = [step for step in read_metrics(run.folder / "logs" / "trial") if "writing_rl/win_rate" in step]
    assert [step["step"] for step in steps] == list(range(1, STEPS + 1))
    lines = [
        json.loads(line)
        for part in sorted((run.folder / "logs" / "trial" / "judge").glob("*.jsonl"))
        for line in part.read_text().splitlines()
    ]
    assert len(lines) == STEPS * STEP
    unscored = [line for line in lines if line["outcome"] == "unscored"]
    assert {line["id"] for line in unscored} == {flagged.id}
    of_flagged = [line for line in lines if line["id"] == flagged.id and line["reason"] != "no_answer"]
    assert len(unscored) == len(of_flagged)
    assert {line["reason"] for line in unscored} == {"content_filter"}
    assert all("requires moderation" in line["detail"] for line in unscored)
    # Learnt at the start: no worker was refused once more, and all asked in the same way.
    assert refusals == 2
    started = read_starts(run.folder / "logs" / "trial")[0]["settings"]
    learnt = {name: value for name, value in started.items() if ".judge.learnt." in name}
    prefix = "writing_rl.judge.learnt.field-judge."
    assert learnt == {
        f"{prefix}max_tokens": None,
        f"{prefix}max_completion_tokens": 2048,
        f"{prefix}temperature": None,
    }
    assert "cannot be reached" in run.output
    back = re.search(r"answers again after (\d+) s", run.output)
    assert back is not None
    assert int(back[1]) > away_s / 2
