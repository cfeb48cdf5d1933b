"""docs/security.md: every test that it names as holding a promise exists."""

import ast
import functools
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "security.md"


@functools.cache
def functions(file: str) -> set[str]:
    """The names of the functions in a file of tests."""
    tree = ast.parse(next(TESTS.rglob(file)).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_promise_is_held_by_tests_that_exist():
    rows = [line for line in PAGE.read_text(encoding="utf-8").split("## Not promised")[0].splitlines() if line.startswith("| ") and "Held by" not in line]
    assert len(rows) > 15
    for row in rows:
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row.split("|")[2])
        assert named, f"no test holds: {row}"
        for file, name in named:
            assert name in functions(file), f"{file} has no {name}"
