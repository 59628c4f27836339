"""Checking a training set, a test set and an index file together: what `writing-rl data check` does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from writing_rl.curriculum.index_file import read_fitting_index
from writing_rl.curriculum.inspect_index import Data, distribution
from writing_rl.data.checking.describe import Lengths, describe
from writing_rl.data.checking.findings import (
    Finding,
    bare,
    findings_of,
    leaked,
    repeated,
    score_findings,
    unreachable,
)
from writing_rl.dataset.chat_template import ChatTemplate, count_tokens
from writing_rl.dataset.fit import check_prompt_lengths, check_split
from writing_rl.dataset.samples import Sample, left_out_columns, read_samples, sample_keys
from writing_rl.errors import UserError
from writing_rl.util.redact import printable


@dataclass(frozen=True)
class Tokens:
    """How tokens are counted, and how many there may be.

    Attributes:
        tokenizer: The policy's.
        prompt: `data.max_prompt_length`, or None for no limit.
        response: `data.max_response_length`, or None for no limit.
        arguments: `data.apply_chat_template_kwargs`.
    """

    tokenizer: Any
    prompt: int | None = None
    response: int | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Report:
    """What a check came to.

    Attributes:
        summary: Lines that describe the files.
        errors: What makes a training impossible, one line each.
        warnings: What is likely to be a mistake, one line each.
    """

    summary: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Turns an error that a person can mend into one of the report, and goes on."""
        try:
            yield
        except UserError as error:
            self.errors.append(str(error))

    def warn(self, path: Path, finding: Finding) -> None:
        """Takes up a finding, if there is anything in it."""
        if finding.hits:
            self.warnings.append(f"{path}: {finding}")

    def lines(self) -> Iterator[str]:
        """The report as text, the most important last."""
        yield from self.summary
        yield from (f"Warning: {warning}" for warning in self.warnings)
        yield from (f"Error: {error}" for error in self.errors)
        verdict = "cannot be trained on" if self.errors else "can be trained on"
        yield f"This data {verdict}: {_count(self.errors, 'error')}, {_count(self.warnings, 'warning')}"


def check(
    train: Path | None,
    test: Path | None,
    index: Path | None = None,
    tokens: Tokens | None = None,
    *,
    needs_test: bool = True,
) -> Report:
    """Checks the files of a training.

    Args:
        train: The training set, or None to leave it out.
        test: The test set, or None to leave it out.
        index: The index file of the training set, or None to leave it out.
        tokens: How to count tokens, or None not to.
        needs_test: Whether a test set that is missing is an error and not a warning.
    """
    report = Report()
    prompts: list[str] = []
    if train is not None:
        prompts = _check_set(report, train, "train", index, tokens)
    if test is not None and not test.exists() and not needs_test:
        report.warnings.append(f"{test} does not exist: the training script will ask for it, to validate on")
    elif test is not None:
        test_prompts = _check_set(report, test, "test", None, tokens)
        report.warn(test, leaked(prompts, test_prompts))
    return report


def _check_set(
    report: Report, path: Path, split: str, index: Path | None, tokens: Tokens | None
) -> list[str]:
    """Checks one data set, and its index file; returns the bare prompt of each row.

    The samples are gone after it: two sets need no more memory than the larger one.
    """
    samples: list[Sample] = []
    with report.noting():
        samples = read_samples(path)
    if not samples:
        return []
    with report.noting():
        check_split(samples, path, split)
    scores = read_scores(path)
    lengths = None
    if tokens is not None:
        with report.noting():
            lengths = _count_all(samples, path, tokens)
    report.summary.append(f"{path}: {_count(samples, 'sample')}")
    report.summary += describe(samples, scores, lengths)
    if left_out := left_out_columns(path):
        names = printable(", ".join(left_out), 500)
        report.summary.append(f"  left out of a run, as nothing reads them: {names}")
    if tokens is not None and lengths is not None:
        _check_lengths(report, path, samples, lengths, tokens)
    if split == "train":
        _check_keys(report, path, samples, index)
    prompts = [bare(sample.prompt) for sample in samples]
    report.warn(path, repeated(prompts))
    for finding in findings_of(samples, split):
        report.warn(path, finding)
    if scores is not None:
        for finding in score_findings(samples, scores):
            report.warn(path, finding)
    return prompts


def _check_keys(report: Report, path: Path, samples: Sequence[Sample], index: Path | None) -> None:
    """Checks what names the samples of a training set, and the index file."""
    with report.noting():
        keys = sample_keys(samples, path)
        if keys.by_index:
            report.summary.append(
                "  named by extra_info.index: ground_truth.id repeats, so it is the starting reference"
            )
        if index is not None:
            indexes = read_fitting_index(index, samples, keys)
            references = {keys.key(sample.id, sample.index): len(sample.references) for sample in samples}
            report.summary += distribution(str(index), indexes, Data(path, references))


def _count_all(samples: Sequence[Sample], path: Path, tokens: Tokens) -> Lengths:
    """Counts the tokens of the prompts and of the references."""
    template = ChatTemplate(tokens.tokenizer, tokens.arguments)
    prompts = list(template.count((sample.messages for sample in samples), path))
    references = (reference for sample in samples for reference in sample.references)
    return Lengths(prompts, list(count_tokens(tokens.tokenizer, references)))


def _check_lengths(
    report: Report, path: Path, samples: Sequence[Sample], lengths: Lengths, tokens: Tokens
) -> None:
    if tokens.prompt is not None:
        with report.noting():
            check_prompt_lengths(lengths.prompts, path, tokens.prompt)
    if tokens.response is not None:
        report.warn(path, unreachable(samples, lengths.references, tokens.response))


def read_scores(path: Path) -> list[Any] | None:
    """Reads `extra_info.scores`, which the trainer has no use for.

    Args:
        path: A parquet file that `read_samples` takes.

    Returns:
        What is stored for each row, None where it is nothing; or None if no row has any.
    """
    import pyarrow
    import pyarrow.parquet

    parquet = pyarrow.parquet.ParquetFile(path)
    extra = parquet.schema_arrow.field("extra_info").type
    if not pyarrow.types.is_struct(extra) or extra.get_field_index("scores") < 0:
        return None
    rows = parquet.read(columns=["extra_info.scores"]).column("extra_info").to_pylist()
    scores = [row and row["scores"] for row in rows]
    return None if all(stored is None for stored in scores) else scores


def _count(things: Sequence[Any], name: str) -> str:
    return f"{len(things):,} {name}{'s' * (len(things) != 1)}"
