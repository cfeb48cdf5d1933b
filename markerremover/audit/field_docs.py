"""What the fields of a run's manifest and summary, of a weights' card and the exit codes mean. Pure data: docs/reference is written from it.

A dotted name is a field of an object, `[]` one of each item of a list. Tests compare the names with those of real runs.
"""

from __future__ import annotations

#: Of a line of manifest.jsonl: what `report.manifest_row` writes.
MANIFEST = {
    "relative": "path of the file below OUT, with `/`; with pseudonyms not that below the input (see `paths.jsonl`)",
    "status": "`cleaned`, `unchanged`, `held` or `failed`; only the first two have an output",
    "reason": "why it was held or failed, else empty",
    "format": "`DICOM`, `PNG`, `JPEG` or `TIFF`; empty where the file could not be read",
    "shape": "frames, rows, columns and, of colour, channels; empty where the file could not be read",
    "orientation": "where the pixels are stored turned: how to turn them to be shown, 2 to 8 of Exif",
    "sha256_in": "SHA-256 of the input file; empty where it could not be read",
    "sha256_out": "SHA-256 of the output file; empty without one",
    "boxes[]": "every place that was found, with what became of it",
    "boxes[].frame": "frame, from 0",
    "boxes[].xyxy": "left, top, right, bottom in pixels of the source, right and bottom exclusive; a removed box with its margin",
    "boxes[].score": "score of the networks, 0 to 1",
    "boxes[].label": "`laterality` or `marker`, as the networks take it, or the name of the look that found it",
    "boxes[].action": "`keep` or `remove`",
    "boxes[].reason": "why",
    "boxes[].text": "what was read in it, upper case; empty where nothing was, or where it was not read",
    "boxes[].confidence": "of that reading, 0 to 1",
    "boxes[].rotation_deg": "counter-clockwise turn that made the sign upright, degrees",
    "boxes[].mirrored": "whether the sign had to be flipped to be read",
    "boxes[].style": "with `--style mask` or `fill`: what was done, `box`, `mask` or `fill`",
    "boxes[].style_reason": "with `--style mask` or `fill`: why it is not the style asked for",
    "crops[]": "names of the pictures before and after in the audit's `crops/`, one pair a box",
    "path_tells": "whether `relative` holds a name, number or UID of the file's own header",
    "released_held": "with `--release-held`: the doubt in spite of which the file was written, else empty",
    "notes[]": "what of the file was changed or left out for another reason than the profile of headers: the element by keyword and tag, and why; never its value",
    "timings_ms": "stage and its milliseconds",
    "synthetic_pixels": "with `--style mask` or `fill`: how many pixels were made up",
    "weights_sha256": "of localizer and second network, joined by `+`",
    "version": "of markerremover",
    "settings_sha256": "hash of all that decides an output's bytes apart from input, weights and version; `--resume` takes over rows of the same one only",
    "review": "where people spoke of the file: who, when, verdict, marks, and the boxes before",
}

#: Of summary.json: what `batch.remove` returns.
SUMMARY = {
    "counts.inputs": "files that the run had to answer for",
    "counts.cleaned": "outputs in which something was removed",
    "counts.unchanged": "outputs in which nothing had to go; metadata was cleaned all the same",
    "counts.held": "files that were understood but not written, because the result could not be trusted",
    "counts.failed": "files that could not be read, decoded or written",
    "reconciles": "whether inputs = cleaned + unchanged + held + failed",
    "boxes.kept": "boxes with a laterality marker that was retained",
    "boxes.removed": "boxes that were removed",
    "released_held": "files written in spite of doubt (`--release-held`, or a person in a review)",
    "noted": "files of which something was changed or left out for another reason than the profile of headers (`notes` of the manifest)",
    "results_read": "whether an OCR engine read the results",
    "ignored": "paths left out by `--ignore` and the defaults",
    "options": "what the run was told, defaults included",
    "site": "SHA-256 of the site profile, and `laterality_markers`: what each text that it retains means; null without one",
    "weights.name": "of the weights' card",
    "weights.sha256": "as in the manifest",
    "backend": "what ran the localizer",
    "headers": "what was done to DICOM headers, in words",
    "paths_that_tell": "outputs whose path holds a name, number or UID of their own header",
    "schema": "of the keys here and in the manifest",
    "version": "of markerremover",
    "versions": "of Python and the libraries that decide results",
    "by_hand": "whether boxes came from people alone (`--boxes`)",
    "audit": "the audit folder",
    "unaccounted": "files below OUT that no row of this run released",
    "resumed": "rows taken over from an earlier run",
    "seconds": "wall-clock time",
    "images_per_second": "files of this run by that time",
    "renamed": "paths that got pseudonyms",
}

#: Of the JSON card beside a model.
CARD = {
    "name": "of the weights",
    "file": "of the model",
    "sha256": "of the model; a model with another one is refused (OpenVINO: over the `.xml` followed by the `.bin`)",
    "architecture": "of the localizer",
    "classes": "what the localizer tells apart, in the order of its outputs",
    "image_size": "longer side at which whole images are looked at, network pixels",
    "threshold": "score from which a box counts",
    "tiling": "`above`: longer side, in source pixels, from which images are looked at closer, too; `scales`: their longer sides there, network pixels; `overlap`: of the tiles they are seen in by networks that take squares only",
    "checkpoint": "PyTorch checkpoint beside it, which `finetune` starts from",
    "data": "what it was trained on",
    "recipe": "how",
    "seeds": "of training",
    "written": "date",
    "licence": "of the weights",
    "metrics": "what was measured when it was trained",
    "operating_point": "how the threshold was chosen, and rates there",
    "operating_note": "a remark on that",
    "curve": "recall and precision by threshold",
    "calibration": "slope and offset that turn a class's scores into shares of true boxes",
    "beside_marker": "score from which a box beside a retained laterality marker counts",
    "rescorer": "file, SHA-256 and weights of the second network, which looks at each box closer",
    "known_misses": "what it misses, in words",
}

EXIT_CODES = {
    0: "done; of `remove` and `apply`: every input ended cleaned or unchanged",
    1: "`remove`, `demo`: something was held or failed, or was written in spite of doubt (`--release-held`); `apply`: the same of the whole run, or a "
       "result was taken away or left as it was; `export`: the result does not find what its source finds, and is not kept; any: an error while at work",
    2: "wrong use: options, missing or clashing folders, weights or engines missing; nothing was done",
    130: "interrupted; `remove --resume` carries on",
}
