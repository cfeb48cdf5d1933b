"""The header profile of a run, and the secret key from which pseudonyms and new UIDs are derived. See `dicom_headers`."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..system import regular_files, user_text

MODES = ("basic", "keep")
KEY_BYTES = 32
KEY_FILE_BYTES = 4096  # largest size of a key file, bytes
CONSONANTS, PSEUDONYM_LETTERS = "BCDFGHJKLMNPQRSTVWXZ", 12
RETAINABLE = {"age": "PatientAge", "sex": "PatientSex", "size": "PatientSize", "weight": "PatientWeight"}
"""Name in `HeaderProfile.retain` -> element that is then retained (Retain Patient Characteristics Option)."""
BASIC = ("113100", "Basic Application Confidentiality Profile")
RETAINED = ("113108", "Retain Patient Characteristics Option")
SHIFTED = ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")

DUMMIES = {
    "AE": "ANONYMIZED", "AS": "000Y", "CS": "ANONYMIZED", "DA": "19000101", "DS": "0", "DT": "19000101000000", "IS": "0", "LO": "ANONYMIZED",
    "LT": "ANONYMIZED", "PN": "ANONYMIZED", "SH": "ANONYMIZED", "ST": "ANONYMIZED", "TM": "000000", "UC": "ANONYMIZED",
    "UR": "https://anonymized.invalid", "UT": "ANONYMIZED", "FD": 0.0, "FL": 0.0, "SL": 0, "SS": 0, "SV": 0, "UL": 0, "US": 0, "UV": 0,
}
"""VR -> replacement of a value that must be removed from an element that may be required."""


@dataclass(frozen=True)
class HeaderProfile:
    """Treatment of headers.

    mode: "basic", or "keep" to leave them unchanged.
    key: `KEY_BYTES` random bytes, secret; with it the pseudonym of a known patient can be computed.
    retain: names of `RETAINABLE`.
    shift_dates: shift dates by a number of days that is fixed for the patient, instead of removing them.

    Raises:
        UsageError: a field is out of range.
    """

    mode: str = "keep"
    key: bytes = b""
    retain: tuple[str, ...] = ()
    shift_dates: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"headers is {self.mode!r}, allowed are {', '.join(MODES)}")
        if self.mode == "basic" and len(self.key) != KEY_BYTES:
            raise UsageError(f"the key has {len(self.key)} bytes, needs {KEY_BYTES}")
        unknown = [name for name in self.retain if name not in RETAINABLE]
        if unknown:
            raise UsageError(f"retain is {', '.join(unknown)}, allowed are {', '.join(RETAINABLE)}")

    @property
    def codes(self) -> tuple[tuple[str, str], ...]:
        """Code and meaning of the applied options, coding scheme DCM, context group 7050."""
        if self.mode == "keep":
            return ()
        return (BASIC, *((RETAINED,) if self.retain else ()), *((SHIFTED,) if self.shift_dates else ()))

    def digest(self, kind: str, text: str) -> bytes:
        """HMAC-SHA-256 of a text, 32 bytes; differs between kinds of use."""
        return hmac.new(self.key, f"{kind}\0{text}".encode("utf-8", "surrogateescape"), hashlib.sha256).digest()

    def uid(self, old: str) -> str:
        """The replacement of a UID, the same for every call with this key."""
        return f"2.25.{int.from_bytes(self.digest('uid', old)[:16], 'big')}"

    def pseudonym(self, kind: str, text: str) -> str:
        """Twelve consonants that replace a text, for example a patient's name.

        With vowels or digits a pseudonym could by chance spell a short name, a date or an ID in the run, and its file would be held.
        """
        number, letters = int.from_bytes(self.digest(kind, text), "big"), []
        for _ in range(PSEUDONYM_LETTERS):
            number, letter = divmod(number, len(CONSONANTS))
            letters.append(CONSONANTS[letter])
        return "".join(letters)


def read_key(path: Path) -> bytes:
    """The key in a file of 64 hexadecimal digits that only its owner may read.

    Raises:
        UsageError: the file is missing, unreadable or no key, or others may read it.
    """
    try:
        text, mode = user_text.decoded(regular_files.read(path, KEY_FILE_BYTES, follow=True)).strip(), path.stat().st_mode  # PowerShell writes UTF-16
    except ValueError:
        text, mode = "", 0
    except OSError as error:
        raise UsageError(f"{path}: the key cannot be read ({error.strerror}); `openssl rand -hex {KEY_BYTES} > FILE` makes one") from error
    if not re.fullmatch(rf"[0-9a-fA-F]{{{2 * KEY_BYTES}}}", text):
        raise UsageError(f"{path}: a key is {2 * KEY_BYTES} hexadecimal digits; `openssl rand -hex {KEY_BYTES} > FILE` makes one")
    if os.name == "posix" and mode & 0o077:
        raise UsageError(f"{path}: others may read this key: chmod 600 it")
    return bytes.fromhex(text)


def new_key() -> bytes:
    """A new key from the operating system's random source."""
    return secrets.token_bytes(KEY_BYTES)
