"""The keep list for one file: without the phrases that its own header gives as a name or number."""

from __future__ import annotations

import re
from dataclasses import replace

from ..keep_lists.groups import without
from ..keep_lists.phrases import MOST_DIGITS
from ..records import DEFAULT_KEEP, Policy, Telling
from .identifiers import in_text
from .naming import names_in
from .spelling import plain, words

__all__ = ["policy_for"]


def policy_for(policy: Policy, telling: Telling) -> Policy:
    """The policy without phrases that identify the patient or another person of the header: for a patient called Erect, ERECT does not stay.

    Single characters and the words that are retained by default are not compared: an L is no name.

    Args:
        policy: of the run.  telling: identifiers of the file's header; empty gives `policy` itself.
    """
    free = tuple(text for text in policy.keep if len(text) > 1 and text not in DEFAULT_KEEP)
    if not telling or not free:
        return policy
    name_words = {part for one in telling if one.kind == "name" for name in names_in(one.text) for part in (*name.parts, *name.glued)}
    whole = {"".join(char for char in plain(one.text) if char.isalnum()) for one in telling}
    alone = {plain(word) for one in telling if one.kind == "name" for word in words(one.text)}  # also "der", which is no part that tells in longer phrases
    has_short_numbers = any(re.fullmatch(rf"0*\d{{1,{MOST_DIGITS}}}", one.text.strip()) for one in telling if one.kind == "number")
    holds = in_text(telling)
    left = set(without(tuple(text for text in free if not holds(text) and plain(text) not in alone), name_words | whole, has_short_numbers))
    kept = tuple(text for text in policy.keep if text in left or text not in free)
    return policy if kept == policy.keep else replace(policy, keep=kept)
