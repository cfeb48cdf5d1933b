"""Counts as bars: HTML with SVG inside that needs no script, and the same numbers as a table."""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

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


def fields(query: Sequence[tuple[str, str]]) -> str:
    """Fields of the form and their values, as an attribute that the page's script reads."""
    return text(json.dumps(dict(query)))


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
        x, top, parts = LEFT + place * step, float(base), []
        for count, (_, name) in zip(bar.counts, chart.series):
            high = max(1.5, count / highest * room) if count else 0.0
            top -= high
            parts.append(f'<rect class="{name}" x="{x + 1:.1f}" y="{top:.1f}" width="{step - 2:.1f}" height="{high:.1f}"/>' if count else "")
        whole = f'<rect class="whole" x="{x:.1f}" y="0" width="{step:.1f}" height="{base}"/>'
        drawn.append(_bar(bar, chart, "".join(parts) + whole))
    axis = f'<path class="axis" d="M{LEFT} {TOP}V{base}H{WIDTH}"/>' + "".join(
        f'<text x="{LEFT - 5}" y="{y}" text-anchor="end">{number(value)}</text>' for value, y in ((highest, TOP + 8), (0, base)))
    axis += "".join(f'<text x="{LEFT + at * step:.1f}" y="{HEIGHT - 7}" text-anchor="middle">{text(name)}</text>' for at, name in chart.ticks)
    return _figure(chart, f'<svg viewBox="0 0 {WIDTH + 16} {HEIGHT}" role="group" aria-label="{text(chart.title)}">{axis}{"".join(drawn)}</svg>')


def ranking(chart: Chart) -> str:
    """Names with lying bars, as a list."""
    longest = max((bar.total for bar in chart.bars), default=0) or 1
    lines = []
    for bar in chart.bars:
        x, parts = 0.0, []
        for count, (_, name) in zip(bar.counts, chart.series):
            parts.append(f'<rect class="{name}" x="{x:.2f}" y="0" width="{count / longest * 100:.2f}" height="8"/>' if count else "")
            x += count / longest * 100
        svg = f'<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">{"".join(parts)}</svg>'
        query = f' data-query="{fields(bar.query)}"' if bar.query else ""
        lines.append(f'<li{query}><span>{text(bar.name)}</span><b>{number(bar.total)}</b>{svg}</li>')
    return _figure(chart, f'<ol class="ranking">{"".join(lines)}</ol>', table=False, wide=len(lines) > 5)


def _bar(bar: Bar, chart: Chart, shapes: str) -> str:
    said = f"{bar.name}: " + ", ".join(f"{number(n)} {name}" for n, (name, _) in zip(bar.counts, chart.series))
    query = f' data-query="{fields(bar.query)}"' if bar.query and bar.total else ""
    return f'<g class="bar"{query} aria-label="{text(said)}"><title>{text(said)}</title>{shapes}</g>'


def _figure(chart: Chart, inside: str, table: bool = True, wide: bool = False) -> str:
    legend = "".join(f'<span class="key {name}">{text(said)}</span>' for said, name in chart.series) if len(chart.series) > 1 else ""
    note = f'<p class="soft">{text(chart.note)}</p>' if chart.note else ""
    name = "chart wide" if wide else "chart"
    numbers = _table(chart) if table and chart.bars else ""
    return f'<figure class="{name}"><figcaption><b>{text(chart.title)}</b>{legend}</figcaption>{inside}{note}{numbers}</figure>\n'


def _table(chart: Chart) -> str:
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in (chart.what, *(name for name, _ in chart.series)))
    lines = "".join(
        f'<tr><th scope="row">{text(bar.name)}</th>{"".join(f"<td>{number(n)}</td>" for n in bar.counts)}</tr>' for bar in chart.bars if bar.total)
    return f"<details><summary>Numbers</summary><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></details>"


def quartiles(values: Sequence[float]) -> tuple[float, float, float] | None:
    """Lower quartile, median, upper quartile, each a value that occurs; None for no values."""
    ordered = sorted(values)
    return tuple(ordered[int(share * (len(ordered) - 1))] for share in (0.25, 0.5, 0.75)) if ordered else None
