"""Counts as bars: HTML with SVG inside that needs no script, and the same numbers as a table."""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import report_pages

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 420, 150, 40, 24, 10  # size of a histogram and margins for its axes, SVG units


@dataclass(frozen=True)
class Bar:
    """One bar.

    name: label for readers.  counts: one number per series, stacked.
    query: fields of the page's filter form, and their values, that select the counted rows; () for none.
    """

    name: str
    counts: tuple[int, ...]
    query: tuple[tuple[str, str], ...] = ()

    @property
    def total(self) -> int:
        """Sum of all series."""
        return sum(self.counts)


@dataclass(frozen=True)
class Chart:
    """One chart.

    what: heading of the bars' column in the table.  series: name and CSS class of each series.  ticks: (index of a bar's left edge, text)
    along the axis; only of a histogram.
    """

    title: str
    what: str
    bars: tuple[Bar, ...]
    series: tuple[tuple[str, str], ...]
    note: str = ""
    ticks: tuple[tuple[int, str], ...] = ()


def text(value: object) -> str:
    """A text as HTML: escaped, ASCII only, with control and bidirectional characters (a file name may hold them) made visible.

    >>> text("<a>\\x1b\\u202e")
    '&lt;a&gt;\\\\x1b\\\\u202e'
    """
    visible = "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in str(value))
    return html.escape(visible).encode("ascii", "xmlcharrefreplace").decode()


def render(template: str, **values: Any) -> str:
    """Part of the page, from a `*.html.j2` beside this module; `text` turns all values into HTML."""
    return report_pages.environment(__package__, text).get_template(template).render(values, fields=fields, number=number)


def fields(query: Sequence[tuple[str, str]]) -> str:
    """Fields of the filter form and their values as JSON, for an attribute that the page's script reads."""
    return json.dumps(dict(query))


def number(value: float) -> str:
    """A whole number with thousands separators.

    >>> number(12345)
    '12,345'
    """
    return f"{value:,.0f}"


def histogram(chart: Chart) -> str:
    """A chart as HTML with vertical bars side by side."""
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
    """A chart as an HTML list of names with horizontal bars."""
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
    if not ordered:
        return None
    low, middle, high = (ordered[int(share * (len(ordered) - 1))] for share in (0.25, 0.5, 0.75))
    return low, middle, high
