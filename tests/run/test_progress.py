from __future__ import annotations

import sys

import pytest

from markerremover.records import Outcome
from markerremover.run import progress


def report_three(capsys) -> str:
    with progress.show_progress() as update:
        for done, status in enumerate(("cleaned", "held", "cleaned"), 1):
            update(Outcome("SMITH.png", status), done, 3)
    return capsys.readouterr().err


def test_plain_lines_elsewhere_end_with_the_totals_and_name_no_file(capsys):
    text = report_three(capsys)
    assert text.count("\n") == 1 and text.startswith("3/3: 2 cleaned, 0 unchanged, 1 held, 0 failed; ") and "SMITH" not in text


@pytest.mark.parametrize("done_before", [0, 5], ids=["from the start", "after a resume"])
def test_a_bar_on_a_terminal_shows_counts(capsys, monkeypatch, done_before):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress.show_progress() as update:
        update(Outcome("SMITH.png", "failed"), done_before + 1, done_before + 1)
    text = capsys.readouterr().err
    assert "failed=1" in text and f"{done_before + 1}/{done_before + 1}" in text and "SMITH" not in text
