"""Makes the quick start: texts, base model, and a note of the seed they were made with."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from writing_rl.errors import SettingError
from writing_rl.judging.offline.measures import score_text
from writing_rl.quickstart.dataset import Sample, draw_quickstart, to_rows, write_rows
from writing_rl.util.console import say


def make(out: Path, *, seed: int, force: bool) -> None:
    """Makes what is missing in a folder, or everything.

    Args:
        out: the folder; made if missing.
        seed: the seed of texts and base model.
        force: whether to make anew what is there already.

    Raises:
        OSError: if something cannot be written.
        SettingError: if the folder was made with another seed and ``force`` is not set.
    """
    base_model = out / "base_model"
    pieces = (out / "train.parquet", out / "test.parquet", base_model)
    out.mkdir(parents=True, exist_ok=True)
    has_scores = _claim(out / "quickstart.json", seed, force)
    missing = {piece for piece in pieces if force or not piece.exists()}
    if not has_scores:
        missing |= {piece for piece in pieces if piece.suffix == ".parquet"}
    if not missing:
        say(f"{out}: data and base model are there already")
        return
    texts = draw_quickstart(seed)
    for path, samples in zip(pieces, (texts.train, texts.test), strict=False):
        if path in missing:
            write_rows(to_rows(samples, path.stem), path)
            say(f"{path}: {len(samples)} prompts; offline score of their references, worst first:")
            say("    " + ", ".join(f"{score:.1f}" for score in _mean_scores(samples)))
    if base_model in missing:
        _make_base_model(texts.corpus, base_model, seed)


def _claim(path: Path, seed: int, force: bool) -> bool:
    """Notes the seed: texts of two seeds in one folder could share prompts between training and test.

    Returns:
        Whether what is there has scores of its references; older versions made the same texts without.
    """
    has_scores = True
    if path.is_file() and not force:
        note = json.loads(path.read_text(encoding="utf-8"))
        if note["seed"] != seed:
            raise SettingError(
                f"{path.parent} was made with seed {note['seed']}; use it, another --output, or --force"
            )
        has_scores = note.get("scores", False)
    path.write_text(json.dumps({"seed": seed, "scores": True}) + "\n", encoding="utf-8")
    return has_scores


def _mean_scores(samples: Sequence[Sample]) -> list[float]:
    scores = [[score_text(sample.prompt, text).total for text in sample.references] for sample in samples]
    return [statistics.mean(column) for column in zip(*scores, strict=True)]


def _make_base_model(corpus: Sequence[tuple[str, str]], folder: Path, seed: int) -> None:
    from writing_rl.quickstart.base_model import train_base_model

    report = train_base_model(corpus, folder, seed=seed)
    say(
        f"{folder}: {report.parameters:,} parameters, {len(corpus)} texts with {report.tokens:,} tokens, "
        f"loss {report.loss:.2f} nats per token, {report.seconds:.0f} s"
    )
