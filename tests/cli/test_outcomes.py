from __future__ import annotations

from typing import Any

import pytest

from markerremover.cli.output import outcomes


def summary(held=0, failed=0, released=0, dry=False) -> dict[str, Any]:
    return {"counts": {"held": held, "failed": failed}, "released_held": released, "options": {"dry_run": dry}}


@pytest.mark.parametrize("facts, others, line", [
    ({}, [], ""), ({"held": 1}, [], "exit code 1: 1 file was held, and has no output"),
    ({"held": 2, "failed": 1}, [], "exit code 1: 2 files were held and 1 file failed, and have no output"),
    ({"failed": 1, "dry": True}, [], "exit code 1: 1 file failed"),
    ({"released": 1}, [], "exit code 1: 1 file was written although something still shows"),
    ({"failed": 3, "released": 2}, ["1 result was removed"],
     "exit code 1: 3 files failed, and have no output; 2 files were written although something still shows; 1 result was removed"),
])
def test_the_exit_code_has_its_reason(facts, others, line):
    assert outcomes.exit_line(summary(**facts), others) == line


def test_an_audit_without_rows_has_no_trouble(tmp_path):
    assert outcomes.trouble_lines(tmp_path) == []
