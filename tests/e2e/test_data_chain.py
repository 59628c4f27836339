"""From prompts to a training: an endpoint writes, grades and judges, and a checkpoint writes, too."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.commands import COMMAND
from writing_rl.curriculum.index_file import read_index
from writing_rl.dataset.samples import read_samples
from writing_rl.runlog.summary import read_metrics

GOOD = "When the tide went out it left the {0} on the sand, and a letter in it that nobody had read."
FAIR = "Grey waves rolled in all morning past the {0}, and nobody on the pier spoke a word."
THINGS = ("boat", "lamp", "bell", "kite", "map", "clock", "flute", "ring", "key", "cup", "drum", "coin")


def run(*arguments: object) -> str:
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


class Endpoint:
    """Answers what it is asked, by what it is asked: a text, grades, or a verdict."""

    def __init__(self, server: Any, reply: Any) -> None:
        self._requests = server.requests
        self._reply = reply

    def __call__(self, number: int) -> Any:
        request = self._requests[number - 1]
        said = request["messages"][-1]["content"]
        if "=== Text A ===" in said:
            first, second = (part.split("=== End of text")[0] for part in said.split("=== Text ")[1:])
            return self._reply(self._verdict(self._grade(first), self._grade(second)))
        if "=== Text ===" in said:
            grade = self._grade(said.split("=== Text ===")[1])
            return self._reply(f"Read.\n[[{', '.join([str(grade)] * 5)}]]")
        thing = re.search(r"about the (\w+)", said)
        assert thing, said
        return self._reply((GOOD if request["model"] == "strong" else FAIR).format(thing[1]))

    @staticmethod
    def _grade(text: str) -> int:
        """The references by what they are; whatever the checkpoint writes is worse."""
        return 8 if "a letter in it" in text else 5 if "Grey waves" in text else 2

    @staticmethod
    def _verdict(first: int, second: int) -> str:
        return "[[A]]" if first > second else "[[B]]" if first < second else "[[C]]"


def test_prompts_become_a_training(
    material: Path, start_training: Any, judge_server: Any, reply: Any, tmp_path: Path
) -> None:
    judge_server.choose = Endpoint(judge_server, reply)
    prompts = tmp_path / "prompts.jsonl"
    lines = [{"prompt": f"Write about the {thing}.", "source": "test"} for thing in THINGS]
    prompts.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    at, judge = f"@{judge_server.url}", ("--judge", "a-judge", "--base-url", judge_server.url)
    checkpoint = material / "base_model"

    responses, data = tmp_path / "responses.jsonl", tmp_path / "data"
    models = f"strong{at},weak{at},{checkpoint}"
    run("data", "generate", prompts, "--models", models, "--max-tokens", 16, "--output", responses)
    said = run("data", "prepare", responses, "--output", data, "--scores", "grade", "--confirm-order", *judge)
    assert "strong 8.00 (12), weak 5.00 (12)" in said
    samples = read_samples(data / "train.parquet")
    assert all([text[:4] for text in sample.references[-2:]] == ["Grey", "When"] for sample in samples)

    chosen = tmp_path / "chosen" / "train.parquet"
    options = ("--policy-model", checkpoint, "--policy-max-tokens", 16, "--top", 8)
    run("data", "select", data / "train.parquet", "--output", chosen, *options, *judge)
    (data / "test.parquet").rename(chosen.with_name("test.parquet"))
    said = run("data", "check", "--data-dir", chosen.parent, "--tokenizer", checkpoint)
    assert len(read_samples(chosen)) == 8, said

    training = start_training(
        "trainer.total_training_steps=1",
        "trainer.val_before_train=false",
        f"writing_rl.judge.base_url={judge_server.url}",
        data=chosen.parent,
        JUDGE_MODEL="a-judge",
    )
    assert training.wait() == 0, training.story
    assert set(read_index(tmp_path / "running_file" / "index_trial.json")) == {
        str(sample.id) for sample in read_samples(chosen)
    }
    (step,) = [step for step in read_metrics(tmp_path / "logs" / "trial") if "writing_rl/win_rate" in step]
    assert step["writing_rl/unscored_rate"] == 0
