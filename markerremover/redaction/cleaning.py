"""One radiograph in, one `Cleaned` out: look, decide, redact, and look at the result again.

    display -> localizer (and text finder) -> second pass -> decide -> redact -> localizer, OCR (and text finder) again
    -> is anything readable that the file's own header says?

No state passes from one file to the next: everything lives in the arguments, and `Cleaner` is frozen.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..detection import localizer
from ..errors import HeldError, UsageError
from ..formats import images, placement
from ..headers import telltales
from ..records import Corrections, Decision, Detections, Policy, Radiograph, Telling, Text
from ..second_pass import lines_of_print
from ..system.forks import Threads
from . import across_frames, cut_strokes, decision_rules, readable_text, redact, styles, text_finder, verify
from . import corrections as corrections_module

#: Rounds in which residual findings are removed; what still shows after the last one holds the file.
VERIFY_ROUNDS = 2
#: Score from which a box that stays is read for what the header says, whatever the threshold.
FAINT = 0.05
#: Threads that read results, at most: each has a Tesseract of its own, and a result has a few places to be read.
READING = 4
#: Files that one process cleans at the same time, at most: one is read, searched in Python or written while the network has the other.
AT_ONCE = 2
#: Confidence from which a word is held against the header.
LEAST_SURE = 0.3
HEADER_LABEL, HEADER_REASON = "header", "matches the file's own header"
HEADER_DOUBT = "text that matches the file's own header is readable in the result"


@dataclass(frozen=True)
class Cleaner:
    """What is loaded once and used for every file.

    detector: called as detector(display_frame, threshold) -> Detections.
    reader: an OCR engine for the second pass and for reading results; None only where the policy keeps nothing: results are then
        looked at, but not read.
    policy: what to keep and how widely to remove.
    finder: a second, independent look for text, see `second_look`; None for none.
    beside: where results are read, several places at once, while the localizer looks at them; None for one after the other.
    at_once: how many files may be cleaned with it at the same time, in as many threads of this process.
    """

    detector: Callable[..., Detections]
    reader: Any
    policy: Policy
    finder: text_finder.TextFinder | None = None
    beside: Executor | None = None
    at_once: int = 1

    def __post_init__(self) -> None:
        if self.policy.keep and self.reader is None:
            raise UsageError("a policy that keeps signs needs an OCR reader")
        if self.policy.style != "box" and self.reader is None:
            raise UsageError(f"style {self.policy.style!r} needs an OCR reader, to see that nothing can be read in what stays")


@dataclass(frozen=True)
class Cleaned:
    """One radiograph after the look, before any writing.

    stored: new array, shape and dtype of the input's, black where `decisions` say so, or as `styles` say.
    detections: one `Detections` a frame, from the localizer's first look.
    shown: (F, H, W) uint8, the display after redaction.
    doubt: "" or why the result must not be written.
    styles: for each decision its style and "" or why it is not the one asked for; () for black boxes by choice.
    made_up: number of pixels that were filled.
    """

    stored: np.ndarray
    decisions: tuple[Decision, ...]
    detections: tuple[Detections, ...]
    shown: np.ndarray
    doubt: str = ""
    styles: tuple[tuple[str, str], ...] = ()
    made_up: int = 0


@dataclass(frozen=True)
class _Seen:
    """What one look at one frame of one view left over for the header's word.

    faint: (N, 4) boxes that scored less than the threshold.  texts: readings, each the words of one place.
    """

    faint: np.ndarray
    texts: tuple[tuple[Text, ...], ...] = ()


@contextmanager
def timed(timings_ms: dict[str, float], stage: str) -> Iterator[None]:
    """Add the time the block takes to `timings_ms[stage]`, milliseconds, also when it raises."""
    start = time.perf_counter()
    try:
        yield
    finally:
        timings_ms[stage] = round(timings_ms.get(stage, 0.0) + (time.perf_counter() - start) * 1000, 2)


def open_cleaner(
    policy: Policy, *, weights: Path | None = None, device: str = "auto", threads: int | None = None, second: bool = False,
    batch: int | None = None, server: str | None = None,
) -> Cleaner:
    """Load the localizer, the OCR engine, which only a policy that keeps nothing can do without, and if `second` the text finder.

    Args:
        batch, server: of the localizer's network, see `localizer.load_detector`.

    Raises:
        WeightsError: weights or card missing or damaged.  UsageError: no OCR engine, no RapidOCR, or the device is not there.
    """
    from ..detection.localizer import load_detector
    from ..second_pass.tesseract import available, open_reader

    with ThreadPoolExecutor(1) as beside:  # either waits for its own library most of the time
        detector = beside.submit(load_detector, weights, device=device, threads=threads, batch=batch, server=server)
        reader = open_reader() if policy.keep or policy.style != "box" or available() else None
        finder = text_finder.open_second_look(threads) if second else None
        several = min(READING, threads or os.cpu_count() or 1)
        return Cleaner(
            detector.result(), reader, policy, finder, Threads(several, "reading") if several > 1 else None, min(AT_ONCE, several))


def clean_radiograph(
    radiograph: Radiograph, cleaner: Cleaner, timings_ms: dict[str, float] | None = None, corrections: Corrections | None = None
) -> Cleaned:
    """Find, decide, redact and verify; nothing is written and the input's arrays stay as they are.

    Args:
        corrections: what people say of the file. Where they are `alone` nothing is looked for, and nothing is looked at again.

    Returns:
        The result. Its `doubt` says so when something still shows after `VERIFY_ROUNDS` rounds of removal, or when what the
        header says can be read in it.

    Raises:
        HeldError: redaction did not do exactly what was decided, the header cannot be gone through, or corrections do not fit
            the file or would keep what its header says.
    """
    timings_ms = {} if timings_ms is None else timings_ms
    if corrections and corrections.alone:
        corrections = placement.placed_marks(corrections, images.layout(radiograph))
        none = tuple(Detections.empty() for _ in radiograph.display)
        drawn = tuple(corrections_module.drawn(corrections, radiograph.display.shape))
        return _redacted(radiograph, drawn, none, "", timings_ms, corrections)
    telling = images.telling(radiograph)
    detections, decisions, seen = _look(radiograph, cleaner, bool(telling), timings_ms)
    if corrections:
        decisions = _corrected(radiograph, decisions, corrections, cleaner, telling)
    with timed(timings_ms, "verify"):
        decisions, doubt = _verified(radiograph.views, decisions, cleaner, seen)
        if telling:
            told = _told(radiograph.views, decisions, cleaner, seen, telling)
            decisions, doubt = (*decisions, *_spread(told, radiograph.views)), "; ".join(filter(None, (doubt, HEADER_DOUBT if any(told) else "")))
    if corrections:  # what people said is carried out in black boxes, whatever the style
        decisions = corrections_module.settle(decisions, radiograph.display.shape)
    elif cleaner.policy.style != "box":
        with timed(timings_ms, "style"):
            done = styles.styled(
                radiograph, decisions, cleaner.policy, cleaner.detector, cleaner.reader, cleaner.finder, telling, _is_late, doubt)
        return Cleaned(done.stored, decisions, detections, done.shown, doubt, done.how, int(done.made_up.sum()))
    return _redacted(radiograph, decisions, detections, doubt, timings_ms, corrections)


def _redacted(
    radiograph: Radiograph, decisions: tuple[Decision, ...], detections: tuple[Detections, ...], doubt: str, timings_ms: dict[str, float],
    corrections: Corrections | None,
) -> Cleaned:
    """The decisions carried out, and checked pixel by pixel."""
    with timed(timings_ms, "redact"):
        new = redact.redact(radiograph.stored, decisions, radiograph.fill)
        mask = redact.removed_mask(radiograph.stored.shape[:3], decisions)
        verify.check_pixels(radiograph.stored, new, mask, radiograph.fill)
        if corrections:
            corrections_module.check(mask, corrections)
    return Cleaned(new, decisions, detections, redact.black_out(radiograph.display, mask, (0,)), doubt)


def _corrected(
    radiograph: Radiograph, decisions: tuple[Decision, ...], corrections: Corrections, cleaner: Cleaner, telling: Telling
) -> tuple[Decision, ...]:
    """The decisions with those of people in their place; what people removed goes from every frame that shows it.

    Raises:
        HeldError: see `corrections.corrected`; or what a person keeps reads as the file's own header does.
    """
    shape = radiograph.display.shape
    decisions = corrections_module.corrected(decisions, corrections, shape)
    ours = [d for d in decisions if d.label == corrections_module.LABEL]
    more = across_frames.spread(ours, radiograph.display)[len(ours) :]
    decisions = corrections_module.settle((*decisions, *more), shape)
    if not telling or cleaner.reader is None:
        return decisions
    removed = redact.removed_mask(shape, decisions)
    for kept in (d for d in decisions if d.reason == corrections_module.KEPT):
        for view in radiograph.views:
            look = verify.smoothed(view[kept.frame], removed[kept.frame])
            for words in readable_text.read(look, np.array([kept.xyxy]), cleaner.reader):
                if telltales.tells([word.text for word in words if word.confidence >= LEAST_SURE], telling):
                    raise HeldError(f"a box that was to be kept, {kept.xyxy}, holds text that matches the file's own header")
    return decisions


def _is_late(decision: Decision) -> bool:
    """Whether a decision came from a later look, or from the header's word."""
    return decision.label in (verify.LABEL, HEADER_LABEL)


def _look(
    radiograph: Radiograph, cleaner: Cleaner, faint: bool, timings_ms: dict[str, float]
) -> tuple[tuple[Detections, ...], tuple[Decision, ...], dict[tuple[int, int], _Seen]]:
    """Every view of every frame through the localizer, and the text finder if there is one, and every box through the second
    pass and the decision, on the view where it was found.

    Returns:
        Findings a frame, decisions, and by (view, frame) what is left over, with boxes of low score if `faint`.
    """
    found, decisions, left = [], [[] for _ in radiograph.views], {}
    for index in range(len(radiograph.display)):
        with timed(timings_ms, "detect"):
            looks = [_find(view[index], cleaner, faint) for view in radiograph.views]
            seen = localizer.unite([sure for sure, _ in looks])
        found.append(localizer.joined(seen))
        with timed(timings_ms, "second_pass"):
            for own, view, detections in zip(decisions, radiograph.views, seen):
                own += _decided(index, view, radiograph.views, detections, cleaner)
        left |= {(k, index): _Seen(faint_boxes) for k, (_, faint_boxes) in enumerate(looks)}
        if cleaner.finder:
            with timed(timings_ms, "second_look"):
                for k, (own, view) in enumerate(zip(decisions, radiograph.views)):
                    texts = cleaner.finder(view[index])
                    left[k, index] = replace(left[k, index], texts=tuple((text,) for text in texts))
                    explained = verify.explained(view.shape[1:], [d for each in decisions for d in each if d.frame == index])
                    own += _decided(index, view, radiograph.views, text_finder.findings(texts, explained), cleaner)
    with timed(timings_ms, "second_pass"):
        resolved = _alone(decision_rules.resolve(_spread(decisions, radiograph.views)), radiograph.views, left)
        return tuple(found), (*resolved, *_spread(_cut(resolved, radiograph.views), radiograph.views)), left


def _find(frame: np.ndarray, cleaner: Cleaner, faint: bool) -> tuple[Detections, np.ndarray]:
    """What the localizer finds in a frame, and (N, 4) boxes of what else scores at least FAINT; without `faint` only where they come
    with the same look."""
    threshold = cleaner.policy.threshold
    both = getattr(cleaner.detector, "with_faint", None)
    if cleaner.reader is None or not (faint or both):
        return cleaner.detector(frame, threshold), np.zeros((0, 4))
    sure, weak = both(frame, FAINT, threshold) if both else (cleaner.detector(frame, threshold), cleaner.detector(frame, FAINT))
    return sure, np.asarray(weak.xyxy, np.float64)


def _alone(decisions: Sequence[Decision], views: Sequence[np.ndarray], seen: dict[tuple[int, int], _Seen]) -> tuple[Decision, ...]:
    """`lines_of_print.alone` with all that is known of the frames: decisions, boxes that score too low, and print that was read."""
    others = [(index, box) for (_, index), left in seen.items() for box in left.faint]
    others += [(index, np.array(word.xyxy)) for (_, index), left in seen.items() for words in left.texts for word in words
               if word.confidence >= LEAST_SURE and any(map(str.isalnum, word.text))]
    return lines_of_print.alone(decisions, views, others)


def _cut(decisions: Sequence[Decision], views: Sequence[np.ndarray]) -> list[list[Decision]]:
    """What the decisions of every frame cut, by view."""
    return [[d for index in sorted({d.frame for d in decisions}) for d in cut_strokes.cut_strokes(view[index], decisions, index)] for view in views]


def _spread(decisions: Sequence[Sequence[Decision]], views: Sequence[np.ndarray]) -> list[Decision]:
    """`frames.spread` of the decisions of each view, by that view."""
    return [decision for own, view in zip(decisions, views) for decision in across_frames.spread(own, view)]


def _decided(
    index: int, view: np.ndarray, views: Sequence[np.ndarray], found: Detections, cleaner: Cleaner
) -> list[Decision]:
    """Every box of one frame of one view read and decided: one decision a box, whatever its score. What stays must be empty
    of print in all `views`."""
    frame, others = view[index], tuple(other[index] for other in views if other is not view)
    decisions = []
    for xyxy, score, class_id, loose in zip(found.xyxy, found.scores, found.class_ids, found.loose):
        label = found.class_names[int(class_id)]
        reading = None if loose else _read_marker(frame, others, xyxy, label, cleaner)
        decisions.append(decision_rules.decide(index, xyxy, float(score), label, reading, cleaner.policy, frame.shape, bool(loose)))
    return decisions


def _read_marker(frame: np.ndarray, others: Sequence[np.ndarray], xyxy: np.ndarray, label: str, cleaner: Cleaner):
    if not cleaner.policy.keep:
        return None
    from ..second_pass.reader import insist

    return insist(frame, xyxy, cleaner.policy.keep, cleaner.reader, others, is_laterality=label == localizer.SIGN)


def _verified(
    views: Sequence[np.ndarray], decisions: tuple[Decision, ...], cleaner: Cleaner, seen: dict[tuple[int, int], _Seen]
) -> tuple[tuple[Decision, ...], str]:
    """Look again at every view of every frame that changed, and read around what was removed; what still shows is decided like
    a first finding, at most VERIFY_ROUNDS times.

    Args:
        seen: by (view, frame); the texts in it become those of the last look.

    Returns:
        Decisions, and "" or why the result must not be written.
    """
    for round_left in range(VERIFY_ROUNDS, -1, -1):
        removed = redact.removed_mask(views[0].shape, decisions)
        again: list[list[Decision]] = [[] for _ in views]
        for index in sorted({d.frame for d in decisions}):
            own = [d for d in decisions if d.frame == index]
            second_looks = [verify.smoothed(view[index], removed[index]) for view in views]
            readings = [_begun(look, own, cleaner) for look in second_looks]
            found = localizer.unite([verify.residual(cleaner.detector, look, own, cleaner.policy) for look in second_looks])
            for k, (more, view, look, detections, reading) in enumerate(zip(again, views, second_looks, found, readings)):
                texts, readable = _read_again(look, own, cleaner, reading)
                seen[k, index] = replace(seen[k, index], texts=texts)
                for some in (detections, *readable):
                    more += verify.labelled(_decided(index, view, views, some, cleaner))
        count = sum(map(len, again))
        if not count or not round_left:
            break
        decisions = decision_rules.resolve([*decisions, *_spread(again, views)])
    decisions = _alone(decisions, views, seen)  # now every word is known
    return decisions, f"{count} findings remain after {VERIFY_ROUNDS} rounds of removal" if count else ""


def _begun(look: np.ndarray, own: Sequence[Decision], cleaner: Cleaner) -> Callable[[], list[tuple[Text, ...]]]:
    """Begin to read around a frame's decisions, `cleaner.beside` what is done next; gives what was read.

    Args:
        look: (H, W) uint8, redacted and smoothed.
        own: the frame's decisions.
    """
    if cleaner.reader is None:
        return list
    around = verify.smoothed(look, verify.explained(look.shape, own))
    return readable_text.begin(around, np.array([d.xyxy for d in own]), cleaner.reader, cleaner.beside)


def _read_again(
    look: np.ndarray, own: Sequence[Decision], cleaner: Cleaner, reading: Callable[[], list[tuple[Text, ...]]]
) -> tuple[tuple[tuple[Text, ...], ...], list[Detections]]:
    """What can be read in a frame of the result: everything, and of that what is print beyond doubt and in no decision's box.

    Args:
        look, own: as of `_begun`.  reading: what that gave.
    """
    texts = reading()
    readable = [readable_text.as_detections([word for words in texts for word in readable_text.clearly(words)], readable_text.LABEL)]
    if cleaner.finder:
        lines = cleaner.finder(look)
        texts += [(line,) for line in lines]
        readable.append(text_finder.findings_again(lines, verify.explained(look.shape, own)))
    return tuple(texts), readable


def _told(
    views: Sequence[np.ndarray], decisions: Sequence[Decision], cleaner: Cleaner, seen: dict[tuple[int, int], _Seen], telling: Telling
) -> list[list[Decision]]:
    """Removals, by view, of what is readable in the result and matches the header: in what was read around decisions, in boxes of
    low score that were not removed, and in what the text finder read. They leave the doubt as it is: more may be there."""
    told: list[list[Decision]] = [[] for _ in views]
    for (k, index), left in seen.items():
        own = [d for d in decisions if d.frame == index]
        explained = verify.explained(views[k].shape[1:], own)
        texts = list(left.texts)
        if cleaner.reader is not None and len(left.faint):
            stay = np.array([verify.unexplained(explained, box) > verify.UNEXPLAINED_SHARE for box in left.faint], bool)
            texts += readable_text.read(verify.smoothed(views[k][index], explained), left.faint[stay], cleaner.reader)
        for words in texts:
            words = [word for word in words if word.confidence >= LEAST_SURE]
            if telltales.tells([word.text for word in words], telling):
                told[k].append(_header_removal(index, words, cleaner.policy, views[k].shape[1:]))
    return told


def _header_removal(index: int, words: Sequence[Text], policy: Policy, shape_hw: tuple[int, int]) -> Decision:
    corners = np.array([word.xyxy for word in words])
    around = np.concatenate([corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)])
    removal = decision_rules.decide(index, around, float(min(w.confidence for w in words)), HEADER_LABEL, None, policy, shape_hw)
    return replace(removal, reason=HEADER_REASON)
