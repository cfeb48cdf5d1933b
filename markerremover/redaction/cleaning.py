"""Cleans one radiograph: detection, decision, redaction, and verification of the result.

    display -> localizer (and text finder) -> second pass -> decide -> redact -> localizer, OCR (and text finder) again
    -> comparison of legible text with the file's own header

No state passes from one file to the next: everything is in the arguments, and `Cleaner` is frozen.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..detection import localizer
from ..errors import HeldError, UsageError
from ..formats import images
from ..headers import kept_phrases, telltales
from ..keep_lists.groups import markers
from ..labels import masks
from ..records import LATERALITY, Corrections, Decision, Detections, Policy, Radiograph, Reading, Telling, Text
from ..second_pass import lines_of_print, stroke_network
from ..second_pass.phrases import kept_lines
from ..second_pass.reader import insist
from ..system.forks import Threads
from ..system.timing import timed
from . import across_frames, cut_strokes, decision_rules, drawn_markers, readable_text, redact, styles, text_finder, verify
from . import corrections as corrections_module

#: Greatest number of rounds in which residual findings are removed; the file is held if some remain after the last one.
VERIFY_ROUNDS = 2
#: Least score of boxes below the threshold whose text is compared with the header.
FAINT_SCORE = 0.05
#: Greatest number of threads that read results: each has a separate Tesseract engine, and a result has few places to read.
MOST_READERS = 4
#: Greatest number of files that one process cleans at the same time: one is read, processed in Python or written while the network runs on the other.
AT_ONCE = 2
#: Least confidence of a word that is compared with the header.
LEAST_CONFIDENCE = 0.3
HEADER_DOUBT = "text that matches the file's own header is readable in the result"


@dataclass(frozen=True)
class Cleaner:
    """The resources that are loaded once and used for every file.

    detector: called as detector(display_frame, threshold) -> Detections.
    reader: an OCR engine for the second pass and for results; None only if the policy keeps nothing: results are then not read.
    policy: laterality markers to retain, thresholds and margins.
    finder: an independent text finder, see `text_finder.open_second_look`; None for none.
    beside: the executor that reads several places of a result while the localizer runs; None to read them one after the other.
    at_once: greatest number of files cleaned with it at the same time, in as many threads of this process.
    strokes: tells a letter's strokes where no threshold does; None for none.

    Raises:
        UsageError: the policy needs an OCR engine and there is none.
    """

    detector: Callable[..., Detections]
    reader: Any
    policy: Policy
    finder: text_finder.TextFinder | None = None
    beside: Executor | None = None
    at_once: int = 1
    strokes: stroke_network.StrokeNetwork | None = None

    def __post_init__(self) -> None:
        if self.policy.readable and self.reader is None:
            raise UsageError("a policy that keeps or reads laterality markers needs an OCR reader")
        if self.policy.style != "box" and self.reader is None:
            raise UsageError(f"style {self.policy.style!r} needs an OCR reader, to check that no text is legible in the result")


@dataclass(frozen=True)
class Cleaned:
    """The result for one radiograph, before it is written.

    stored: new array, shape and dtype of the input's, with removed pixels black, or as `styles` says.
    decisions: of all frames.  detections: one `Detections` per frame, of the localizer's first run.
    shown: (F, H, W) uint8, the display after redaction.  doubt: "" or why the result must not be written.
    styles: for each decision its style and "" or the reason why it is not the policy's; () if the policy's is "box".
    made_up: number of pixels that were filled.
    held_for: the boxes that led to the doubt: what was still found after the last removal, and text that matches the header.
    removed: (F, H, W) bool, every pixel whose original was removed.
    """

    stored: np.ndarray
    decisions: tuple[Decision, ...]
    detections: tuple[Detections, ...]
    shown: np.ndarray
    removed: np.ndarray
    doubt: str = ""
    styles: tuple[tuple[str, str], ...] = ()
    made_up: int = 0
    held_for: tuple[Decision, ...] = ()


@dataclass(frozen=True)
class _Leftover:
    """Findings in one view of a frame for the comparison with the header; faint: (N, 4) source xyxy of boxes below the threshold; texts:
    readings, each the words of one place."""

    faint: np.ndarray
    texts: tuple[tuple[Text, ...], ...] = ()


_Leftovers = dict[tuple[int, int], _Leftover]  # by (view, frame)


def open_cleaner(
    policy: Policy, *, weights: Path | None = None, device: str = "auto", threads: int | None = None, second: bool = False,
    batch: int | None = None, server: str | None = None, effort: str = "default",
) -> Cleaner:
    """Load the localizer, the OCR engine, which is optional only for a policy that keeps and reads nothing, and the text finder.

    Args:
        policy: of the run.
        weights, device, batch, server, effort: of the localizer, see `localizer.load_detector`.
        threads: greatest number of threads; all cores by default.  second: whether to load the text finder.

    Raises:
        WeightsError: weights or card missing or damaged.  UsageError: no OCR engine, no RapidOCR, or the device is not there.
    """
    from ..detection.localizer import load_detector
    from ..second_pass.tesseract import available, open_reader

    with ThreadPoolExecutor(1) as beside:  # both wait for their libraries most of the time
        detector = beside.submit(load_detector, weights, device=device, threads=threads, batch=batch, server=server, effort=effort)
        reader = open_reader() if policy.readable or policy.style != "box" or available() else None
        finder = text_finder.open_second_look(threads) if second else None
        reader_count = min(MOST_READERS, threads or os.cpu_count() or 1)
        return with_localizer(
            detector.result(), reader, policy, threads, finder=finder, beside=Threads(reader_count, "reading") if reader_count > 1 else None,
            at_once=min(AT_ONCE, reader_count))


def with_localizer(detector: localizer.Detector, reader: Any, policy: Policy, threads: int | None = None, **further: Any) -> Cleaner:
    """A cleaner with a localizer and, if laterality markers are retained, the stroke network that its card names.

    Args:
        detector: from `localizer.load_detector`.  reader, policy, further: as of `Cleaner`.  threads: of the stroke network.

    Raises:
        WeightsError: that network is missing or damaged.  UsageError: as `Cleaner`.
    """
    strokes = stroke_network.of_card(detector.card, detector.folder, threads or 1) if policy.readable else None
    return Cleaner(detector, reader, policy, strokes=strokes, **further)


def clean_radiograph(
    radiograph: Radiograph, cleaner: Cleaner, timings_ms: dict[str, float] | None = None, corrections: Corrections | None = None
) -> Cleaned:
    """Detect, decide, redact and verify; nothing is written and the input's arrays are not changed.

    Args:
        radiograph: the decoded file.
        cleaner: the loaded resources.
        timings_ms: the time of each stage is added to it, milliseconds.
        corrections: reviewers' corrections of the file. If they are `alone`, the image is neither searched nor verified.

    Returns:
        The result. It has a `doubt` if findings remain after `VERIFY_ROUNDS` rounds of removal, or if text that matches the
        header is legible.

    Raises:
        HeldError: the redacted pixels differ from the decisions, the header cannot be searched, or corrections do not fit the file or
            would keep text that matches its header.
    """
    timings_ms = {} if timings_ms is None else timings_ms
    if corrections and corrections.alone:
        corrections = masks.placed(corrections, images.layout(radiograph))
        drawn = tuple(corrections_module.drawn(corrections, radiograph.display.shape))
        return _redacted(radiograph, drawn, tuple(Detections.empty() for _ in radiograph.display), "", timings_ms, corrections)
    telling, looked = images.telling(radiograph), lines_of_print.Looked()
    cleaner = replace(cleaner, policy=kept_phrases.policy_for(cleaner.policy, telling))
    reads = replace(cleaner, policy=replace(cleaner.policy, keep=cleaner.policy.readable)) if cleaner.policy.read else cleaner
    detections, decisions, leftovers = _first_pass(radiograph, reads, bool(telling), timings_ms, looked)
    read, decisions = decisions, decision_rules.set_aside(decisions, cleaner.policy)
    if corrections:
        decisions = _corrected(radiograph, decisions, corrections, cleaner, telling)
    with timed(timings_ms, "verify"):
        decisions, doubt, held_for = _verified(radiograph.views, decisions, cleaner, leftovers, looked)
        if telling:
            matches = _header_matches(radiograph.views, decisions, cleaner, leftovers, telling)
            decisions = (*decisions, *across_frames.spread_in_views(matches, radiograph.views))
            held_for = (*held_for, *itertools.chain(*matches))
            doubt = "; ".join(filter(None, (doubt, HEADER_DOUBT if any(matches) else "")))
        decisions = decision_rules.confirmed(decisions, read, lambda restored: _alone(restored, radiograph.views, leftovers, looked))
    if corrections:  # corrected files have black boxes, whatever the style
        decisions = corrections_module.settle(decisions, radiograph.display.shape)
    elif cleaner.policy.style != "box":
        with timed(timings_ms, "style"):
            result = styles.styled(
                radiograph, decisions, cleaner.policy, cleaner.detector, cleaner.reader, cleaner.finder, telling, doubt)
        return Cleaned(result.stored, decisions, detections, result.shown, result.removed, doubt, result.how, int(result.made_up.sum()), held_for)
    return replace(_redacted(radiograph, decisions, detections, doubt, timings_ms, corrections), held_for=held_for)


def _redacted(
    radiograph: Radiograph, decisions: tuple[Decision, ...], detections: tuple[Detections, ...], doubt: str, timings_ms: dict[str, float],
    corrections: Corrections | None,
) -> Cleaned:
    """The result in black boxes, checked pixel by pixel."""
    with timed(timings_ms, "redact"):
        new = redact.redact(radiograph.stored, decisions, radiograph.fill)
        mask = redact.removed_mask(radiograph.stored.shape[:3], decisions)
        verify.check_pixels(radiograph.stored, new, mask, radiograph.fill)
        if corrections:
            corrections_module.check(mask, corrections)
    return Cleaned(new, decisions, detections, redact.black_out(radiograph.display, mask, (0,)), mask, doubt)


def _corrected(
    radiograph: Radiograph, decisions: tuple[Decision, ...], corrections: Corrections, cleaner: Cleaner, telling: Telling
) -> tuple[Decision, ...]:
    """The decisions with reviewers' corrections applied; their removals are copied to every frame that shows the same annotation.

    Raises:
        HeldError: see `corrections.corrected`; or a box that a reviewer keeps holds text that matches the file's own header.
    """
    shape = radiograph.display.shape
    decisions = drawn_markers.corrected(decisions, corrections, radiograph.views, lambda f, found: _decided(f, radiograph.views[0], radiograph.views, found, cleaner))
    reviewed = [d for d in decisions if d.label == corrections_module.LABEL]
    copies = across_frames.spread(reviewed, radiograph.display)[len(reviewed) :]
    decisions = corrections_module.settle((*decisions, *copies), shape)
    if not telling or cleaner.reader is None:
        return decisions
    removed = redact.removed_mask(shape, decisions)
    for kept in (d for d in decisions if d.reason == corrections_module.KEPT):
        for view in radiograph.views:
            image = verify.smoothed(view[kept.frame], removed[kept.frame])
            for words in readable_text.read(image, np.array([kept.xyxy]), cleaner.reader):
                if telltales.tells([word.text for word in words if word.confidence >= LEAST_CONFIDENCE], telling):
                    raise HeldError(f"a box that was to be kept, {kept.xyxy}, holds text that matches the file's own header")
    return decisions


def _first_pass(
    radiograph: Radiograph, cleaner: Cleaner, faint: bool, timings_ms: dict[str, float], looked: lines_of_print.Looked
) -> tuple[tuple[Detections, ...], tuple[Decision, ...], _Leftovers]:
    """Find (localizer, text finder), read and decide every box in every view of every frame, on the view where it was found.

    Returns:
        Detections per frame, decisions, and by (view, frame) the findings for the comparison with the header, with faint boxes if `faint`.
    """
    detections_by_frame: list[Detections] = []
    decisions: list[list[Decision]] = [[] for _ in radiograph.views]
    leftovers: _Leftovers = {}
    for index in range(len(radiograph.display)):
        with timed(timings_ms, "detect"):
            found_by_view = [_find(view[index], cleaner, faint) for view in radiograph.views]
            united = localizer.unite([sure for sure, _ in found_by_view])
        detections_by_frame.append(localizer.joined(united))
        with timed(timings_ms, "second_pass"):
            for view_decisions, view, detections in zip(decisions, radiograph.views, united):
                view_decisions += _decided(index, view, radiograph.views, detections, cleaner)
        leftovers |= {(k, index): _Leftover(faint_boxes) for k, (_, faint_boxes) in enumerate(found_by_view)}
        if cleaner.finder:
            with timed(timings_ms, "second_look"):
                for k, (view_decisions, view) in enumerate(zip(decisions, radiograph.views)):
                    texts = cleaner.finder(view[index])
                    leftovers[k, index] = replace(leftovers[k, index], texts=tuple((text,) for text in texts))
                    explained = verify.explained(view.shape[1:], [d for each in decisions for d in each if d.frame == index])
                    view_decisions += _decided(index, view, radiograph.views, text_finder.findings(texts, explained), cleaner)
    with timed(timings_ms, "second_pass"):
        resolved = _alone(decision_rules.resolve(across_frames.spread_in_views(decisions, radiograph.views)), radiograph.views, leftovers, looked)
        resolved += tuple(across_frames.spread_in_views(cut_strokes.cut_in_views(resolved, radiograph.views), radiograph.views))
        return tuple(detections_by_frame), decision_rules.with_empty_ground(resolved, radiograph.views), leftovers


def _find(frame: np.ndarray, cleaner: Cleaner, faint: bool) -> tuple[Detections, np.ndarray]:
    """The detections in a frame, and (N, 4) source xyxy of all boxes that score at least `FAINT_SCORE`; without `faint` only if the
    detector returns them from the same run."""
    threshold = cleaner.policy.threshold
    with_faint = getattr(cleaner.detector, "with_faint", None)
    if cleaner.reader is None or not (faint or with_faint):
        return cleaner.detector(frame, threshold), np.zeros((0, 4))
    sure, weak = with_faint(frame, FAINT_SCORE, threshold) if with_faint else (cleaner.detector(frame, threshold), cleaner.detector(frame, FAINT_SCORE))
    return sure, np.asarray(weak.xyxy, np.float64)


def _alone(decisions: Sequence[Decision], views: Sequence[np.ndarray], leftovers: _Leftovers, looked: lines_of_print.Looked | None = None) -> tuple[Decision, ...]:
    """`lines_of_print.alone` with all findings in the frames: decisions, boxes below the threshold, and print that was read."""
    others = [(index, box) for (_, index), leftover in leftovers.items() for box in leftover.faint]
    others += [(index, np.array(word.xyxy)) for (_, index), leftover in leftovers.items() for words in leftover.texts for word in words
               if word.confidence >= LEAST_CONFIDENCE and any(map(str.isalnum, word.text))]
    return kept_lines.alone(lines_of_print.alone(decisions, views, others, looked), others)


def _decided(index: int, view: np.ndarray, views: Sequence[np.ndarray], found: Detections, cleaner: Cleaner) -> list[Decision]:
    """Read and decide every box of one frame of one view, whatever its score. Retained ground must be empty of print in all `views`."""
    frame, others = view[index], tuple(other[index] for other in views if other is not view)
    decisions = []
    for xyxy, score, class_id, loose in zip(found.xyxy, found.scores, found.class_ids, found.is_loose):
        label = found.class_names[int(class_id)]
        reading = None if loose else _read_marker(frame, others, xyxy, label, cleaner)
        decisions.append(decision_rules.decide(index, xyxy, float(score), label, reading, cleaner.policy, frame.shape, bool(loose)))
    return kept_lines.decided(decisions, found.xyxy, frame, others, cleaner.policy, cleaner.reader)


def _read_marker(frame: np.ndarray, others: Sequence[np.ndarray], xyxy: np.ndarray, label: str, cleaner: Cleaner) -> Reading | None:
    keep = markers(cleaner.policy.keep)
    return insist(frame, xyxy, keep, cleaner.reader, others, is_laterality=label == LATERALITY, network=cleaner.strokes) if keep else None


def _verified(
    views: Sequence[np.ndarray], decisions: tuple[Decision, ...], cleaner: Cleaner, leftovers: _Leftovers, looked: lines_of_print.Looked
) -> tuple[tuple[Decision, ...], str, tuple[Decision, ...]]:
    """Search every view of every changed frame again, and read around the removed boxes; residual findings are decided like
    first ones, in at most `VERIFY_ROUNDS` rounds.

    Args:
        leftovers: by (view, frame); their texts are replaced by those of the last round.

    Returns:
        Decisions, "" or why the result must not be written, and the findings that remain.
    """
    for round_left in range(VERIFY_ROUNDS, -1, -1):
        removed = redact.removed_mask(views[0].shape, decisions)
        new_decisions: list[list[Decision]] = [[] for _ in views]
        for index in sorted({d.frame for d in decisions}):
            frame_decisions = [d for d in decisions if d.frame == index]
            smoothed_views = [verify.smoothed(view[index], removed[index]) for view in views]
            readings = [_reading_begun(image, frame_decisions, cleaner) for image in smoothed_views]
            found = localizer.unite([verify.residual(cleaner.detector, image, frame_decisions, cleaner.policy) for image in smoothed_views])
            for k, (view_decisions, view, image, detections, reading) in enumerate(zip(new_decisions, views, smoothed_views, found, readings)):
                texts, readable = _read_again(image, frame_decisions, cleaner, reading)
                leftovers[k, index] = replace(leftovers[k, index], texts=texts)
                for found_set in (detections, *readable):
                    view_decisions += verify.labelled(_decided(index, view, views, found_set, cleaner))
        remaining = tuple(itertools.chain(*new_decisions))
        if not remaining or not round_left:
            break
        decisions = decision_rules.resolve([*decisions, *across_frames.spread_in_views(new_decisions, views)])
    decisions = _alone(decisions, views, leftovers, looked)  # once more, with all words that were read
    count = len(remaining)
    return decisions, f"residual findings remain after {VERIFY_ROUNDS} rounds of removal: {count}" if count else "", remaining


def _reading_begun(image: np.ndarray, frame_decisions: Sequence[Decision], cleaner: Cleaner) -> Callable[[], list[tuple[Text, ...]]]:
    """Start to read around a frame's decisions, in threads of `cleaner.beside`; returns a function that waits for the readings.

    Args:
        image: (H, W) uint8, redacted and smoothed.
    """
    if cleaner.reader is None:
        return list
    surroundings = verify.smoothed(image, verify.explained(image.shape, frame_decisions))
    return readable_text.begin(surroundings, np.array([d.xyxy for d in frame_decisions]), cleaner.reader, cleaner.beside)


def _read_again(
    image: np.ndarray, frame_decisions: Sequence[Decision], cleaner: Cleaner, reading: Callable[[], list[tuple[Text, ...]]]
) -> tuple[tuple[tuple[Text, ...], ...], list[Detections]]:
    """The legible text in a frame of the result: all readings, and the detections of certain print outside the decisions.

    Args:
        image: as of `_reading_begun`.  reading: its result.
    """
    texts = reading()
    readable = [readable_text.as_detections([word for words in texts for word in readable_text.clearly(words)], readable_text.LABEL)]
    if cleaner.finder:
        lines = cleaner.finder(image)
        texts += [(line,) for line in lines]
        readable.append(text_finder.findings_again(lines, verify.explained(image.shape, frame_decisions)))
    return tuple(texts), readable


def _header_matches(
    views: Sequence[np.ndarray], decisions: Sequence[Decision], cleaner: Cleaner, leftovers: _Leftovers, telling: Telling
) -> list[list[Decision]]:
    """Removals, by view, of legible text in the result that matches the header: text around decisions, in boxes of low score that were not
    removed, and of the text finder. The file remains in doubt: there may be more."""
    removals: list[list[Decision]] = [[] for _ in views]
    for (k, index), leftover in leftovers.items():
        frame_decisions = [d for d in decisions if d.frame == index]
        explained = verify.explained(views[k].shape[1:], frame_decisions)
        texts = list(leftover.texts)
        if cleaner.reader is not None and len(leftover.faint):
            is_unexplained = np.array([verify.unexplained(explained, box) > verify.UNEXPLAINED_SHARE for box in leftover.faint], bool)
            texts += readable_text.read(verify.smoothed(views[k][index], explained), leftover.faint[is_unexplained], cleaner.reader)
        for words in texts:
            confident = [word for word in words if word.confidence >= LEAST_CONFIDENCE]
            if telltales.tells([word.text for word in confident], telling):
                removals[k].append(readable_text.header_removal(index, confident, cleaner.policy, views[k].shape[1:]))
    return removals
