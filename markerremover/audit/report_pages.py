"""What every HTML page of results has: the warning that it shows originals."""

from __future__ import annotations

WARNING = ("This page shows un-redacted radiographs. It is as confidential as the originals: keep it with them, "
           "and never put it in an output folder.")
