"""Acceptance sampling: a random sample of the results, and the statement about it once a person has reviewed all of it."""

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
from ..system import regular_files, wording
from ..system.files import write_private


@dataclass(frozen=True)
class Sample:
    """A random sample.

    files: paths below OUT, in the order of the review.  population: number of results that it was drawn from.
    seed: with the same results and seed the sample is the same.  drawn: time, ISO 8601.
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
        raise UsageError(f"a sample of {count} of {wording.counted(len(released), 'result')}: both must be 1 or more")
    return Sample(tuple(random.Random(seed).sample(released, min(count, len(released)))), len(released), seed, when)


@dataclass(frozen=True)
class Counts:
    """Progress of the review of a sample, numbers of files.

    reviewed: with a review of the present result.  outdated: redone since their review.  withdrawn: without a result by now.
    misses: with an annotation found at any time, those without a result included.  leftover: whose present result still shows an
    annotation.  unreviewed: without a review.
    """

    reviewed: int
    outdated: int
    withdrawn: int
    misses: int
    leftover: int
    unreviewed: int


def is_current(review: Review, row: dict[str, Any]) -> bool:
    """Whether a review is of the present input and result."""
    return (review.sha256_in, review.sha256_out) == (row["sha256_in"], row["sha256_out"])


def counted(sample: Sample, reviews: Mapping[str, Review], rows: Mapping[str, dict[str, Any]]) -> Counts:
    """The counts of a sample; only reviews of present results count as reviewed.

    Args:
        rows: of the manifest, by path.
    """
    reviewed = outdated = withdrawn = misses = leftover = 0
    for file in sample.files:
        review, row = reviews.get(file, Review()), rows.get(file)
        misses += review.missed
        if row is None or row["status"] not in RELEASED:
            withdrawn += 1
        elif review.verdict and is_current(review, row):
            reviewed += 1
            leftover += corrections.unapplied(review, row)
        elif review.verdict:
            outdated += 1
    return Counts(reviewed, outdated, withdrawn, misses, leftover, len(sample.files) - withdrawn - reviewed - outdated)


def drawn(audit: Path, rows: Sequence[dict[str, Any]], count: int, seed: int, when: str) -> Sample:
    """The sample of this size and seed: the saved one of an earlier session on the same audit, else a new one, which is saved.

    Raises:
        UsageError: see `draw`; or the saved one is damaged or has files that are not in the audit.
    """
    path = audit / FOLDER / f"sample-{count}-{seed}.json"
    regular_files.folder(audit / FOLDER)
    if os.path.lexists(path):
        try:
            saved = _read(path)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UsageError(f"{path}: is damaged ({type(error).__name__})") from error
        if set(saved.files) - {row["relative"] for row in rows}:
            raise UsageError(f"{path}: was drawn from another run; choose another --seed")
        return saved
    sample = draw(rows, count, seed, when)
    write_private(path, json.dumps(asdict(sample), indent=1) + "\n")
    return sample


def _read(path: Path) -> Sample:
    """A saved sample. Raises ValueError, KeyError, TypeError or RecursionError if it is damaged."""
    data = json.loads(regular_files.read(path))
    files, numbers = data["files"], (data["population"], data["seed"])
    if not all(type(number) is int for number in numbers) or not isinstance(files, list) or not isinstance(data["drawn"], str):
        raise ValueError
    if not all(isinstance(file, str) for file in files) or not 0 < len(set(files)) == len(files) <= data["population"]:
        raise ValueError
    return Sample(tuple(files), *numbers, data["drawn"])


def withdraw_statements(audit: Path, reviews: Mapping[str, Review], rows: Mapping[str, dict[str, Any]]) -> list[str]:
    """Delete the statements of an audit about results that have been redone or removed since; returns their names."""
    names: list[str] = []
    for path in sorted((audit / FOLDER).glob("statement-*-*.md")):
        try:
            sample = _read(path.with_name(path.name.replace("statement", "sample", 1)).with_suffix(".json"))
        except (OSError, UsageError, ValueError, KeyError, TypeError, RecursionError):
            continue  # its sample is unknown
        counts = counted(sample, reviews, rows)
        if counts.outdated or counts.unreviewed or counts.withdrawn:
            path.unlink(missing_ok=True)
            names.append(path.name)
    return names


def bound(misses: int, count: int) -> float:
    """One-sided upper 95 % bound (Clopper-Pearson) of the share of results with a miss, 0-1."""
    from ..evaluation.evaluate import upper_bound

    return upper_bound(misses, count)


def sentence(misses: int, count: int) -> str:
    """The result of a finished sample, one line.

    >>> sentence(0, 300)
    '0 misses in 300: below 1.0 % with 95 % confidence'
    """
    limit = f"below {100 * bound(misses, count):.1f} % with 95 % confidence" if misses < count else "no bound"
    return f"{misses} {'miss' if misses == 1 else 'misses'} in {count}: {limit}"


def result(sample: Sample, counts: Counts) -> str:
    """The result of a reviewed sample, one line; "" for one that is not completely reviewed or has no results left."""
    if counts.outdated or counts.unreviewed or not counts.reviewed:
        return ""
    if len(sample.files) < sample.population:
        return sentence(counts.misses, len(sample.files))
    return f"{_every(counts.reviewed)} looked at, something is left in {counts.leftover}"


def _every(count: int) -> str:
    return f"all {count} results" if count != 1 else "the one result"


def statement(sample: Sample, reviews: Mapping[str, Review], rows: Mapping[str, dict[str, Any]], day: datetime.date) -> str:
    """Markdown: the sampling plan and the result, in the manner of `evaluate --statement`.

    Args:
        rows: of the manifest, by path.

    Raises:
        UsageError: not all present results of the sample have been reviewed.
    """
    counts, count = counted(sample, reviews, rows), len(sample.files)
    if not result(sample, counts):
        redone = f", {counts.outdated} were redone since and must be looked at again" if counts.outdated else ""
        raise UsageError(f"{counts.reviewed} of {count - counts.withdrawn} results of the sample have been looked at as they are now{redone}: "
                         "a statement needs all of them")
    names = ", ".join(sorted({reviews[file].who for file in sample.files if file in reviews and reviews[file].who}))
    misses = counts.misses
    corrected = misses - counts.leftover
    earlier = f" In {corrected} more something had been found before; it was removed since, or the result was removed." if corrected else ""
    removed = f"{wording.counted(counts.withdrawn, 'result')} of the sample {wording.verb(counts.withdrawn, 'was', 'were')}"
    withdrawn = f" {removed} removed since the sample was drawn." if counts.withdrawn else ""
    if count == sample.population:
        everything = f"{_every(counts.reviewed).capitalize()} {wording.verb(counts.reviewed, 'was', 'were')} looked at."
        verdict = f"{everything} In {counts.leftover} of them something was left.{earlier}{withdrawn}"
    else:
        limit = "" if misses == count else (
            f" With 95 % confidence fewer than {100 * bound(misses, count):.1f} % of the {wording.counted(sample.population, 'result')} of the run still show "
            "an annotation that should have been removed (one-sided exact binomial bound after Clopper and Pearson).")
        verdict = (f"{sentence(misses, count)}. In {counts.leftover} of the {wording.counted(counts.reviewed, 'result')} looked at something was left."
                   f"{earlier}{withdrawn}{limit}")
    return f"""# De-identification: results that a person checked, and what follows

Date: {day.isoformat()}. Program: markerremover {__version__}, `review --sample`. Checked by: {names}.

**Sample.** {count} of the {sample.population} results that the run released were drawn at random without replacement (seed {sample.seed},
drawn {sample.drawn}). Files that the run held or failed have no result and are not among them.

**What counts as a miss.** A result in which the person found at least one burned-in annotation that should have been removed. Misses
count as found, also where they were corrected afterwards.

**Result.** {verdict}

**What this does not say.** The bound holds for the results as they were when they were checked, and for what a person sees on a
screen. It says nothing about annotations that the person overlooked, about headers and file names, or about anatomy by which somebody
could be recognised.
"""
