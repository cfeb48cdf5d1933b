"""Pages of results: what is put into a template is text, every page warns and loads nothing from elsewhere."""

from __future__ import annotations

import ast
import html
from pathlib import Path

import jinja2
import pytest

import markerremover
from markerremover.audit import report_pages
from markerremover.audit.page import charts
from markerremover.training import finetune_report

PACKAGE = Path(markerremover.__file__).parent
HOSTILE = "<script>alert('x')</script>\" onload=\"y"


def finetuned(**more):
    given = {"name": HOSTILE, "measured": {"method": HOSTILE, "images": 0, "held": {"before": 0, "after": 0}}, "rates": (), "pairs": (), "colours": {HOSTILE: (1, 2, 3)}}
    return report_pages.render("markerremover.training", "finetune_report.html.j2", **{**given, "in_words": str, "p_value": str, "sentence": str, **more})


def test_what_a_name_says_is_text():
    page = finetuned()
    assert "<script" not in page and 'onload="' not in page and html.unescape(page).count(HOSTILE) == 4


def test_every_page_warns_and_loads_nothing_from_elsewhere():
    page = finetuned(name="n")
    assert page.startswith("<!DOCTYPE html>") and html.escape(report_pages.WARNING) in page
    assert "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'" in page and "no-referrer" in page


def test_a_value_that_a_template_lacks_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="rates"):
        finetuned(rates=jinja2.StrictUndefined(name="rates"))


def test_charts_show_what_turns_a_line_around_and_keep_to_ascii():
    bars = (charts.Bar(f"{HOSTILE}\u202eé", (3,), (("reason", HOSTILE),)),)
    for draw in (charts.histogram, charts.ranking):
        page = draw(charts.Chart(HOSTILE, HOSTILE, bars, ((HOSTILE, "plain"),), HOSTILE, ((0, HOSTILE),)))
        assert page.isascii() and "<script" not in page and 'onload="' not in page and "\\u202e&#233;" in page


def test_no_page_is_put_together_of_f_strings():
    """A template escapes what it is given; an f-string with an element in it does not. The line that leads to the review names no file."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr) and path.name != "review.py":
                parts = "".join(part.value for part in node.values if isinstance(part, ast.Constant) and isinstance(part.value, str))
                assert not any(f"<{tag}" in parts for tag in ("p>", "td", "tr", "div", "figure", "svg", "span", "img", "h1", "h2", "html")), path


def test_p_values_are_written_as_before():
    assert [finetune_report._p_value(p) for p in (None, 0.00001, 0.5)] == ["–", "< 0.0001", "0.5000"]
