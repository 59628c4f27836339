"""The selection of data from files to files: what `writing-rl data select` does."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path

from writing_rl.data.selection.files import (
    check_scored,
    kept_rows,
    read_policy_scores,
    read_scored_rows,
)
from writing_rl.data.selection.report import Selection, as_csv, as_json, notes, table
from writing_rl.data.selection.select import Rule, choose, make_candidates
from writing_rl.errors import DataError, SettingError
from writing_rl.util.atomic_files import sha256_of, write_whole

#: The sets that a folder for training holds.
TRAIN, TEST = "train.parquet", "test.parquet"


@dataclass(frozen=True)
class Files:
    """The files of a selection.

    Attributes:
        data: The data set to choose from.
        policy: The policy's scores.
        out: Where the kept rows go.
    """

    data: Path
    policy: Path
    out: Path

    @property
    def report(self) -> dict[str, Path]:
        """The files beside `out`, by their kind."""
        return {kind: self.out.with_suffix(f".selection.{kind}") for kind in ("csv", "png", "json")}

    def check(self, *, force: bool) -> None:
        """Makes sure before the work that nothing is lost by writing.

        Raises:
            SettingError: An output is an input, or exists and may not be replaced.
        """
        if self.out.suffix != ".parquet":
            raise SettingError(f"--output is {self.out}: give it a name that ends in .parquet")
        for path in (self.out, *self.report.values()):
            for source in (self.data, self.policy):
                # The same file can have another name: a link, or a path through another folder.
                linked = path.exists() and source.exists() and path.samefile(source)
                if linked or path.resolve() == source.resolve():
                    raise SettingError(f"{path} would replace the input {source}: name another --output")
            if path.is_dir():
                raise SettingError(f"{path} is a folder: name another --output")
            if path.exists() and not force:
                raise SettingError(
                    f"{path} exists already: name another --output, or replace it with --force"
                )


def select(files: Files, rule: Rule, *, skip_unscored: bool, force: bool) -> str:
    """Chooses, writes the kept rows and the report.

    Args:
        files: What is read and written.
        rule: What is kept.
        skip_unscored: Whether rows without a policy score are left out, or are an error.
        force: Whether files that exist are replaced.

    Returns:
        What was done and what to do next, for a terminal.

    Raises:
        SettingError: The outputs cannot be written there.
        DataError: An input cannot be used, or nothing would be kept.
        OSError: A file cannot be read or written.
    """
    files.check(force=force)
    inputs = _described(files)
    rows = read_scored_rows(files.data)
    policy = read_policy_scores(files.policy)
    if not skip_unscored:
        check_scored(rows.ids, policy, files.policy)
    if rule.per_source and not any(rows.sources):
        raise DataError(f"{files.data} has no extra_info.source: add it, or leave out --per-source")
    candidates = make_candidates(rows.ids, rows.sources, rows.scores, policy)
    selection = Selection(rule, candidates, choose(candidates, rule))
    unknown = len(policy.keys() - set(rows.ids))

    content = kept_rows(files.data, [choice.kept for choice in selection.choices])
    # The scores and the kept rows are read one after the other, and must be of the same file.
    if _described(files) != inputs:
        raise DataError(f"{files.data} or {files.policy} was written to in the meantime: start again")
    output = {
        "file": str(files.out),
        "sha256": hashlib.sha256(content).hexdigest(),
        "rows": len(selection.kept),
    }
    title = (
        f"{files.data.name}: {len(selection.kept):,} of {len(candidates):,} rows kept, {selection.describe()}"
    )
    # Imported late, since it takes a while and mistakes are told before.
    from writing_rl.data.selection.plot import draw

    report = files.report
    write_whole(report["csv"], as_csv(selection))
    write_whole(report["png"], draw(selection, title))
    write_whole(report["json"], as_json(selection, inputs, output, unknown))
    # The last, so that no training starts on a set whose report is missing.
    write_whole(files.out, content)
    written = ", ".join(path.name for path in report.values())
    return "\n\n".join(
        (
            title,
            table(selection),
            *(f"Note: {note}" for note in notes(selection, unknown)),
            f"Written: {files.out}, and beside it {written}",
            _next(files),
        )
    )


def _described(files: Files) -> dict[str, dict[str, str]]:
    """What the report says of the files that are read.

    Raises:
        DataError: One of them cannot be read.
    """
    described = {}
    for name, path in (("data", files.data), ("policy", files.policy)):
        try:
            described[name] = {"file": str(path), "sha256": sha256_of(path)}
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from None
    return described


def _next(files: Files) -> str:
    """What to do with the kept rows: the training wants a folder with a training and a test set."""
    # Whole paths, since the training script changes into its own folder.
    lines = [
        f"Next: look at {files.report['png']}, then train on it. "
        f"A new EXPERIMENT_NAME makes an index file of its own:"
    ]
    folder = files.out.parent.resolve()
    if files.out.name != TRAIN:
        folder = files.out.with_suffix("").resolve()
        lines.append(f"  mkdir -p {_quoted(folder)} && cp {_quoted(files.out)} {_quoted(folder / TRAIN)}")
    if not (folder / TEST).exists():
        test = files.data.with_name(TEST)
        known = _quoted(test) if test.exists() else "YOUR_TEST_SET"
        lines.append(f"  cp {known} {_quoted(folder / TEST)}")
    lines.append(
        f"  DATA_DIR={_quoted(folder)} EXPERIMENT_NAME=my-selection BASE_MODEL=... JUDGE_MODEL=... "
        f"bash scripts/train_writing_rl.sh"
    )
    return "\n".join(lines)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
