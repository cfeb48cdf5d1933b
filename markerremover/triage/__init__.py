"""Quality triage: is a picture usable, how is it turned, and is it a duplicate of another one? Classical measures, no network."""

from .duplicates import marked
from .quality import FLAGS, UNUSABLE, Quality, judge, unusable, with_markers

__all__ = ["FLAGS", "UNUSABLE", "Quality", "judge", "marked", "unusable", "with_markers"]
