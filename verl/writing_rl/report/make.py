"""Making a report: reading, laying out, writing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from writing_rl.report.collect import Folders, collect
from writing_rl.report.contents import Contents, contents_of
from writing_rl.report.drawing import as_png
from writing_rl.report.page import Page
from writing_rl.util.atomic_files import write_whole

#: Samples of each kind that are shown with their texts.
SAMPLES = 5


@dataclass(frozen=True)
class Report:
    """A report that is ready to be written.

    Attributes:
        contents: What stands in it.
        page: Its page.
    """

    contents: Contents
    page: Page

    def write(self, path: Path, refresh_s: int | None = None) -> None:
        """Writes the page, and its charts as PNG files into a folder of the same name beside it.

        Args:
            path: The page's file.
            refresh_s: After how many seconds an open page loads itself again; None: never.

        Raises:
            OSError: A file cannot be written; those that were there before are whole.
        """
        for chart in self.contents.charts:
            write_whole(path.with_suffix("") / f"{chart.name}.png", as_png(chart))
        self.write_page(path, refresh_s)

    def write_page(self, path: Path, refresh_s: int | None = None) -> None:
        """Writes the page alone; arguments and errors as those of `write`."""
        write_whole(path, self.page.html(refresh_s))


def make_report(
    names: Sequence[str], folders: Folders, total_steps: int | None = None, samples: int = SAMPLES
) -> Report:
    """Makes the report of one experiment, or of several beside each other.

    Args:
        names: The experiments.
        folders: Where they left what they left.
        total_steps: Steps of the whole training, where somebody knows better than the logs.
        samples: How many samples to show of each kind.

    Raises:
        SettingError: There is no such experiment.
    """
    for name in names:
        folders.check(name)
    runs = [collect(name, folders, total_steps) for name in names]
    now = time.time()
    contents = contents_of(runs, Path.cwd(), now, samples)
    return Report(contents, Page(contents, now))


def default_path(names: Sequence[str], folders: Folders) -> Path:
    """Where a report goes when nobody says where."""
    if len(names) > 1:
        return folders.logs / "report-compare.html"
    return folders.logs / names[0] / "report.html"
