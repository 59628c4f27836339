"""A report as one HTML page that needs neither a network nor JavaScript."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import jinja2
from markupsafe import Markup

from writing_rl.judging.verdict import Outcome
from writing_rl.report.contents import Contents
from writing_rl.report.drawing import SIZES, as_svg, for_page
from writing_rl.runlog.start_record import versions
from writing_rl.util.redact import clean

#: Distributions whose versions are named; those that are not installed are left out.
_DISTRIBUTIONS = ("writing-rl", "verl", "vllm", "torch", "transformers", "ray")


class Page:
    """The page of some contents; charts are drawn once, however often it is written."""

    def __init__(self, contents: Contents, now: float) -> None:
        """Draws the charts.

        Args:
            contents: What stands in it.
            now: When it is made, in seconds since 1970.
        """
        self._contents = contents
        self._made = f"{datetime.fromtimestamp(now, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
        # Ours, of numbers and escaped names.
        self._drawings = {
            chart.name: {
                name: Markup(as_svg(chart, size))
                for name, size in SIZES.items()
                if chart.wide or name == "small"
            }
            for chart in contents.charts
        }
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent),
            autoescape=True,  # the texts of models stand in it
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._template = environment.get_template("report.html.j2")
        self._style = Markup(Path(__file__).with_name("report.css").read_text(encoding="utf-8"))

    def html(self, refresh_s: int | None = None) -> bytes:
        """The page.

        Args:
            refresh_s: After how many seconds it loads itself again; None: never.
        """
        page = self._template.render(
            contents=self._contents,
            drawings=self._drawings,
            style=self._style,
            made=self._made,
            refresh_s=refresh_s,
            installed=versions(_DISTRIBUTIONS),
            dashes=dash_of,
            colour=for_page,
            Outcome=Outcome,
        )
        return clean(page).encode("utf-8", "replace")


def dash_of(line: object) -> str:
    """How a line is drawn, as SVG's `stroke-dasharray`."""
    return " ".join(f"{length:g}" for length in line[1]) if isinstance(line, tuple) else "none"
