"""The choice among the results of a fine-tuning, by the errors that each makes on images that were held out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

#: Shares of the tuned weights that are tried, besides 0, each with the base rescorer and with one trained on the same images.
SHARES = (0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Change:
    """A result of a training. share: of the tuned weights, 0 to 1; the rest is of the base.  taught: whether the rescorer is one of its own."""

    share: float = 0.0
    taught: bool = False


BASE = Change()


@dataclass(frozen=True)
class Errors:
    """Errors on some images.

    missed, lost, held, false: of the whole pipeline: `marker` elements that are not removed, laterality markers that are not retained, images
        without a result, boxes that touch no annotation.
    drawn_missed, drawn_false: of the localizer on drawn films: elements that it does not cover, and its false-positive boxes.
    """

    missed: int = 0
    lost: int = 0
    held: int = 0
    false: int = 0
    drawn_missed: int = 0
    drawn_false: int = 0

    def __add__(self, other: Errors) -> Errors:
        return Errors(*(a + b for a, b in zip(astuple(self), astuple(other))))

    def costs_nothing_beside(self, base: Errors) -> bool:
        """Whether no kind of error that loses information is more frequent than with the base weights."""
        pairs = ((self.missed, base.missed), (self.lost, base.lost), (self.held, base.held), (self.drawn_missed, base.drawn_missed))
        return all(own <= other for own, other in pairs)

    def rank(self) -> tuple[int, ...]:
        """Sorts errors: those that lose information, then false-positive boxes, then those on drawn films."""
        return self.missed + self.lost + self.held, self.false, self.drawn_missed, self.drawn_false


#: The errors of each result of one training, those of the base weights among them.
Trials = dict[Change, Errors]


def changes(with_rescorer: bool) -> list[Change]:
    """Every change that is tried, the smallest first."""
    return [Change(share, taught) for share in (0.0, *SHARES) for taught in (False, True)[: 1 + with_rescorer] if share or taught]


def chosen(trainings: Sequence[Trials]) -> Change:
    """The change with the fewest errors in all trainings together, among those that cost nothing beside the base weights; the base weights
    where none has fewer. A training that was left out, or could not teach a rescorer, counts with what comes nearest: without the
    rescorer, or the base weights."""
    candidates = sorted({change for trials in trainings for change in trials}, key=lambda c: (c.share, c.taught))
    sums = {change: summed(trainings, change) for change in (BASE, *candidates)}
    allowed = [change for change in (BASE, *candidates) if sums[change].costs_nothing_beside(sums[BASE])]
    return min(allowed, key=lambda change: (*sums[change].rank(), change.share, change.taught))


def summed(trainings: Iterable[Trials], change: Change) -> Errors:
    """The errors of one change in all trainings together, see `chosen`."""
    return sum((_nearest(trials, change) for trials in trainings), Errors())


def _nearest(trials: Trials, change: Change) -> Errors:
    return next(trials[c] for c in (change, Change(change.share), BASE) if c in trials)


def write(path: Path, trials: Trials) -> None:
    """Write the trials of a training; `read` reads them back."""
    rows = [{**asdict(change), "errors": asdict(errors)} for change, errors in trials.items()]
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(rows), encoding="utf-8")
    os.replace(temporary, path)


def read(path: Path) -> Trials:
    """The trials of a training."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {Change(row["share"], row["taught"]): Errors(**row["errors"]) for row in rows}
