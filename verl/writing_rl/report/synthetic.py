"""A made-up run of any size, written through the project's own writers, to measure reports with."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

from writing_rl.curriculum.journal import Journal
from writing_rl.curriculum.state import Curriculum
from writing_rl.judging.client.budget import Bill
from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.compare import Call, Comparison
from writing_rl.judging.usage import Usage
from writing_rl.judging.verdict import Outcome, Verdict
from writing_rl.report.collect import Folders
from writing_rl.report.shown_metrics import ATTACKS
from writing_rl.runlog.spent import spent_file, totals, write_spent
from writing_rl.runlog.transcript import Transcript

#: With what makes JSON longer than a text, and letters of more than a byte.
_WORDS = (
    "the sea",
    '"grey"',
    "and wide,",
    "a keeper\nof light;",
    "海",
    "wrote wind",
    "letters — so",
    "never sent",
)


@dataclass(frozen=True)
class Size:
    """How large the run is.

    Attributes:
        steps: Training steps.
        prompts: Prompts in a step.
        rollouts: Rollouts of a prompt.
        samples: Samples of the training set.
        references: References of a sample.
        characters: Length of each response, reference and answer of the judge.
        validate_every: Steps between two validations, of as many rollouts as a step has prompts.
    """

    steps: int = 405
    prompts: int = 32
    rollouts: int = 8
    samples: int = 1500
    references: int = 5
    characters: int = 2000
    validate_every: int = 50


def write_run(name: str, folders: Folders, size: Size, seed: int = 0) -> None:
    """Writes what such a run leaves behind: metrics, transcripts, journal, and what it has spent.

    Args:
        name: The experiment.
        folders: Where to.
        size: How large it is.
        seed: Of everything that is drawn.
    """
    run = _Run(size, random.Random(seed))
    logs = folders.logs / name
    transcript = Transcript(logs / "judge", characters=size.characters)
    journal = Journal(folders.index_file(name))
    journal.begin(0, run.curriculum.indexes)
    (logs / "metrics").mkdir(parents=True, exist_ok=True)
    with open(logs / "metrics" / "20260101-000000.jsonl", "w", encoding="utf-8") as metrics:
        for step in range(size.steps + 1):
            figures: dict[str, float] = {}
            if step:
                for about, comparison in run.train(step):
                    transcript.write(comparison, about, run.texts())
                report = run.curriculum.commit(step)
                journal.append(step, report.moves)
                figures = run.figures(step) | report.metrics()
            if step % size.validate_every == 0:
                wins = 0
                for about, comparison in run.validate(step):
                    transcript.write(comparison, about, run.texts())
                    wins += comparison.outcome is Outcome.WIN
                figures["val-aux/writing/win/mean@1"] = wins / size.prompts
            metrics.write(json.dumps({"step": step, "data": figures}) + "\n")
    write_spent(spent_file(str(logs)), run.spent)


class _Run:
    """The run under way."""

    def __init__(self, size: Size, random: random.Random) -> None:
        self._size = size
        self._random = random
        keys = list(map(str, range(size.samples)))
        self.curriculum = Curriculum(dict.fromkeys(keys, size.references), dict.fromkeys(keys, 0))
        text = " ".join(random.choices(_WORDS, k=size.characters))
        self._text = text + text
        self.spent = Bill()
        self._usage: list[Usage] = []

    def train(self, step: int) -> Iterator[tuple[dict[str, object], Comparison]]:
        """The comparisons of a step."""
        self._usage = []
        for id in self._random.sample(range(self._size.samples), self._size.prompts):
            reference = self.curriculum.assign(step, str(id))
            for session in range(self._size.rollouts):
                rollout = f"{step:08x}-0000-4000-8000-{id:012x}_{session}"
                comparison = self._compare(step, reference)
                self.curriculum.record(step, str(id), rollout, comparison.outcome)
                yield self._about(step, id, rollout, True, reference), comparison

    def validate(self, step: int) -> Iterator[tuple[dict[str, object], Comparison]]:
        """The comparisons of a validation."""
        for id in range(self._size.prompts):
            reference = (self._size.references - 1) // 2
            rollout = f"{step:08x}-ffff-4000-8000-{id:012x}_0"
            yield self._about(step, id, rollout, False, reference), self._compare(step, reference)

    @staticmethod
    def _about(step: int, id: int, rollout: str, training: bool, reference: int) -> dict[str, object]:
        row = {"step": step, "id": id, "index": id, "rollout": rollout}
        return {**row, "training": training, "reference_index": reference}

    def _compare(self, step: int, reference: int) -> Comparison:
        """A writer that learns, and a judge that is sometimes out of reach."""
        skill = 0.75 + 0.6 * self._size.references * step / self._size.steps - reference
        chance = self._random.random()
        if chance < 0.004:
            return Comparison(Outcome.UNSCORED, reason="timeout", detail="no answer within 120 s")
        won = self._random.random() < min(0.95, max(0.05, 0.5 + 0.35 * skill))
        outcome = Outcome.TIE if chance > 0.92 else Outcome.WIN if won else Outcome.LOSS
        verdict = {Outcome.TIE: Verdict.TIE, Outcome.WIN: Verdict.B, Outcome.LOSS: Verdict.A}[outcome]
        latency_s = self._random.lognormvariate(1.0, 0.4)
        answer = Answer(self._cut(), 4200, 460, latency_s=latency_s, cost_usd=0.0011)
        comparison = Comparison(outcome, (outcome,), calls=(Call("judge-1", Verdict.B, answer, verdict),))
        self._usage.append(Usage.of(comparison))
        self.spent = Bill.total([self.spent, Bill(1, 4200, 460, 0.0011)])
        return comparison

    def _cut(self) -> str:
        first = self._random.randrange(self._size.characters)
        return self._text[first : first + self._size.characters]

    def texts(self) -> dict[str, str]:
        """Of a comparison."""
        return {"response": self._cut(), "reference": self._cut()}

    def figures(self, step: int) -> dict[str, float]:
        """What verl would log, and what judging took."""
        done = step / self._size.steps
        return {
            "critic/score/mean": 0.5 + 0.1 * self._random.gauss(0, 1),
            "actor/entropy": 1.2 - 0.6 * done + 0.02 * self._random.gauss(0, 1),
            "actor/kl_loss": 0.05 * done + 0.002 * self._random.random(),
            "actor/ppo_kl": 0.001 * self._random.random(),
            "actor/grad_norm": 0.3 + 0.05 * self._random.random(),
            "response_length/mean": 1200 + 500 * done + 30 * self._random.gauss(0, 1),
            "writing_rl/answer_words": 900 + 380 * done + 20 * self._random.gauss(0, 1),
            "writing_rl/answer_repetition": 0.05 - 0.02 * done + 0.004 * self._random.random(),
            **dict.fromkeys(ATTACKS.keys, 0.01 * self._random.random()),
            "timing_s/step": 180 + 10 * self._random.random(),
            **Usage.total(self._usage).metrics(),
            **totals(self.spent),
        }
