"""The audit's index.html: one file that needs no server, loads nothing but the pictures beside it, and is fast with 10,000 rows.

Summary and charts are static HTML and need no JavaScript. The rows are JSON inside the page (a page of the file system may not fetch
other files); `static/*.js` renders only the visible ones. The Content-Security-Policy names the script and the style by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from typing import Any

from .. import report_pages
from . import entries, overview

SCRIPTS = ("data.js", "places.js", "filters.js", "cards.js", "gallery.js", "zoom.js", "viewer.js", "printing.js", "start.js")
STYLES = ("page.css", "gallery.css", "viewer.css")


def parts(
    rows: Iterable[dict[str, Any]], summary: dict[str, Any], thumbs: Callable[[str], tuple[str, str]], drawn: set[str]
) -> Iterator[str]:
    """The page's HTML in pieces, in order; what `overview` and `entries` give is markup already.

    Args:
        rows: of the manifest.  summary: of the run.
        thumbs: path -> names of its two thumbnails.  drawn: names of the pictures that exist.
    """
    rows = sorted(rows, key=lambda row: row["relative"])
    style, script = ("".join(_static(name) for name in names) for names in (STYLES, SCRIPTS))
    policy = (
        f"default-src 'none'; img-src 'self' file:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    yield from report_pages.pieces(
        __package__, "page.html.j2", policy=policy, style=style, script=script, overview=overview.parts(rows, summary),
        data=entries.parts(rows, summary, thumbs, drawn),
    )


def _static(name: str) -> str:
    return resources.files(__package__).joinpath("static", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The source expression of a Content-Security-Policy for an inline element with this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
