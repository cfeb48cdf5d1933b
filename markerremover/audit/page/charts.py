"""Counts as bars: HTML with SVG inside that needs no script, and the same numbers as a table."""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import report_pages

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 420, 150, 40, 24, 10  # of a histogram, SVG units; margins for its axes


@dataclass(frozen=True)
class Bar:
    """One bar.

    name: what it counts, for people.  counts: one number a series, drawn on top of each other.
    query: the fields of the page's form, and their values, that show what it counts; () for none.
    """

    name: str
    counts: tuple[int, ...]
    query: tuple[tuple[str, str], ...] = ()

    @property
    def total(self) -> int:
        """All series together."""
        return sum(self.counts)


@dataclass(frozen=True)
class Chart:
    """One chart.

    what: what a bar counts, "boxes" say.  series: name and CSS class of each series.  ticks: (place between the first and the last
    bar's edges, text) along the axis; only of a histogram.
    """

    title: str
    what: str
    bars: tuple[Bar, ...]
    series: tuple[tuple[str, str], ...]
    note: str = ""
    ticks: tuple[tuple[int, str], ...] = ()


def text(value: object) -> str:
    """A text as HTML: escaped, ASCII only, and with what controls or turns around the line (a file name may hold it) made visible.

    >>> text("<a>\\x1b\\u202e")
    '&lt;a&gt;\\\\x1b\\\\u202e'
    """
    seen = "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in str(value))
    return html.escape(seen).encode("ascii", "xmlcharrefreplace").decode()


def render(template: str, **values: Any) -> str:
    """Part of the page, of a `*.html.j2` beside this module; all that it is given is made HTML by `text`."""
    return report_pages.environment(__package__, text).get_template(template).render(values, fields=fields, number=number)


def fields(query: Sequence[tuple[str, str]]) -> str:
    """Fields of the form and their values, for an attribute that the page's script reads."""
    return json.dumps(dict(query))


def number(value: float) -> str:
    """A whole number with its thousands apart.

    >>> number(12345)
    '12,345'
    """
    return f"{value:,.0f}"


def histogram(chart: Chart) -> str:
    """Upright bars side by side."""
    highest = max((bar.total for bar in chart.bars), default=0) or 1
    step = (WIDTH - LEFT) / max(1, len(chart.bars))
    base, room = HEIGHT - BOTTOM, HEIGHT - BOTTOM - TOP
    drawn = []
    for place, bar in enumerate(chart.bars):
        top, parts = float(base), []
        for count, (_, name) in zip(bar.counts, chart.series):
            if count:
                high = max(1.5, count / highest * room)
                top -= high
                parts.append((name, top, high))
        words = f"{bar.name}: " + ", ".join(f"{number(n)} {name}" for n, (name, _) in zip(bar.counts, chart.series))
        drawn.append((bar, words, LEFT + place * step, parts))
    return render("histogram.html.j2", chart=chart, drawn=drawn, highest=highest, step=step, base=base, left=LEFT, top=TOP, width=WIDTH,
                  height=HEIGHT, wide=False)


def ranking(chart: Chart) -> str:
    """Names with lying bars, as a list."""
    longest = max((bar.total for bar in chart.bars), default=0) or 1
    drawn = []
    for bar in chart.bars:
        x, parts = 0.0, []
        for count, (_, name) in zip(bar.counts, chart.series):
            wide = count / longest * 100
            if count:
                parts.append((name, x, wide))
            x += wide
        drawn.append((bar, parts))
    return render("ranking.html.j2", chart=chart, drawn=drawn, wide=len(drawn) > 5)


def quartiles(values: Sequence[float]) -> tuple[float, float, float] | None:
    """Lower quartile, median, upper quartile, each a value that occurs; None for no values."""
    ordered = sorted(values)
    return tuple(ordered[int(share * (len(ordered) - 1))] for share in (0.25, 0.5, 0.75)) if ordered else None
