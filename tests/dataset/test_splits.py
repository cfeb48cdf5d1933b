from __future__ import annotations

from collections import Counter

import pytest

from markerremover.dataset import splits
from markerremover.dataset.options import PARTS


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.1), (0.6, 0.2, 0.2), (1, 0, 0), (0, 0.5, 0.5), (0.5, 0.5, 0)], ids=str)
def test_shares_hold_in_all_and_in_every_source(shares):
    sources = {f"{source}{i}": source for source, count in (("a", 300), ("b", 50), ("c", 7), *((f"z{k}", 1) for k in range(60))) for i in range(count)}
    parts = splits.split(sources, shares, 5)
    for group in (list(sources), *([p for p in sources if sources[p] == name] for name in "abc")):
        counts = Counter(parts[patient] for patient in group)
        assert all(abs(counts[part] - share * len(group)) <= 1.5 for part, share in zip(PARTS, shares)), counts
        assert all(counts[part] == 0 for part, share in zip(PARTS, shares) if share == 0)


def test_the_order_of_files_does_not_matter_and_the_seed_does():
    sources = {f"p{i}": "a" for i in range(100)}
    shuffled = dict(sorted(sources.items(), reverse=True))
    assert splits.split(sources, (0.8, 0.1, 0.1), 1) == splits.split(shuffled, (0.8, 0.1, 0.1), 1) != splits.split(sources, (0.8, 0.1, 0.1), 2)
    assert splits.split({}, (0.8, 0.1, 0.1), 1) == {}


def test_the_split_of_version_one_stays_as_it_was():
    parts = splits.split({f"p{i}": "a" for i in range(10)}, (0.8, 0.1, 0.1), 1)
    assert {part: [p for p in parts if parts[p] == part] for part in ("val", "test")} == {"val": ["p3"], "test": ["p0"]}


def test_groups_join_along_chains():
    found = splits.grouped("abcdef", [(1, "a"), (1, "b"), (2, "c"), (2, "d"), (3, "b"), (3, "d"), (4, "f")])
    assert found == dict.fromkeys("abcd", "a") | {"e": "e", "f": "f"}
