#!/usr/bin/env python
"""Makes the quick start: a small data set and a tiny base model to train on it.

Needs no network and no GPU, and takes one to two minutes on two CPU cores.

  OUT/train.parquet     prompts with five references of increasing quality
  OUT/test.parquet      the same, for prompts that the base model has not seen
  OUT/base_model/       an ordinary Hugging Face checkpoint: a Qwen2 of 0.9 M parameters
  OUT/quickstart.json   the seed these were made with

What is there already is kept.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from project_python import run_in_project

if TYPE_CHECKING:
    from writing_rl.quickstart.dataset import Sample

EXAMPLES = """\
examples:
  python scripts/make_quickstart.py                        make what is missing in data/quickstart
  python scripts/make_quickstart.py --force                make everything anew
  python scripts/make_quickstart.py --out other --seed 1   other texts and another base model
"""


def main() -> int:
    """Reads the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=Path("data/quickstart"), help="folder (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of texts and model (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="make anew what is there already")
    arguments = parser.parse_args()
    try:
        make(arguments.out, seed=arguments.seed, force=arguments.force)
    except (OSError, ValueError) as error:
        print(f"make_quickstart: {error}", file=sys.stderr)
        return 1
    return 0


def make(out: Path, *, seed: int, force: bool) -> None:
    """Makes what is missing in a folder, or everything.

    Args:
        out: the folder; made if missing.
        seed: the seed of texts and base model.
        force: whether to make anew what is there already.

    Raises:
        OSError: if something cannot be written.
        ValueError: if the folder was made with another seed and ``force`` is not set.
    """
    base_model = out / "base_model"
    pieces = (out / "train.parquet", out / "test.parquet", base_model)
    out.mkdir(parents=True, exist_ok=True)
    has_scores = _claim(out / "quickstart.json", seed, force)
    missing = {piece for piece in pieces if force or not piece.exists()}
    if not has_scores:
        missing |= {piece for piece in pieces if piece.suffix == ".parquet"}
    if not missing:
        print(f"{out}: data and base model are there already")
        return

    # Here rather than above, so that neither --help nor a second start waits for them.
    from writing_rl.quickstart.dataset import draw_quickstart, to_rows, write_rows

    texts = draw_quickstart(seed)
    for path, samples in zip(pieces, (texts.train, texts.test), strict=False):
        if path in missing:
            write_rows(to_rows(samples, path.stem), path)
            print(f"{path}: {len(samples)} prompts; offline score of their references, worst first:")
            print("   ", ", ".join(f"{score:.1f}" for score in _mean_scores(samples)))
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
            raise ValueError(
                f"{path.parent} was made with seed {note['seed']}; use it, another --out, or --force"
            )
        has_scores = note.get("scores", False)
    path.write_text(json.dumps({"seed": seed, "scores": True}) + "\n", encoding="utf-8")
    return has_scores


def _mean_scores(samples: "Sequence[Sample]") -> list[float]:
    from writing_rl.judging.offline import score_text

    scores = [[score_text(sample.prompt, text).total for text in sample.references] for sample in samples]
    return [statistics.mean(column) for column in zip(*scores, strict=True)]


def _make_base_model(corpus: Sequence[tuple[str, str]], folder: Path, seed: int) -> None:
    from writing_rl.quickstart.base_model import train_base_model

    report = train_base_model(corpus, folder, seed=seed)
    print(
        f"{folder}: {report.parameters:,} parameters, {len(corpus)} texts with {report.tokens:,} tokens, "
        f"loss {report.loss:.2f} nats per token, {report.seconds:.0f} s"
    )


if __name__ == "__main__":
    run_in_project()
    sys.exit(main())
