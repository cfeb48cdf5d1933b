from __future__ import annotations

import re
import sys

import pytest

from markerremover.records import Outcome
from markerremover.run import progress


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress.Tally.__init__, "__defaults__", (clock,))
    return clock


def report_three(capsys) -> str:
    with progress.show_progress() as update:
        for done, status in enumerate(("cleaned", "held", "cleaned"), 1):
            update(Outcome("SMITH.png", status), done, 3)
    return capsys.readouterr().err


def test_plain_lines_elsewhere_end_with_the_totals_and_name_no_file(capsys):
    text = report_three(capsys)
    assert text.count("\n") == 1 and text.startswith("3/3: 2 cleaned, 0 unchanged, 1 held, 0 failed; ") and "SMITH" not in text
    assert re.search(r"; [\d.]+ images/s, 1 s in all\n", text)


def test_a_long_run_is_heard_of_after_seconds_and_then_every_quarter_minute(capsys, clock):
    with progress.show_progress() as update:
        clock.now += 2
        update(Outcome("a.png", "cleaned"), 1, 1000)
        assert capsys.readouterr().err == ""
        for done in range(2, 62):
            clock.now += 2
            update(Outcome("a.png", "cleaned"), done, 1000)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("2/1000: 2 cleaned, ") and lines[0].endswith("0.5 images/s, about 33 min left")
    assert len(lines) == 8 and lines[-1].endswith("0.5 images/s, about 31 min left")


def test_files_of_an_earlier_run_are_no_pace_and_loading_is_none_either(capsys, clock):
    with progress.show_progress() as update:
        clock.now += 600  # headers and networks
        for done in range(90_001, 90_062):
            clock.now += 1
            update(Outcome("a.png", "cleaned"), done, 100_000)
    assert capsys.readouterr().err.splitlines()[-1].endswith("1.0 images/s, about 2 h 46 min left")


@pytest.mark.parametrize("done_before", [0, 5], ids=["from the start", "after a resume"])
def test_a_bar_on_a_terminal_shows_what_went_wrong(capsys, monkeypatch, done_before):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress.show_progress() as update:
        update(Outcome("SMITH.png", "failed"), done_before + 1, done_before + 1)
    text = capsys.readouterr().err
    assert "1 failed" in text and f"{done_before + 1}/{done_before + 1}" in text and "SMITH" not in text


def test_the_bar_fits_eighty_columns_and_says_how_long(capsys, monkeypatch, clock):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda fp: (80, 24))
    with progress.show_progress() as update:
        for done in range(40_001, 40_200):
            clock.now += 1.5
            update(Outcome("a.png", ("cleaned", "held", "failed")[done % 3]), done, 100_000)
    shown = [line.rstrip() for line in re.split(r"[\r\n]", capsys.readouterr().err) if "/100000" in line]
    assert shown and all(len(line) <= 80 for line in shown)
    assert "0.7 images/s, about 24 h 55 min left" in shown[-1] and shown[-1].endswith(" failed") and " held; " in shown[-1]


def test_a_run_that_cannot_begin_leaves_no_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with pytest.raises(ValueError), progress.show_progress():
        raise ValueError
    assert "%" not in capsys.readouterr().err
