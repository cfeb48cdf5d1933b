"""Is it time to learn? It is when the share of held files, or that of corrections in reviews, is past its threshold.

Only what came after the last round of the site counts: what it learnt from is no reason to learn again.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..audit import manifest_files
from ..configuration.node_tables import Loop
from ..errors import UsageError
from ..redaction import corrections
from ..system.wording import counted

DUE = 3  # exit code of `improve --due`

Held = Callable[[int, float], tuple[int, int]]
"""(highest number, time in seconds since 1970) -> number of the latest files after that time that were cleaned or held, and how many were held."""


@dataclass(frozen=True)
class Finding:
    """What was counted.

    files, held: files that were cleaned or held, and held.  reviewed, corrected: files whose review is finished, and those with corrections.
    """

    files: int = 0
    held: int = 0
    reviewed: int = 0
    corrected: int = 0

    def reasons(self, loop: Loop) -> list[str]:
        """Why it is time to learn, [] if it is not."""
        reasons = []
        for part, count, share, word in (
            (self.held, self.files, loop.held_share, "held"), (self.corrected, self.reviewed, loop.corrected_share, "corrected in review")):
            if count >= loop.least and part > share * count:
                reasons.append(f"{part} of {counted(count, 'file')} {word}, {100 * part / count:.1f} %: more than {100 * share:g} %")
        return reasons

    def lines(self, loop: Loop) -> list[str]:
        """What was counted, in words, with the thresholds."""
        return [
            _line(self.held, self.files, loop.held_share, loop.least, "held"),
            _line(self.corrected, self.reviewed, loop.corrected_share, loop.least, "corrected in review"),
        ]


def _line(part: int, count: int, share: float, least: int, word: str) -> str:
    """A share in words; below the least number it says nothing."""
    if count < least:
        return f"{part} of {counted(count, 'file')} {word}: too few to tell (at least {least})"
    return f"{part} of {counted(count, 'file')} {word}, {100 * part / count:.1f} % (threshold {100 * share:g} %)"


def last_round(site: Path | None) -> float:
    """When the last round of a site ended, in seconds since 1970; 0.0 if there was none.

    Raises:
        UsageError: the folder is no site, or its history is damaged.
    """
    if site is None or not site.exists():
        return 0.0
    from . import site_folder  # loads much

    folder = site_folder.open_folder(site)
    rounds = [row["when"] for row in site_folder.rows(folder) if row["event"] == "round"] if folder.begun else []
    return _time(rounds[-1]) if rounds else 0.0


def finding(audits: Sequence[Path], loop: Loop, held: Held | None = None) -> Finding:
    """Count held files and corrections.

    Args:
        audits: of runs, or of a node's quarantine.
        held: counts files instead of the audits' manifests; a node's audit has rows of held and failed files only.

    Raises:
        UsageError: a folder is no audit, or a log is damaged.
    """
    since = last_round(loop.site)
    files, held_files = held(loop.latest, since) if held else _held(audits, loop.latest, since)
    finished = sorted(
        (review.when, bool(review.effective) or review.missed) for audit in audits for review in _reviews(audit) if review.verdict and _time(review.when) > since)
    latest = [was_corrected for _, was_corrected in finished[-loop.latest :]]
    return Finding(files, held_files, len(latest), sum(latest))


def _reviews(audit: Path) -> list[corrections.Review]:
    return list(corrections.reviews(corrections.read_events(corrections.log_path(audit))).values())


def _held(audits: Sequence[Path], latest: int, since: float) -> tuple[int, int]:
    """As `Held`, from manifests, which have no times of their rows: one that was last written before `since` does not count."""
    statuses: list[str] = []
    for audit in audits:
        manifest = audit / manifest_files.MANIFEST
        if not manifest.is_file():
            raise UsageError(f"{audit}: holds no {manifest_files.MANIFEST}, so it is no audit of a run (OUT-audit by default)")
        if manifest.stat().st_mtime > since:
            statuses += [row["status"] if not row.get("released_held") else "held" for row in manifest_files.read_manifest(manifest) if row["status"] != "failed"]
    statuses = statuses[-latest:]
    return len(statuses), statuses.count("held")


def _time(when: str) -> float:
    """A time of a log in seconds since 1970.

    Raises:
        UsageError: the text is no time.
    """
    try:
        return datetime.datetime.fromisoformat(when).timestamp()
    except ValueError:
        raise UsageError("a log of a review has a time that is none: mend the log, nothing is guessed") from None
