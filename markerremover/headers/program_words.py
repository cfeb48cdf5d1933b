"""Values that this program writes into a DICOM header: codes of the changes of the pixels, and texts of other elements."""

from __future__ import annotations

import re

CLEAN_PIXEL_DATA = ("113101", "Clean Pixel Data Option")
"""Code and meaning, coding scheme DCM, context group 7050."""
INPAINTED = ("INPAINTED", "99MARKERREMOVER", "Removed markings filled by inpainting")
"""Code, scheme and meaning; designators that begin with 99 are private ones (PS3.3 section 8.2)."""
OUTSIDE = "not a kind of image that the weights were validated on"
RECOGNIZABLE = "recognizable visual features may remain"
"""Values of De-identification Method, 64 characters at most."""
_OWN_WORDS = {
    0x00120063: rf"{OUTSIDE}|{RECOGNIZABLE}|" r"markerremover \d[\d.]*(?:(?:a|b|rc|\.dev|\.post)\d+)*(?:\+[0-9a-z.]+)?, weights (?:[0-9a-f]{1,12}|unknown)",
    0x00120062: "YES|NO", 0x00280301: "YES|NO", 0x0008001C: "YES", 0x00280303: "MODIFIED|REMOVED",
    0x00082111: r"(?:Burned-in annotations|Burnt-in markings) removed; \d+ pixels were filled by inpainting from their surroundings and are synthetic\.",
}
"""Patterns of the values that this program writes into De-identification Method, Patient Identity Removed, Burned In Annotation, Synthetic Data,
Longitudinal Temporal Information Modified and Derivation Description."""


def of_others(tag: int, text: str) -> str:
    """A value of an element without the part that this program writes.

    >>> of_others(0x00120063, "markerremover 0.1.0, weights 0123456789ab"), of_others(0x00081070, "markerremover 0.1.0")
    ('', 'markerremover 0.1.0')
    """
    return re.sub(_OWN_WORDS[tag], "", text).strip() if tag in _OWN_WORDS else text
