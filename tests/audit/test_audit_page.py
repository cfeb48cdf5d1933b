"""The audit page as it is written: its data, its figures, and that nothing in a name or a reading can be more than text."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import stat
import tracemalloc
from html.parser import HTMLParser
from pathlib import Path

import audits
import pytest
from test_manifest_files import OUTCOME, RUN

from markerremover.audit import manifest_files, report_pages
from markerremover.audit.page import charts, entries, overview
from markerremover.records import Outcome

SUMMARY = {"counts": manifest_files.counts([]), "boxes": {}, "options": {}, "ignored": [], "weights": {"name": "", "sha256": ""}}


def written(audit: Path, rows, summary=SUMMARY) -> tuple[str, dict]:
    """The page and its data."""
    manifest_files.write_page(audit, rows, summary)
    page = (audit / manifest_files.PAGE).read_text(encoding="utf-8")
    start = page.index('id="data">') + len('id="data">')
    return page, json.loads(page[start : page.index("</script>", start)])


def plain(data: dict, entry: list) -> dict:
    """A row as the page understands it, boxes too."""
    row = dict(zip(data["entry"], entry))
    row |= {name: data["words"][row[name]] for name in ("status", "format", "kind")}
    row["boxes"] = [dict(zip(data["box"], box + [0] * (len(data["box"]) - len(box)))) for box in row["boxes"]]
    for box in row["boxes"]:
        box |= {name: data["words"][box[name]] for name in ("label", "action", "reason", "style", "style_reason")}
    return row


def test_the_page_holds_the_rows_sorted_and_only_pictures_that_exist(tmp_path):
    (tmp_path / "crops").mkdir()
    for name in ("x", "y"):
        (tmp_path / "crops" / name).touch()
    rows = [manifest_files.manifest_row(Outcome("z", "failed", "z: bad"), RUN), manifest_files.manifest_row(OUTCOME, RUN)]
    _, data = written(tmp_path, rows)
    first, second = (plain(data, entry) for entry in data["rows"])
    assert (first["relative"], second["relative"], second["reason"], second["kind"]) == ("a/b.png", "z", "z: bad", "bad")
    assert [box["crops"] for box in first["boxes"]] == [["x", "y"], 0] and first["thumbs"] == 0
    assert stat.S_IMODE((tmp_path / manifest_files.PAGE).stat().st_mode) == 0o600


def test_every_box_is_there_with_all_that_the_manifest_says_of_it(tmp_path):
    rows = sorted(audits.rows(60), key=lambda row: row["relative"])
    rows[0]["boxes"][0] |= {"style": "mask", "style_reason": "told to", "text": "<b>", "rotation_deg": -90.5, "mirrored": True, "confidence": 0.1234}
    _, data = written(tmp_path, iter(rows))
    assert len(data["rows"]) == len(rows)
    for entry, row in zip(data["rows"], rows):
        found = plain(data, entry)
        assert {key: found[key] for key in ("relative", "status", "format", "shape", "reason")} == {
            key: row[key] for key in ("relative", "status", "format", "shape", "reason")}
        assert len(found["boxes"]) == len(row["boxes"])
        for box, told in zip(found["boxes"], row["boxes"]):
            assert [box["x1"], box["y1"], box["x2"], box["y2"]] == told["xyxy"]
            assert (box["score"] / 1e4, box["confidence"] / 1e4) == pytest.approx((told["score"], told["confidence"]), abs=1e-9)
            same = ("frame", "label", "action", "reason", "text", "rotation_deg", "mirrored", "style", "style_reason")
            assert [box[key] or 0 for key in same] == [told.get(key) or 0 for key in same]


def test_a_review_and_a_release_in_spite_of_doubt_are_told_and_nothing_else_of_the_row(tmp_path):
    row = next(audits.rows(1)) | {"released_held": "2 boxes remain", "sha256_in": "SECRET", "settings_sha256": "SECRET"}
    row["review"] = {"who": "Dr. R", "when": "2026-01-02", "verdict": "release", "digest": "SECRET", "marks": ["SECRET"], "boxes_before": []}
    page, data = written(tmp_path, [row])
    assert plain(data, data["rows"][0])["more"] == {"released_held": "2 boxes remain", "who": "Dr. R", "when": "2026-01-02", "verdict": "release"}
    assert "SECRET" not in page


def elements(page: str) -> list[tuple[str, list[str]]]:
    """The elements of a page as a browser sees them, and the names of their attributes."""
    found: list[tuple[str, list[str]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            found.append((tag, [name for name, _ in attributes]))

    Reader().feed(page)
    return found


HOSTILE = ["</script><script>alert(1)</script>&amp;<!--", "\" onload=alert(1) '", "\u202egnp.x\x1b[31m", "\udce9\udcff", "]]>\u2028\u2029"]


@pytest.mark.parametrize("name", HOSTILE, ids=["markup", "quotes", "controls", "surrogates", "separators"])
def test_nothing_in_a_name_is_more_than_text(tmp_path, name):
    row = manifest_files.manifest_row(Outcome(name, "failed", "why " + name), RUN)
    row["boxes"] = [next(audits.rows(1))["boxes"][0] | {"reason": name, "label": name, "text": name}]
    told = SUMMARY | {"options": {name: [name]}, "ignored": [name], "headers": name, "weights": {"name": name, "sha256": name}}
    page, data = written(tmp_path, [row], told)
    found = plain(data, data["rows"][0])
    assert found["relative"] == name and found["boxes"][0]["text"] == found["boxes"][0]["label"] == name
    clean, _ = written(tmp_path, [], SUMMARY)
    assert not set(page) & set("\x1b\u202e\u2028\u2029\udcff\udce9")
    assert {tag for tag, _ in elements(page)} <= {tag for tag, _ in elements(clean)} | set("figure figcaption svg g rect path text title ol li b "
        "p details summary table thead tbody tr th td dl dt dd span".split())
    assert sum(tag == "script" for tag, _ in elements(page)) == 2 and not any(key.startswith("on") for _, keys in elements(page) for key in keys)


def test_only_the_style_and_script_of_the_page_itself_may_act(tmp_path):
    page, _ = written(tmp_path, audits.rows(30))
    policy = html.unescape(re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1])
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    for rule, pattern in (("style-src", r"<style>(.*?)</style>"), ("script-src", r"<script>(.*?)</script>")):
        [text] = re.findall(pattern, page, re.S)
        assert rules[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    assert rules["default-src"] == "'none'" and rules["img-src"] == "'self' file:" and "unsafe" not in policy
    assert not re.search(r"\son\w+=|\sstyle=", page.split("<script")[0]), "the policy would refuse it"


def test_the_bars_count_every_box_and_every_file_once(tmp_path):
    rows = list(audits.rows(500))
    page, _ = written(tmp_path, rows, audits.summary(rows, tmp_path))
    removed = [box for row in rows for box in row["boxes"] if box["action"] == "remove"]
    kept = [box for row in rows for box in row["boxes"] if box["action"] == "keep"]
    for title in ("Scores of boxes", "Heights of annotations", "Time per file"):
        [figure] = re.findall(rf"<figure class=\"chart\"><figcaption><b>{title}</b>.*?</figure>", page, re.S)
        sums = [sum(int(n.replace(",", "")) for n in column) for column in zip(*(re.findall(r"<td>([\d,]+)</td>", line)
            for line in re.findall(r"<tr><th scope=\"row\">.*?</tr>", figure)))]
        assert sums == ([len(rows)] if title == "Time per file" else [len(removed), len(kept)]), title
    assert f">{len(removed):,}</b>boxes removed" in page and ">435</b>cleaned" in page
    assert re.search(r"boxes remain after # rounds of removal</span><b>10</b>", page)


def test_a_bar_leads_to_the_boxes_that_it_counts():
    chart = overview._edges("Heights", (0, 8, 12), "height", "px", [[3, 8, 11], [12, 900]], overview.ACTIONS, "boxes")
    assert [(bar.query, bar.counts) for bar in chart.bars] == [
        ((("height-from", "0"), ("height-to", "7")), (1, 0)), ((("height-from", "8"), ("height-to", "11")), (2, 0)), ((("height-from", "12"),), (0, 2))]
    chart = overview._scores([[0.9, 0.9199, 1.0], [0.92]])
    assert [(bar.query, bar.counts) for bar in chart.bars if bar.total] == [
        ((("score-from", "0.90"), ("score-to", "0.9199")), (2, 0)), ((("score-from", "0.92"), ("score-to", "0.9399")), (0, 1)),
        ((("score-from", "0.98"), ("score-to", "1")), (1, 0))]


def test_a_run_without_files_or_boxes_has_a_page(tmp_path):
    page, data = written(tmp_path, [])
    assert data["rows"] == [] and "<figure" not in page
    page, _ = written(tmp_path, [manifest_files.manifest_row(Outcome("a", "unchanged", ""), RUN)])
    assert "Time per file" in page and "Scores of boxes" not in page


def test_without_a_script_summary_and_charts_are_there_and_say_where_the_rest_is(tmp_path):
    rows = list(audits.rows(100))
    page, _ = written(tmp_path, rows, audits.summary(rows, tmp_path) | {"released_held": 3})
    before = page.split("<form")[0]
    assert "<noscript>" in page and "manifest.jsonl holds the same facts" in before
    assert ">100</b>inputs" in before and "3 files were written though something still shows" in before and "<svg" in before


def test_the_page_of_many_rows_takes_little_memory_besides_the_rows(tmp_path):
    rows = list(audits.rows(3000))
    (tmp_path / "crops").mkdir()
    tracemalloc.start()
    manifest_files.write_page(tmp_path, rows, SUMMARY)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = (tmp_path / manifest_files.PAGE).stat().st_size
    assert size > 500_000 and peak < 2_000_000, (size, peak)


def test_quartiles_are_values_that_occur():
    assert charts.quartiles([]) is None and charts.quartiles([7]) == (7, 7, 7) and charts.quartiles([4, 1, 3, 2, 5]) == (2, 3, 4)
    assert entries.kind({"relative": "a/1.png", "reason": "12 boxes, 3.5 px"}) == "# boxes, # px"


def test_what_the_template_needs_and_is_not_given_is_an_error(monkeypatch):
    import jinja2.meta

    templates = report_pages.environment("markerremover.audit.page")
    template, (source, *_) = templates.get_template("page.html.j2"), templates.loader.get_source(templates, "page.html.j2")
    names = jinja2.meta.find_undeclared_variables(templates.parse(source))
    assert names == {"policy", "style", "script", "overview", "data"}
    with pytest.raises(jinja2.UndefinedError):
        "".join(template.generate(policy="", style="", script="", overview=()))
