"""The result of a check as text for an ethics board or a data protection officer."""

from __future__ import annotations

import datetime
from collections import Counter

from .findings import KINDS, Report


def statement(report: Report, version: str, day: datetime.date) -> str:
    """Markdown: what was compared, what was found, and what the check does not say.

    Args:
        version: of the program.  day: of the check.
    """
    count = Counter(report.counts)
    if report.passed:
        found = (
            f"Every one of the {count['inputs']} inputs has one row in the manifest, and every one of the {count['outputs']} outputs one input. All "
            f"{count['pixels compared']} stored pixels outside the removed areas are as they were in the input, and all {count['pixels removed']} removed pixels "
            "have another content. Size, depth, number of frames and kind of every picture are those of its input."
        )
        if count["headers searched"]:
            found += f" No identifier of the input's header was found in the {count['headers searched']} DICOM results, in their elements, pixels or paths."
        if count["JPEG files encoded again"]:
            found += f" {count['JPEG files encoded again']} JPEG pictures were encoded again as a whole: there, pixels outside differ by rounding."
    else:
        kinds = Counter(finding.kind for finding in report.findings)
        found = f"{len(report.findings)} faults: " + "; ".join(f"{number} times {KINDS[kind]}" for kind, number in kinds.most_common()) + "."
    left = f"{count['held'] + count['failed']} inputs were held or failed and have no output."
    return f"""# De-identification: outputs compared with their inputs

Date: {day.isoformat()}. Program: markerremover {version}, `verify`.

**What was compared.** {count['files compared']} results with their originals, by the manifest of the run, file by file. The check reads files with
libraries that others maintain (pydicom, Pillow, OpenCV, tifffile, jpegio) and shares no code with what made the results. {left}

**Result.** {found}

**What this does not say.** It does not say that every annotation was found: what nobody removed is as it was. Identifiers are searched in their
usual spellings; others, and those of files that are not DICOM, are not known to it.
"""
