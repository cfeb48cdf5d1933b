"""Write the tables of the pages of `PAGES` from eval/results, or tell where they disagree.

usage: python eval/tables.py [--check]

A table stands between `<!-- table NAME -->` and `<!-- end of table -->`; NAME is one of `TABLES`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markerremover.evaluation.box_measures import PUBLISHED, PUBLISHED_LOCALIZER
from markerremover.evaluation.metrics import in_words, rate

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/accuracy.md", "docs/comparison.md", "docs/backends.md", "docs/scale.md", "docs/styles.md", "docs/how-to/keep-lists.md", "eval/BENCHMARK.md")
HEAD = ("burned-in annotations removed", "images de-identified", "laterality markers retained", "false-positive regions", "anatomy removed")
WORKERS, NODES, CORES, PRICE = 2, 10, 32, 0.04  # of the arithmetic in docs/scale.md; the price is an assumption, in any currency
SAID = {"all": "all removed", "laterality markers": "laterality markers retained", "words": "single characters retained"}
PLACE = re.compile(r"(<!-- table ([a-z-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def result(name: str) -> dict[str, Any]:
    """A file of eval/results."""
    return json.loads((ROOT / "eval" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def head(first: str, *more: str) -> list[str]:
    """The two lines that begin a table of rates."""
    cells = (first, *HEAD, *more)
    return [f"| {' | '.join(cells)} |", "|" + "---|" * len(cells)]


def line(name: str, found: dict[str, Any], *more: str) -> str:
    """A row of rates; anatomy removed is recorded in per mille of an image's pixels (`anatomy_removed`) and shown in %."""
    cells = [in_words(found[rate]) for rate in ("recall", "deid", "retention", "false_regions")]
    return "| " + " | ".join((name, *cells, f"{found['anatomy_removed']['value'] / 10:.3f} %", *more)) + " |"


def real() -> list[str]:
    """The shipped weights on real radiographs."""
    return head("images") + [line(result(name)["name"], result(name)) for name in ("val", "hannover", "limbs", "actualmed")]


def left_out() -> list[str]:
    """Weights that never saw a source, on all its films; and on those beside 20 that were labelled, before and after fine-tuning on the 20."""
    return head("images and weights") + [line(result(name)["name"], result(name)) for name in ("left-out-limbs", "left-out", "left-out-before", "left-out-after")]


def published() -> list[str]:
    """The measures of Khosravi et al. 2023, their own figures beside ours on other images."""
    names = {"deidentification_accuracy": "de-identification accuracy", "false_positive_rate": "false-positive boxes", "retention_accuracy": "retention accuracy"}
    ours = result("val"), result("actualmed")
    where = [f"{site} (chest; {d['images'] - d['images_without_annotations']} of {d['images']} images have annotations to remove)"
             for site, d in zip(("ours: home site", "foreign site"), ours)]
    lines = ["| | Khosravi et al. 2023: home site (pelvis) | foreign site (chest) | foreign site after 20 images | " + " | ".join(where) + " |", "|---|---|---|---|---|---|"]
    for name, said in names.items():
        cells = [in_words(rate(k, n)) for k, n in PUBLISHED[name]]
        cells += [in_words(document["published_measures"][name]) for document in ours]
        lines.append(f"| {said} | {' | '.join(cells)} |")
    found = [document["localizer"] for document in ours]
    for name, said in (("auprc", "AUPRC, all annotations as one class"), ("ap50", "mAP-50, all annotations as one class")):
        cells = [f"{PUBLISHED_LOCALIZER[name]:.2f}", "", "", *(f"{d['any annotation'][name]:.3f} ({d['any annotation']['n']} annotations)" for d in found)]
        lines.append(f"| {said} | {' | '.join(cells)} |")
    cells = ["", "", "", *(f"{d['map50']:.3f} ({d['marker']['n']} to remove, {d['laterality']['n']} laterality markers)" for d in found)]
    return [*lines, f"| mAP-50, mean of both classes | {' | '.join(cells)} |"]


def letters() -> list[str]:
    """Drawn letters that are no laterality marker, and drawn ones that are: how many were retained."""
    found = result("letters-retained")
    said = {
        "alone": "one character, A–Z and 0–9 without L and R", "beside a name": "the initial L or R of a name",
        "beside a name on its own ground": "the same with a halo, a shadow, on pasted boxes, in cells, or of joined writing",
        "whole pictures": "both, on whole drawn radiographs from end to end", "signs alone": "an isolated L or R, to be retained",
        "signs on a plate": "an L or R with initials under it, to be retained",
    }
    lines = ["| drawn letters | retained |", "|---|---|"]
    lines += [f"| {words} | {in_words(found['by_kind'][kind])} |" for kind, words in said.items()]
    return [*lines, f"| **letters retained that are no laterality marker** | {in_words(found['letters_retained_that_are_no_laterality_marker'])} |"]


def keep_groups() -> list[str]:
    """Drawn lines of phrases, and of phrases with something else: how many were retained."""
    found = result("keep-groups")
    kinds = {kind: rates for kind, rates in found["by_kind"].items() if ", " in kind}
    names = list(dict.fromkeys(kind.split(", ")[0] for kind in kinds))
    lines = ["| drawn lines | clean print retained | hard print retained | lost of both |", "|---|---|---|---|"]
    for name in names:
        clean, hard = (kinds[f"{name}, {how}"] for how in ("clean", "hard"))
        lost = rate(clean["n"] + hard["n"] - clean["k"] - hard["k"], clean["n"] + hard["n"])
        lines.append(f"| `{name}`: a phrase alone, to be retained | {in_words(clean)} | {in_words(hard)} | {in_words(lost)} |")
    for kind, words in (("mixed", "a phrase with a name, initials, a date, a number or a code"), ("look-alikes", "words that resemble a phrase")):
        lines.append(f"| {words}: wrongly retained | {in_words(found['by_kind'][kind])} | | |")
    return lines


def tools(document: dict[str, Any], *, brief: bool = False) -> list[str]:
    """What `side_by_side.side_by_side` returned; if `brief` of each tool only the variant that retains laterality markers, where it has one."""
    lines, rows = head("tool", *(() if brief else ("seconds an image (processor)",))), document["tools"]
    for row in rows:
        if brief and row["variant"] != "laterality markers" and any(r["name"] == row["name"] and r["variant"] == "laterality markers" for r in rows):
            continue
        ours, seconds = row["name"].startswith("markerremover"), row["seconds_per_image"]
        name = row["name"] if ours or brief else f"{row['name']}: {SAID[row['variant']]}"
        spent = "not measured" if seconds["cpu"] is None else f"{seconds['wall']:.2f} ({seconds['cpu']:.2f})"
        lines.append(line(name, row, *(() if brief else (spent,))))
    return lines


def synthetic(document: dict[str, Any]) -> list[str]:
    """What `benchmark.run` returned."""
    lines = head("images")
    for part, by_how in document["cells"].items():
        lines += [line(f"{part}, {how}", found) for how, found in by_how.items()]
    lines += [line(f"all {how}", found) for how, found in document["by_difficulty"].items()] + [line("all", document["all"])]
    site = document.get("new_site", {})
    return lines + [line(f"new site, {when} fine-tuning", site[when]) for when in ("before", "after") if site]


def pace() -> list[str]:
    """Images a second on two cores, and what that makes for ten thousand."""
    lines = [f"| input | images a second, {WORKERS} workers on 2 cores | 10,000 radiographs |", "|---|---|---|"]
    for name, found in result("pipeline")["folders"].items():
        images_per_second = found["command"][f"{WORKERS} workers"]["images_per_second"]
        lines.append(f"| {name} | {images_per_second:.1f} | about {1e4 / images_per_second / 60:.0f} minutes |")
    return lines


def backends() -> list[str]:
    """Pairs of backends on the same radiographs."""
    document = result("backends")
    lines = ["| one | other | same decisions | same pixels | decisions paired | differences | largest difference of scores |", "|---|---|---|---|---|---|---|"]
    for pair in document["pairs"]:
        first, second = pair["backends"]
        same, alike = (f"{pair[key]} of {pair['images']}" for key in ("images_with_the_same_decisions", "images_identical_in_every_pixel"))
        lines.append(f"| {first} | {second} | {same} | {alike} | {pair['pairs_of_decisions']} | {len(pair['differences'])} | "
                     f"{pair['max_score_difference']:.5f} |")
    return lines


def stages() -> list[str]:
    """Where the time of one process goes."""
    names = ("read", "detect", "second_pass", "verify", "redact", "crops", "write")
    lines = [f"| input | {' | '.join(name.replace('_', ' ') for name in names)} | whole | least possible | ratio | in a run | ratio |", "|" + "---|" * (len(names) + 6)]
    document = result("pipeline")
    for name, found in {**document["folders"], **{f"drawn, hard: {kind}": row for kind, row in document["kinds"].items()}}.items():
        cells = [f"{found['stages_ms'].get(stage, 0):.0f}" for stage in names]
        lines.append(f"| {name} | {' | '.join(cells)} | {found['whole_ms']:.0f} | {found['floor_ms']:.0f} | {found['ratio']:.1f} | {found['run_ms']:.0f} | {found['run_ratio']:.1f} |")
    return lines


def memory() -> list[str]:
    """Resident memory as the files go by, every fourth point of the curve."""
    lines = ["| files done | the command, MB | its largest worker, MB |", "|---|---|---|"]
    document = result("memory")
    for name, step in (("long", 4), ("six_megapixels", 1)):
        for point in document[name]["curve"][step - 1 :: step]:
            files = f"{point['files']} of {document['files']}" if name == "long" else f"6 megapixels: {point['files']}"
            lines.append(f"| {files} | {point['command_mb']} | {point['worker_mb']} |")
    return lines


def cost() -> list[str]:
    """Core hours and money for a million radiographs, from images a second with two workers on two cores."""
    document = result("pipeline")
    lines = [f"| input | images a second, {WORKERS} workers on 2 cores | core hours a million | on {NODES} machines of {CORES} cores | "
             f"at {PRICE} a core hour | a hundred million |", "|" + "---|" * 6]
    for name, found in document["folders"].items():
        pace = found["command"][f"{WORKERS} workers"]["images_per_second"]
        hours = 1e6 / pace * 2 / 3600
        lines.append(f"| {name} | {pace:.2f} | {hours:,.0f} | {hours / NODES / CORES:.1f} h | {hours * PRICE:,.0f} | {hours * PRICE * 100:,.0f}, "
                     f"{hours * 100 / NODES / CORES / 24:.1f} days |")
    return lines


def fills() -> list[str]:
    """Filled pixels, and the same pixels blacked out, against the same drawn films without annotations; and what is left of the print."""
    document = result("fills")
    quality, styles = document["fill_quality"], document["styles"]
    nothing = {"k": 0, "n": styles["fill"]["leaks"]["n"]}
    lines = [f"| {document['images']} drawn films | filled | blacked out |", "|---|---|---|"]
    for name, said in (("psnr_db", "PSNR in the removed areas, dB"), ("ssim", "SSIM in them"), ("seam_ssim", "SSIM in the seam around them, 5 pixels")):
        lines.append(f"| {said} | {quality['filled'][name]:.3g} | {quality['black'][name]:.3g} |")
    for name, said in (("recall", "annotations removed"), ("readable", "annotations whose text OCR still reads"), ("leaks", "annotations of which something leaks")):
        lines.append(f"| {said} | {in_words(styles['fill'][name])} | {in_words(styles['box'][name])} |")
    alike = styles["fill"].get("filled_alike", rate(**nothing))
    return [*lines, f"| annotations filled with about their own brightness | {in_words(alike)} | – |"]


def fill_attack() -> list[str]:
    """How many of six digits a network says rightly that was trained on what was left and filled."""
    document = result("fill-attack")
    said = {"fill": "`fill`", "mask": "`mask`", "box": "`box`", "leaky": "control: a fill with 3 % of what was there"}
    found = {(way["removed"], way["stored"], way["digits"]): way for way in document["ways"]}
    lines = ["| what the network sees | inner digits, stored without loss | inner digits, stored as JPEG | first and last digit, without loss | first and last, JPEG |",
             "|---|---|---|---|---|"]
    for name, words in said.items():
        cells = [found.get((name, stored, digits)) for digits in ("inner", "outer") for stored in ("lossless", "JPEG")]
        if any(cells):
            lines.append(f"| {words} | " + " | ".join(
                "–" if c is None else f"{100 * c['value']:.1f} % ({c['k']}/{c['n']}; {100 * c['low99']:.1f}–{100 * c['high99']:.1f})" for c in cells) + " |")
    return lines


TABLES: dict[str, Callable[[], list[str]]] = {
    "backends": backends, "pace": pace, "stages": stages, "memory": memory, "cost": cost, "letters": letters, "fills": fills, "fill-attack": fill_attack, "keep-groups": keep_groups, "real": real, "left-out": left_out, "published": published, "benchmark": lambda: synthetic(result("benchmark")),
    "peers-val": lambda: tools(result("peers-val")), "peers-val-brief": lambda: tools(result("peers-val"), brief=True),
    "peers-benchmark": lambda: tools(result("peers-benchmark")), "peers-benchmark-brief": lambda: tools(result("peers-benchmark"), brief=True),
}


def filled(text: str) -> str:
    """A page with its tables as the results have them.

    Raises:
        KeyError: a table has a name that is not in `TABLES`.
    """
    return PLACE.sub(lambda place: place[1] + "\n".join(TABLES[place[2]]()) + "\n" + place[3], text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a page disagrees with the results")
    args = parser.parse_args()
    wrong = 0
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        new = filled(text)
        if new != text and args.check:
            print(f"{page}: its tables are not those of eval/results; run python eval/tables.py", file=sys.stderr)
            wrong = 1
        elif new != text:
            (ROOT / page).write_text(new, encoding="utf-8")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
