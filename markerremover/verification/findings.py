"""What the check finds, as records that can be printed and written as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

KINDS = {
    "account": "inputs, rows and outputs do not agree",
    "picture": "size, depth, frames or kind of picture changed",
    "outside": "pixels outside the removed areas changed",
    "inside": "removed areas are not removed",
    "identifier": "identifiers are left",
    "metadata": "more than a picture is left",
    "unread": "could not be checked",
}
"""Kind of a finding -> what it means, in print."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    file: path below OUT, or of an input.  kind: one of `KINDS`.  detail: what and where; never a value of a header.
    """

    file: str
    kind: str
    detail: str


@dataclass(frozen=True)
class Report:
    """The result of a check.

    counts: numbers of what was checked, by name.  notes: remarks on what was not checked or is no fault.
    """

    findings: tuple[Finding, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def as_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {"passed": self.passed, "counts": self.counts, "findings": [asdict(finding) for finding in self.findings], "notes": list(self.notes)}

    def lines(self, most: int = 50) -> list[str]:
        """The report in print: at most so many findings, then the counts."""
        told = [f"{ascii(f.file)[1:-1]}: {f.detail}" for f in self.findings[:most]]
        if len(self.findings) > most:
            told.append(f"and {len(self.findings) - most} more (all with --json)")
        told += [f"{number} x {KINDS[kind]}" for kind, number in Counter(f.kind for f in self.findings).most_common()]
        told += [f"note: {note}" for note in self.notes]
        told.append(", ".join(f"{number} {name}" for name, number in self.counts.items()))
        return [*told, "verified: every output is its input but for what the manifest says" if self.passed else "NOT VERIFIED"]
