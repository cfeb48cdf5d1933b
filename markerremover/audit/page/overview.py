"""The part of the page about the whole run: figures, warnings, charts, options. HTML that needs no script."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from ...records import STATUSES
from ...system.wording import verb
from .charts import Bar, Chart, histogram, number, quartiles, ranking, render
from .entries import kind, milliseconds, review_command

SCORE_STEPS = 50  # bins of the scores from 0 to 1; empty bins below the lowest score are not drawn
HEIGHTS = (0, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512, 1024)  # lower edges of the bins, px
TIMES = (0, 50, 100, 150, 200, 300, 400, 500, 700, 1000, 1500, 2000, 3000, 5000, 10_000, 30_000, 60_000)  # lower edges of the bins, ms
MOST = 10  # highest number of bars in a ranking
ACTIONS = (("removed", "remove"), ("kept", "keep"))
IGNORED = 50  # highest number of ignored paths that are listed


def parts(rows: Sequence[dict[str, Any]], summary: dict[str, Any]) -> Iterator[str]:
    """Everything above the list of files."""
    yield render("tiles.html.j2", tiles=_tiles(summary), shares=_shares(summary["counts"]), warnings=_warnings(summary),
                 circumstances=_circumstances(summary), review=review_command(summary))
    yield '<section class="charts" aria-label="Distributions">\n'
    yield from _charts(rows)
    yield "</section>\n"
    yield render("facts.html.j2", facts=_facts(summary))


def _tiles(summary: dict[str, Any]) -> list[tuple[str, str, str, tuple[str, str]]]:
    """(number, its label, CSS class, field of the filter form and its value) of each figure."""
    tiles = [(number(summary["counts"]["inputs"]), "inputs", "", ("status", ""))]
    tiles += [(number(summary["counts"][status]), status, status, ("status", status)) for status in STATUSES]
    boxes = summary.get("boxes", {})
    return tiles + [(number(boxes[name]), f"boxes {name}", action, ("action", action)) for name, action in ACTIONS if name in boxes]


def _shares(counts: dict[str, int]) -> list[tuple[str, float, float]]:
    """(status, left, width) of the segments of one bar, per cent; the tiles give the numbers."""
    x, parts = 0.0, []
    for status in STATUSES:
        wide = 100 * counts[status] / max(1, counts["inputs"])
        parts.append((status, x, wide))
        x += wide
    return parts


def _warnings(summary: dict[str, Any]) -> list[str]:
    lines = []
    if summary.get("released_held"):
        lines.append(f"{number(summary['released_held'])} {verb(summary['released_held'], 'file was', 'files were')} written though something still shows "
                     "in it (--release-held). Check each before sharing it.")
    if summary.get("paths_that_tell"):
        lines.append(f"{number(summary['paths_that_tell'])} {verb(summary['paths_that_tell'], 'output has a path that holds', 'outputs have paths that hold')} a "
                     "name, number or UID of the file's own header.")
    if summary.get("outside_validation"):
        lines.append(f"{number(summary['outside_validation'])} {verb(summary['outside_validation'], 'file is', 'files are')} not what the weights were validated on (--allow-modality).")
    if summary.get("recognizable"):
        lines.append(f"In {number(summary['recognizable'])} {verb(summary['recognizable'], 'file', 'files')} a person may be recognised by the picture itself.")
    sides = summary.get("laterality") or {}
    if sides.get("disagree"):
        lines.append(f"In {number(sides['disagree'])} {verb(sides['disagree'], 'file', 'files')} the burned-in side disagrees with the header.")
    if sides.get("flipped"):
        lines.append(f"{number(sides['flipped'])} frontal {verb(sides['flipped'], 'film', 'films')} may be reversed left to right.")
    if summary.get("by_hand"):
        lines.append("Only boxes drawn by hand were removed; the results were not checked.")
    return lines


def _circumstances(summary: dict[str, Any]) -> str:
    text = "Dry run: no image was written. " if summary["options"].get("dry_run") else ""
    text += f"Inputs {'=' if summary.get('reconciles') else chr(8800)} cleaned + unchanged + held + failed; {len(summary['ignored'])} ignored. "
    if "seconds" in summary:
        text += f"{number(summary['seconds'])} s, {summary['images_per_second']} images/s. "
    return text + (f"{summary['headers']}." if summary.get("headers") else "")


def _charts(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The charts, from one pass over the rows that keeps only numbers."""
    scores, heights = [array("f"), array("f")], [array("l"), array("l")]
    times = array("l")
    box_reasons: Counter[tuple[str, int]] = Counter()
    file_reasons: Counter[str] = Counter()
    for row in rows:
        times.append(milliseconds(row))
        if row["reason"]:
            file_reasons[kind(row)] += 1
        for box in row["boxes"]:
            keeps = int(box["action"] == "keep")
            scores[keeps].append(box["score"])
            heights[keeps].append(box["xyxy"][3] - box["xyxy"][1])
            box_reasons[box["reason"], keeps] += 1
    if box_reasons:
        yield histogram(_scores(scores))
        yield histogram(_edges("Heights of annotations", HEIGHTS, "height", "px", heights, ACTIONS, "boxes"))
    if times:
        yield histogram(_edges("Time per file", TIMES, "ms", "ms", [times], (("files", "plain"),), "files"))
    if box_reasons:
        yield ranking(_why(box_reasons))
    if file_reasons:
        bars = [Bar(reason, (count,), (("reason", f"file:{reason}"),)) for reason, count in file_reasons.most_common()]
        yield ranking(_short("Why files were held or failed", "files", bars, (("files", "held"),)))


def _scores(scores: Sequence[Sequence[float]]) -> Chart:
    counts = [Counter(min(SCORE_STEPS - 1, int(score * SCORE_STEPS + 1e-4)) for score in side) for side in scores]
    first = min(min(side, default=SCORE_STEPS - 1) for side in counts) // 5 * 5
    bars = tuple(
        Bar(f"{at / SCORE_STEPS:.2f} to {(at + 1) / SCORE_STEPS:.2f}", tuple(side[at] for side in counts),
            (("score-from", f"{at / SCORE_STEPS:.2f}"), ("score-to", _below((at + 1) / SCORE_STEPS))))
        for at in range(first, SCORE_STEPS))
    ticks = tuple((at - first, f"{at / SCORE_STEPS:.1f}") for at in range(first, SCORE_STEPS + 1, 5))
    return Chart("Scores of boxes", "score", bars, ACTIONS, _middle([*scores[0], *scores[1]], "{:.2f}", "boxes"), ticks)


def _below(score: float) -> str:
    """The greatest score of the manifest (four decimals) below an edge; 1 itself belongs to the last bar.

    >>> _below(0.5), _below(1.0)
    ('0.4999', '1')
    """
    return "1" if score >= 1 else f"{score - 1e-4:.4f}"


def _edges(
    title: str, edges: Sequence[int], query: str, unit: str, values: Sequence[Sequence[int]], series: tuple[tuple[str, str], ...], counted: str
) -> Chart:
    """A histogram over lower edges, the last bin open; empty bins at both ends are not drawn."""
    counts = [Counter(bisect_right(edges, value) - 1 for value in side) for side in values]
    bins = [at for side in counts for at in side]
    first, last = min(bins, default=0), max(bins, default=0)
    bars = []
    for at in range(first, last + 1):
        low, high = edges[at], edges[at + 1] if at + 1 < len(edges) else None
        query_values = [(f"{query}-from", str(low)), *([(f"{query}-to", str(high - 1))] if high else [])]
        name = f"{number(low)} to {number(high - 1)} {unit}" if high else f"{number(low)} {unit} or more"
        bars.append(Bar(name, tuple(side[at] for side in counts), tuple(query_values)))
    every = 1 if last - first < 10 else 2
    ticks = tuple((at - first, number(edges[at])) for at in range(first, last + 1, every))
    all_values = [value for side in values for value in side]
    return Chart(title, unit, tuple(bars), series, _middle(all_values, "{:,.0f} " + unit, counted), ticks)


def _middle(values: Sequence[float], form: str, counted: str) -> str:
    limits = quartiles(values)
    if limits is None:
        return ""
    low, middle, high = (form.format(value) for value in limits)
    return f"{number(len(values))} {counted}; median {middle}, the middle half from {low} to {high}"


def _why(counts: Counter[tuple[str, int]]) -> Chart:
    """The reasons of boxes.

    Args:
        counts: by reason and whether the box was retained (1) or removed (0).
    """
    reasons = sorted({reason for reason, _ in counts}, key=lambda reason: (-counts[reason, 0] - counts[reason, 1], reason))
    bars = [Bar(reason, (counts[reason, 0], counts[reason, 1]), (("reason", f"box:{reason}"),)) for reason in reasons]
    return _short("Why boxes were removed or kept", "boxes", bars, ACTIONS)


def _short(title: str, counted: str, bars: list[Bar], series: tuple[tuple[str, str], ...]) -> Chart:
    """The `MOST` longest bars; the others are merged into one."""
    rest = bars[MOST:]
    if rest:
        bars = [*bars[:MOST], Bar(f"{len(rest)} other reasons", tuple(sum(column) for column in zip(*(bar.counts for bar in rest))))]
    return Chart(title, counted, tuple(bars), series)


def _facts(summary: dict[str, Any]) -> list[tuple[str, str]]:
    facts = {
        **summary["options"], "weights": summary["weights"]["name"], "weights SHA-256": summary["weights"]["sha256"],
        "backend": summary.get("backend", ""), "markerremover": summary.get("version", ""), **summary.get("versions", {}),
        "ignored": summary["ignored"][:IGNORED],
    }
    return [(name.replace("_", " "), _plain(value)) for name, value in facts.items()]


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return {None: "none", True: "yes", False: "no"}.get(value, str(value)) if value is None or isinstance(value, bool) else str(value)
