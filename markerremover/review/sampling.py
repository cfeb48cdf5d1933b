"""Acceptance sampling: a random sample of the results, and what follows from it once a person has looked at all of it."""

from __future__ import annotations

import datetime
import json
import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

from .. import __version__, report
from ..corrections import FOLDER, Review
from ..errors import UsageError

RELEASED = ("cleaned", "unchanged")


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


def drawn(audit: Path, rows: Sequence[dict[str, Any]], count: int, seed: int, when: str) -> Sample:
    """The sample of this size and seed: that of an earlier session on the same audit if there is one, else drawn and saved.

    Raises:
        UsageError: see `draw`; or the saved one is damaged or holds files that the audit does not.
    """
    path = audit / FOLDER / f"sample-{count}-{seed}.json"
    if path.exists():
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            found = Sample(tuple(data["files"]), int(data["population"]), int(data["seed"]), str(data["drawn"]))
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path}: is damaged ({type(error).__name__})") from error
        if set(found.files) - {row["relative"] for row in rows}:
            raise UsageError(f"{path}: was drawn from another run; choose another --seed")
        return found
    sample = draw(rows, count, seed, when)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    report.write_private(path, json.dumps(asdict(sample), indent=1) + "\n")
    return sample


def counted(sample: Sample, reviews: Mapping[str, Review]) -> tuple[int, int]:
    """(files of the sample that a person has finished, those of them in which something still showed)."""
    done = [reviews[file] for file in sample.files if file in reviews and reviews[file].verdict]
    return len(done), sum(review.missed for review in done)


def bound(misses: int, count: int) -> float:
    """One-sided 95 % upper bound of the share of results with a miss, 0-1."""
    from ..evaluation import upper_bound

    return upper_bound(misses, count)


def sentence(misses: int, count: int) -> str:
    """What a finished sample says, in a line.

    >>> sentence(0, 300)
    '0 misses in 300: below 1.0 % with 95 % confidence'
    """
    said = f"below {100 * bound(misses, count):.1f} % with 95 % confidence" if misses < count else "no bound"
    return f"{misses} {'miss' if misses == 1 else 'misses'} in {count}: {said}"


def statement(sample: Sample, reviews: Mapping[str, Review], day: datetime.date) -> str:
    """Markdown: the sampling plan and the result, in the manner of `evaluate --statement`.

    Raises:
        UsageError: not all of the sample has been looked at.
    """
    done, misses = counted(sample, reviews)
    count = len(sample.files)
    if done < count:
        raise UsageError(f"{done} of {count} files of the sample have been looked at: a statement needs all of them")
    names = ", ".join(sorted({reviews[file].who for file in sample.files}))
    if count == sample.population:
        verdict = f"All {count} results were looked at. In {misses} of them something was left."
    else:
        verdict = (
            f"{sentence(misses, count)}. In {misses} of the {count} results looked at something was left. With 95 % confidence fewer than "
            f"{100 * bound(misses, count):.1f} % of the {sample.population} results of the run still show something that ought to be gone "
            "(one-sided exact binomial bound after Clopper and Pearson)."
        )
    return f"""# De-identification: what a person looked at, and what follows

Date: {day.isoformat()}. Program: markerremover {__version__}, `review --sample`. Looked at by: {names}.

**Sample.** {count} of the {sample.population} results that the run released were drawn at random without replacement (seed {sample.seed},
drawn {sample.drawn}). Files that the run held or failed have no result and are not among them.

**What counts as a miss.** A result in which the person found at least one burnt-in marking that ought to be gone. Misses count as found,
also where they were corrected afterwards.

**Result.** {verdict}

**What this does not say.** The bound holds for the results as they were when they were looked at, and for what a person sees on a
screen. It says nothing of markings that the person overlooked, of what headers and file names hold, or of anatomy by which somebody
could be recognised.
"""
