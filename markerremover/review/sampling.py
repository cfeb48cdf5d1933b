"""Acceptance sampling: a random sample of the results, and what follows from it once a person has looked at all of it."""

from __future__ import annotations

import datetime
import json
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import UsageError
from ..records import RELEASED
from ..redaction import corrections
from ..redaction.corrections import FOLDER, Review
from ..system import regular_files
from ..system.files import write_private


@dataclass(frozen=True)
class Sample:
    """A drawn sample.

    files: paths below OUT, in the order in which they are shown.  population: how many results it was drawn from.
    seed: the same seed draws the same of the same results.  drawn: when, ISO 8601.
    """

    files: tuple[str, ...]
    population: int
    seed: int
    drawn: str


def draw(rows: Sequence[dict[str, Any]], count: int, seed: int, when: str) -> Sample:
    """A simple random sample without replacement of the results that a run released.

    Raises:
        UsageError: `count` is less than 1, or nothing was released.
    """
    released = sorted(row["relative"] for row in rows if row["status"] in RELEASED)
    if count < 1 or not released:
        raise UsageError(f"a sample of {count} of {len(released)} results: both must be 1 or more")
    return Sample(tuple(random.Random(seed).sample(released, min(count, len(released)))), len(released), seed, when)


@dataclass(frozen=True)
class Counts:
    """How far a sample has been looked at.

    looked: results of it that a person has finished as they are now.  again: those redone since, to be looked at again.
    gone: files of it that have no result any more.  misses: files in which something was found at any time, those without a result
    included.  left: results, as they are now, in which something still shows.  waiting: those that nobody has finished.
    """

    looked: int
    again: int
    gone: int
    misses: int
    left: int
    waiting: int


def is_now(review: Review, row: dict[str, Any]) -> bool:
    """Whether what a person looked at is the file, and the result, that there is now."""
    return (review.sha256_in, review.sha256_out) == (row["sha256_in"], row["sha256_out"])


def counted(sample: Sample, reviews: Mapping[str, Review], rows: Mapping[str, dict[str, Any]]) -> Counts:
    """What there is to say of a sample, where only results count that were looked at as they are now.

    Args:
        rows: of the manifest, by path.
    """
    looked = again = gone = misses = left = 0
    for file in sample.files:
        review, row = reviews.get(file, Review()), rows.get(file)
        misses += review.missed
        if row is None or row["status"] not in RELEASED:
            gone += 1
        elif review.verdict and is_now(review, row):
            looked += 1
            left += corrections.unapplied(review, row)
        elif review.verdict:
            again += 1
    return Counts(looked, again, gone, misses, left, len(sample.files) - gone - looked - again)


def drawn(audit: Path, rows: Sequence[dict[str, Any]], count: int, seed: int, when: str) -> Sample:
    """The sample of this size and seed: that of an earlier session on the same audit if there is one, else drawn and saved.

    Raises:
        UsageError: see `draw`; or the saved one is damaged or holds files that the audit does not.
    """
    path = audit / FOLDER / f"sample-{count}-{seed}.json"
    regular_files.folder(audit / FOLDER)
    if os.path.lexists(path):
        try:
            found = _read(path)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UsageError(f"{path}: is damaged ({type(error).__name__})") from error
        if set(found.files) - {row["relative"] for row in rows}:
            raise UsageError(f"{path}: was drawn from another run; choose another --seed")
        return found
    sample = draw(rows, count, seed, when)
    write_private(path, json.dumps(asdict(sample), indent=1) + "\n")
    return sample


def _read(path: Path) -> Sample:
    """A sample as it was saved. Raises ValueError, KeyError, TypeError or RecursionError where it is damaged."""
    data = json.loads(regular_files.read(path))
    files, numbers = data["files"], (data["population"], data["seed"])
    if not all(type(number) is int for number in numbers) or not isinstance(files, list) or not isinstance(data["drawn"], str):
        raise ValueError
    if not all(isinstance(file, str) for file in files) or not 0 < len(set(files)) == len(files) <= data["population"]:
        raise ValueError
    return Sample(tuple(files), *numbers, data["drawn"])


def take_back(audit: Path, reviews: Mapping[str, Review], rows: Mapping[str, dict[str, Any]]) -> list[str]:
    """Take away the statements of an audit that speak of results which have been redone or taken away since; gives their names."""
    taken = []
    for path in sorted((audit / FOLDER).glob("statement-*-*.md")):
        try:
            sample = _read(path.with_name(path.name.replace("statement", "sample", 1)).with_suffix(".json"))
        except (OSError, UsageError, ValueError, KeyError, TypeError, RecursionError):
            continue  # not of a sample that is known
        counts = counted(sample, reviews, rows)
        if counts.again or counts.waiting or counts.gone:
            path.unlink(missing_ok=True)
            taken.append(path.name)
    return taken


def bound(misses: int, count: int) -> float:
    """One-sided 95 % upper bound of the share of results with a miss, 0-1."""
    from ..evaluation.evaluate import upper_bound

    return upper_bound(misses, count)


def sentence(misses: int, count: int) -> str:
    """What a finished sample says, in a line.

    >>> sentence(0, 300)
    '0 misses in 300: below 1.0 % with 95 % confidence'
    """
    said = f"below {100 * bound(misses, count):.1f} % with 95 % confidence" if misses < count else "no bound"
    return f"{misses} {'miss' if misses == 1 else 'misses'} in {count}: {said}"


def result(sample: Sample, counts: Counts) -> str:
    """What a sample that has been looked at says, in a line; "" for one that has not, or has no result left."""
    if counts.again or counts.waiting or not counts.looked:
        return ""
    if len(sample.files) < sample.population:
        return sentence(counts.misses, len(sample.files))
    return f"all {counts.looked} results looked at, something is left in {counts.left}"


def statement(sample: Sample, reviews: Mapping[str, Review], rows: Mapping[str, dict[str, Any]], day: datetime.date) -> str:
    """Markdown: the sampling plan and the result, in the manner of `evaluate --statement`.

    Args:
        rows: of the manifest, by path.

    Raises:
        UsageError: not all of the sample has been looked at as it is now.
    """
    counts, count = counted(sample, reviews, rows), len(sample.files)
    if not result(sample, counts):
        redone = f", {counts.again} were redone since and must be looked at again" if counts.again else ""
        raise UsageError(f"{counts.looked} of {count - counts.gone} results of the sample have been looked at as they are now{redone}: "
                         "a statement needs all of them")
    names = ", ".join(sorted({reviews[file].who for file in sample.files if file in reviews and reviews[file].who}))
    misses = counts.misses
    since = misses - counts.left
    before = f" In {since} more something had been found before; it was removed since, or the result was taken away." if since else ""
    gone = f" {counts.gone} results of the sample were taken away since they were drawn." if counts.gone else ""
    if count == sample.population:
        verdict = f"All {counts.looked} results were looked at. In {counts.left} of them something was left.{before}{gone}"
    else:
        limit = "" if misses == count else (
            f" With 95 % confidence fewer than {100 * bound(misses, count):.1f} % of the {sample.population} results of the run still show "
            "something that ought to be gone (one-sided exact binomial bound after Clopper and Pearson).")
        verdict = (f"{sentence(misses, count)}. In {counts.left} of the {counts.looked} results looked at something was left."
                   f"{before}{gone}{limit}")
    return f"""# De-identification: what a person looked at, and what follows

Date: {day.isoformat()}. Program: markerremover {__version__}, `review --sample`. Looked at by: {names}.

**Sample.** {count} of the {sample.population} results that the run released were drawn at random without replacement (seed {sample.seed},
drawn {sample.drawn}). Files that the run held or failed have no result and are not among them.

**What counts as a miss.** A result in which the person found at least one burned-in marking that ought to be gone. Misses count as found,
also where they were corrected afterwards.

**Result.** {verdict}

**What this does not say.** The bound holds for the results as they were when they were looked at, and for what a person sees on a
screen. It says nothing of markings that the person overlooked, of what headers and file names hold, or of anatomy by which somebody
could be recognised.
"""
