"""Meaning of the fields of a run's manifest and summary and of a weights' card, and of the exit codes. Pure data: docs/reference is written from it.

A dotted name is a field of an object, `[]` stands for each item of a list. Tests compare the names with those of real runs.
"""

from __future__ import annotations

#: Fields of a line of manifest.jsonl, as `manifest_files.manifest_row` writes it.
MANIFEST = {
    "relative": "path of the file below OUT, with `/`; with pseudonymised paths it differs from the path of the input (see `paths.jsonl`)",
    "status": "`cleaned`, `unchanged`, `held` or `failed`; only the first two have an output",
    "reason": "reason why it was held or failed, else empty",
    "format": "`DICOM`, `PNG`, `JPEG` or `TIFF`; empty where the file could not be read",
    "shape": "frames, rows, columns and, of colour, channels; empty where the file could not be read",
    "orientation": "Exif orientation (2 to 8) with which the stored pixels are shown upright; absent where it is 1",
    "sha256_in": "SHA-256 of the input file; empty where it could not be read",
    "sha256_out": "SHA-256 of the output file; empty without one",
    "boxes[]": "every box with its decision",
    "boxes[].frame": "frame, counted from 0",
    "boxes[].xyxy": "left, top, right, bottom in pixels of the source, right and bottom exclusive; a removed box with its margin",
    "boxes[].score": "score of the networks, 0 to 1",
    "boxes[].label": "`laterality` or `marker`, as the networks classify it, or the name of the step that found it",
    "boxes[].action": "`keep` or `remove`",
    "boxes[].reason": "reason of the action",
    "boxes[].text": "text read in it, upper case; empty where nothing was read or reading was not tried",
    "boxes[].confidence": "confidence of that reading, 0 to 1",
    "boxes[].rotation_deg": "counter-clockwise rotation that makes the text upright, degrees",
    "boxes[].mirrored": "whether the text is mirrored",
    "boxes[].area_px": "number of removed pixels of a box that is not removed as a whole, as with polygons and masks drawn by hand; else absent",
    "boxes[].style": "with `--style mask` or `fill`: style used for this box, `box`, `mask` or `fill`",
    "boxes[].style_reason": "with `--style mask` or `fill`: reason why it differs from the style of the run",
    "held_for[]": "boxes that led to the `reason` of a held file or to `released_held`, with the fields of `boxes[]`: label `verify`, what was still found "
                  "after the last removal and still shows; label `header`, text that matched the header, blacked out in the picture of the audit",
    "crops[]": "file names of the pictures before and after in the audit's `crops/`, one pair per box, then one per box of `held_for`",
    "full_pictures": "what the audit's `films/` has of the file, for the viewer of the page: `frame`; `scale`, the size as a fraction of the "
                     "source's, 0 where no picture was written; `missing`, why not, else empty. Empty where the file was not read",
    "path_tells": "whether `relative` holds a name, number or UID of the file's own header",
    "released_held": "with `--release-held`: reason why the file would have been held, else empty",
    "notes[]": "changes and omissions that the header profile does not ask for: the element by keyword and tag, and the reason; never its value",
    "timings_ms": "milliseconds per stage",
    "modality": "Modality of the DICOM header, where it is one of DICOM's terms, else empty; absent where the file could not be read",
    "outside_validation": "true where the weights were not validated on such a file; absent otherwise",
    "recognizable": "reason why a person may be recognised by the picture itself, or a remark on a film of the head; absent otherwise",
    "laterality.side": "burned-in side: `L`, `R`, `both` where markers of both sides were read, empty where none was; `laterality` is absent where the "
                       "picture was not searched, or no laterality marker is retained or read",
    "laterality.mirrored": "whether any of these markers is mirrored",
    "laterality.confidence": "confidence of the reading, 0 to 1; of two sides the lesser",
    "laterality.header": "side that the header states: the first of Frame, Image and series Laterality; `L`, `R`, `B` (both), `U` (unpaired) or empty",
    "laterality.agrees": "whether the header agrees with the markers; null where it states no side that they could contradict",
    "laterality.flipped": "whether a frontal film of trunk or head may be reversed left to right: a marker is mirrored, or in the wrong half; null where that is not known",
    "synthetic_pixels": "with `--style mask` or `fill`: number of synthesised pixels",
    "weights_sha256": "SHA-256 of localizer, rescorer, text detector and stroke network, joined by `+`",
    "version": "of markerremover",
    "settings_sha256": "hash of all settings that decide an output's bytes; `--resume` takes over only rows with the same hash",
    "review": "after a review of the file: reviewer, time, verdict, corrections, and the boxes before the review",
}

#: Fields of summary.json, which `batch.remove` returns.
SUMMARY = {
    "counts.inputs": "input files of the run",
    "counts.cleaned": "outputs in which something was removed",
    "counts.unchanged": "outputs in which no pixels had to be removed; metadata was cleaned as in others",
    "counts.held": "files that were read but not written, because the result could not be trusted",
    "counts.failed": "files that could not be read, decoded or written",
    "reconciles": "whether inputs = cleaned + unchanged + held + failed",
    "boxes.kept": "boxes with a laterality marker that was retained",
    "boxes.removed": "boxes that were removed",
    "released_held": "files written although they would have been held (`--release-held`, or a decision in a review)",
    "noted": "files with changes that the header profile does not ask for (`notes` of the manifest)",
    "modalities": "number of files by Modality",
    "outside_validation": "files that are not what the weights were validated on, held or not",
    "recognizable": "files in which a person may be recognised by the picture itself, or films of the head",
    "laterality.read": "files with a burned-in side",
    "laterality.disagree": "files whose burned-in side disagrees with their header",
    "laterality.flipped": "frontal films that may be reversed left to right",
    "laterality.disagreeing": "paths below OUT of the files that disagree, without those that tell who the patient is",
    "results_read": "whether an OCR engine checked the results",
    "ignored": "paths left out by `--ignore` and the defaults",
    "options": "options of the run, defaults included",
    "site": "SHA-256 of the site profile, and `laterality_markers`: meaning of each text that it retains; null without a profile",
    "weights.name": "name in the weights' card",
    "weights.sha256": "as in the manifest",
    "backend": "inference backend of the localizer",
    "headers": "treatment of DICOM headers, in words",
    "paths_that_tell": "outputs whose path holds a name, number or UID of their own header",
    "schema": "version of the keys here and in the manifest",
    "version": "of markerremover",
    "versions": "versions of Python and of the libraries that decide results",
    "by_hand": "whether all boxes were drawn by hand (`--boxes`, `--boxes-template`)",
    "audit": "the audit folder",
    "unaccounted": "files below OUT that no row of this run released",
    "resumed": "rows taken over from an earlier run",
    "seconds": "wall-clock time",
    "images_per_second": "files of this run per second of that time",
    "renamed": "number of pseudonymised paths",
}

#: Fields of the JSON card beside a model.
CARD = {
    "name": "name of the weights",
    "file": "file name of the model",
    "sha256": "SHA-256 of the model; a model with another one is refused (OpenVINO: over the `.xml` followed by the `.bin`)",
    "architecture": "architecture of the localizer",
    "classes": "classes of the localizer, in the order of its outputs",
    "image_size": "longer side to which whole images are scaled, network pixels",
    "threshold": "lowest score of a box that counts",
    "tiling": "further passes over large images: `above`: their smallest longer side, source pixels; `scales`: longer sides of these passes, network pixels; "
              "over small ones: `below`: the longer side below which there is one, source pixels; `enlarged`: its longer side, network pixels; "
              "`overlap`: overlap of tiles, for networks that take squares only",
    "checkpoint": "PyTorch checkpoint beside it, which `finetune` starts from",
    "data": "training data",
    "recipe": "training recipe",
    "seeds": "seeds of the training",
    "written": "date of the card",
    "licence": "licence of the weights",
    "metrics": "measurements at the end of training",
    "operating_point": "how the threshold was chosen, and the rates at it",
    "operating_note": "remark on the operating point",
    "curve": "recall and precision by threshold",
    "calibration": "slope and offset that turn a class's scores into shares of true boxes",
    "strokes": "file and SHA-256 of the stroke network, which tells a letter's strokes where no threshold does",
    "beside_marker": "lowest score of a box beside a retained laterality marker that counts",
    "rescorer": "file, SHA-256 and weights of the rescorer, which scores each box at full resolution",
    "text_detector": "file, SHA-256, input size, source and licence of the text detector, the second source of boxes",
    "known_misses": "known misses, in words",
}

EXIT_CODES = {
    0: "done; of `remove` and `apply`: every input ended cleaned or unchanged",
    1: "`remove`, `demo`: something was held or failed, or was written although it would have been held (`--release-held`); `apply`: the "
       "same for the whole run, or a result was removed or left as it was; `export`: the result does not find what its source finds, "
       "and is discarded; any: an error during the work",
    2: "usage error: invalid options, missing or clashing folders, missing weights or engines; nothing was done",
    130: "interrupted; `remove --resume` carries on",
}
