"""The rehearsal: the user's own model, data and settings for three steps, and what the whole run will take.

A step whose texts are forced to full length shows the most memory that the run can need; two steps as texts
come, resumed from its checkpoint, show the usual, the second one without what happens once in a start. The
checkpoints are deleted. All of it happens in a folder of its own: nothing of the experiment is touched.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path

from omegaconf import DictConfig

from writing_rl.dataset import chat_template
from writing_rl.dataset.chat_template import ChatTemplate
from writing_rl.dataset.samples import Sample, read_samples
from writing_rl.errors import RunFailure
from writing_rl.judging.providers import provider_of
from writing_rl.judging.rules import Strategy
from writing_rl.launch.compose import compose
from writing_rl.launch.counts import total_steps
from writing_rl.launch.forecast import Forecast, JudgeMeasured, Measured, Plan, Rehearsed, forecast, plan_of
from writing_rl.launch.judge_trial import announce, measure
from writing_rl.launch.main import resolve, with_profile
from writing_rl.launch.memory_watch import MemoryWatch
from writing_rl.launch.resources import checkpoints_at_once
from writing_rl.launch.trial_run import TrialFolder, train
from writing_rl.models.hub import local_model
from writing_rl.runlog.phase_log import ORDER, PHASE_FILE, Peak, Span, peaks, read_spans, seconds
from writing_rl.settings import Settings
from writing_rl.util.console import error_line, exit_with_message, say
from writing_rl.util.experiment_name import check_experiment
from writing_rl.util.folders import output_folder
from writing_rl.util.gpus import visible_gpus

#: Samples whose references are counted for their mean length.
COUNTED = 200
#: What a rehearsal changes of the user's settings, besides where it works.
CHANGED = (
    "trainer.v1.trainer_mode=writing_rl_rehearsal",
    "trainer.save_freq=1",
    "trainer.test_freq=-1",
    "trainer.val_before_train=false",
    "trainer.resume_mode=auto",
    "trainer.total_epochs=1000",
    "writing_rl.judge.max_calls=null",
    "writing_rl.judge.max_cost_usd=null",
)


@dataclass(frozen=True)
class Rehearsal:
    """What came of a rehearsal.

    Attributes:
        plan: What the settings ask for.
        steps: What the steps took.
        full_peaks: The most memory in each phase, with texts of full length.
        usual_peaks: The same as texts came.
        checkpoint: Bytes of a checkpoint.
        at_full: The forecast for texts of full length.
        at_references: The forecast for texts as long as the references in the mean.
    """

    plan: Plan
    steps: Rehearsed
    full_peaks: dict[str, Peak]
    usual_peaks: dict[str, Peak]
    checkpoint: int
    at_full: Forecast
    at_references: Forecast


def rehearse(overrides: list[str], out: Path, judge_calls: int) -> Rehearsal:
    """Rehearses a run.

    Args:
        overrides: Hydra overrides, as for the run itself.
        out: A folder for what it writes.
        judge_calls: Real questions to each judge.

    Raises:
        UserError: Something that a person can mend stands in the way.
        RunFailure: A step failed; the message names its log.
    """
    overrides = with_profile(overrides)
    config = compose(overrides)
    resolve(config)
    settings = Settings.from_config(config.writing_rl)
    train_file = Path(config.data.train_files)
    samples, tests = read_samples(train_file), read_samples(config.data.val_files)
    model = local_model(str(config.actor_rollout_ref.model.path), "BASE_MODEL")
    template = chat_template.of_config(config, model)

    def count(text: str) -> int:
        return next(chat_template.count_tokens(template.tokenizer, [text]))

    # verl serves its judge in the steps themselves; those that cost money are asked before, not in the steps.
    served = [name for name in settings.judge.models if provider_of(name, settings.judge) == "verl"]
    paid = [
        name for name in settings.judge.models if provider_of(name, settings.judge) not in ("offline", "verl")
    ]
    judge: JudgeMeasured | None = None
    if paid:
        paid_judges = replace(settings.judge, models=tuple(paid))
        questions = samples[:judge_calls]
        say(f"[writing-rl] {announce(paid_judges, questions, count)}")
        judge = measure(paid_judges, questions, count)

    out.mkdir(parents=True)
    folder = TrialFolder(out)
    folder.make_index(train_file)
    common = [*overrides, *CHANGED]
    if paid:
        common.append(f"writing_rl.judge.model={served[0] if served else 'offline'}")
    gpus = [] if config.trainer.device == "cpu" else visible_gpus()[: config.trainer.n_gpus_per_node]

    def run(name: str, last_step: int, *more: str) -> tuple[MemoryWatch, float, list[Span]]:
        say(f"[writing-rl] texts {name.replace('-', ' ')}, to step {last_step}")
        watch, launched = MemoryWatch(gpus), time.time()
        train(name, folder, [*common, f"trainer.total_training_steps={last_step}", *more], {}, watch.look)
        log = (folder.logs / PHASE_FILE).rename(out / f"{name}-{PHASE_FILE}")
        return watch, launched, read_spans(log)

    watch, launched, spans = run("full-length", 1, "actor_rollout_ref.rollout.ignore_eos=true")
    full_peaks = peaks(spans, watch.samples)
    full = _measured(folder, spans, 1, first=1)
    checkpoint = checkpoint_bytes(folder.checkpoints / "global_step_1")
    watch, launched, spans = run("as-they-come", 3)
    usual_peaks = peaks(spans, watch.samples)
    begins = next(span.begin for span in spans if span.phase == "rollout")
    measured = Rehearsed(
        full,
        _measured(folder, spans, 2, first=2),
        _measured(folder, spans, 3, first=2),
        start_s=begins - launched,
    )
    shutil.rmtree(folder.checkpoints)

    steps = total_steps(config, _kept(config, samples, template))
    lengths = [count(text) for sample in islice(samples, COUNTED) for text in sample.references]
    orders = 2 if settings.judge.strategy is Strategy.BOTH else 1
    plan = plan_of(
        config,
        steps,
        len(tests),
        requests=orders * len(paid or settings.judge.models),
        reference_tokens=min(statistics.fmean(lengths), config.data.max_response_length),
        kept=checkpoints_at_once(config, steps),
    )

    def of(tokens: float) -> Forecast:
        return forecast(plan, measured, tokens, judge)

    at_full, at_references = of(plan.full_tokens), of(plan.reference_tokens)
    return Rehearsal(plan, measured, full_peaks, usual_peaks, checkpoint, at_full, at_references)


def as_json(rehearsal: Rehearsal) -> str:
    """All of it, for programs."""
    content = asdict(rehearsal)
    content["plan"]["calls"] = rehearsal.plan.calls
    return json.dumps(content, indent=1)


def report(rehearsal: Rehearsal) -> str:
    """What a rehearsal found, for a terminal."""
    plan, steps = rehearsal.plan, rehearsal.steps
    rows: list[tuple[str, ...]] = [("phase", "seconds", "", "GPU, GB", "", "main memory, GB", "")]
    rows.append(("", *("full", "as it comes") * 3))
    for phase in ORDER:
        ends = [each.get(phase, Peak(0, 0)) for each in (rehearsal.full_peaks, rehearsal.usual_peaks)]
        took = [step.seconds.get(phase, 0.0) for step in (steps.full, steps.warm)]
        rows.append(
            (
                phase,
                *((f"{steps.start_s:.0f}", "") if phase == "load" else (f"{each:.1f}" for each in took)),
                *(f"{end.gpu / 1e9:.1f}" if end.gpu else "-" for end in ends),
                *(f"{end.host / 1e9:.1f}" for end in ends),
            )
        )
    forecasts = (rehearsal.at_full, rehearsal.at_references)
    table: list[tuple[str, ...]] = [
        (
            "the whole run",
            f"texts of {plan.full_tokens:,} tokens",
            f"of {plan.reference_tokens:,.0f}, as references are",
        )
    ]
    table.append(("a step, s", *(f"{each.step_s:.1f}" for each in forecasts)))
    table.append((f"{plan.steps:,} steps, hours", *(f"{each.hours:.2f}" for each in forecasts)))
    table.append(("judge calls", *(f"{plan.calls:,}",) * 2))
    table.append(("judge tokens, millions", *(f"{each.judge_tokens / 1e6:.1f}" for each in forecasts)))
    table.append(("judge, dollars", *(_dollars(each.usd) for each in forecasts)))
    table.append(
        (
            f"a crash costs at most ({plan.save_freq} steps)",
            *(f"{each.crash_hours:.2f} hours, {_dollars(each.crash_usd)}" for each in forecasts),
        )
    )
    disk = (
        f"A checkpoint takes {rehearsal.checkpoint:,} bytes ({rehearsal.checkpoint / 1e9:.2f} GB); "
        f"{plan.saves} are written, {plan.kept} lie on the disk at once "
        f"({plan.kept * rehearsal.checkpoint / 1e9:.2f} GB). It was resumed from and deleted."
    )
    return "\n".join(["", *_aligned(rows), "", *_aligned(table), "", disk])


def _measured(folder: TrialFolder, spans: Sequence[Span], step: int, first: int) -> Measured:
    """What a step took, by verl's figures and our spans; `first` is the first step of its start."""
    figures = folder.figures()[step]
    begins = [span.begin for span in spans if span.phase == "rollout"]
    # The steps of a start follow each other, and each begins with its writing.
    begin, end = [*begins, float("inf")][step - first : step - first + 2]
    took = seconds(span for span in spans if begin <= span.begin < end)
    took["step"] = figures["timing_s/step"] - figures.get("timing_s/save_checkpoint", 0.0)
    return Measured(figures["response_length/mean"], took)


def _kept(config: DictConfig, samples: Sequence[Sample], template: ChatTemplate) -> int:
    """Rows that verl will train on."""
    if not config.data.filter_overlong_prompts:
        return len(samples)
    lengths = template.count((sample.messages for sample in samples), config.data.train_files)
    return sum(length <= config.data.max_prompt_length for length in lengths)


def checkpoint_bytes(folder: Path) -> int:
    """Bytes of the models and optimizers in a checkpoint.

    What is beside them takes some kilobytes and is never twice the same: states of random generators (of a
    length that depends on their numbers), of the data loader and of the curriculum.
    """
    files = (path for path in folder.glob("*/**/*") if path.is_file())
    return sum(path.stat().st_size for path in files if not path.name.startswith("extra_state"))


def _dollars(amount: float | None) -> str:
    return "price not known" if amount is None else f"${amount:,.2f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def main() -> None:
    """Command line: `python -m writing_rl.launch.rehearsal [--judge-calls N] [Hydra overrides]`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--judge-calls",
        type=int,
        default=1,
        metavar="N",
        help="real questions to each judge (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, help="folder for logs (default: logs/EXPERIMENT-rehearsal-TIME)")
    parser.add_argument("overrides", nargs="*", help="Hydra overrides, as for the run itself")
    arguments = parser.parse_args()
    out = arguments.out
    with exit_with_message(out or output_folder("logs")):
        if out is None:
            started = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
            name = check_experiment(str(compose(arguments.overrides).trainer.experiment_name))
            out = output_folder("logs") / f"{name}-rehearsal-{started}"
        out = out.absolute()
        say(f"Rehearsal in {out}: three steps, a checkpoint, a resume")
        try:
            rehearsal = rehearse(arguments.overrides, out, arguments.judge_calls)
        except RunFailure as failure:
            sys.exit(error_line(failure))
        (out / "rehearsal.json").write_text(as_json(rehearsal) + "\n")
        say(report(rehearsal))


if __name__ == "__main__":
    main()
