"""Results to a DICOMweb service by STOW-RS (PS3.18, 10.5): one request for each object.

`dicomweb-client` was looked at: it takes parsed data sets and encodes them again, while here exactly the verified bytes must go out. The body is
one part of multipart/related, which needs no library.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ...system import regular_files
from ..records import WebDestination
from . import NO_DICOM, Parcel, Send, Unreachable

FAILED_SEQUENCE, FAILURE_REASON = "00081198", "00081197"
#: HTTP statuses that say nothing about the object: not logged in, too many requests, a gateway without its service.
OF_SERVICE = (401, 403, 404, 407, 429, 502, 503, 504)
SECRET_BYTES = 8192


class WebPeer:
    """A DICOMweb service, see `WebDestination`.

    Raises:
        UsageError: requests is missing, or the token, login or a certificate cannot be read.
    """

    def __init__(self, destination: WebDestination) -> None:
        try:
            import requests
        except ImportError:
            raise UsageError("DICOMweb needs requests: install markerremover[node]") from None
        self._to, self._errors = destination, requests.RequestException
        self._session = requests.Session()
        self._session.trust_env = False  # neither a proxy nor a login from the environment
        self._session.verify = str(destination.ca) if destination.ca else True
        if destination.certificate:
            self._session.cert = (str(destination.certificate), str(destination.key)) if destination.key else str(destination.certificate)
        if destination.login:
            user, _, password = _secret(destination.login).partition(":")
            self._session.auth = (user, password)
        if destination.token:
            self._session.headers["Authorization"] = f"Bearer {_secret(destination.token)}"

    @contextmanager
    def connected(self, parcels: Sequence[Parcel]) -> Iterator[Send]:
        """See `Peer`."""
        yield self._send

    def _send(self, parcel: Parcel, path: Path) -> str:
        if parcel.facts is None:
            return NO_DICOM
        boundary = secrets.token_hex(16)
        body = b"".join((f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode(), path.read_bytes(), f"\r\n--{boundary}--\r\n".encode()))
        headers = {"Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}', "Accept": "application/dicom+json"}
        try:
            answer = self._session.post(self._to.url.rstrip("/") + "/studies", data=body, headers=headers, timeout=self._to.timeout_s, allow_redirects=False)
        except self._errors as error:
            raise Unreachable(f"it does not answer ({type(error).__name__})") from None
        if answer.status_code in OF_SERVICE:
            raise Unreachable(f"it answers with HTTP status {answer.status_code}")
        if answer.status_code not in (200, 202):
            return f"refused with HTTP status {answer.status_code}{_reason(answer)}"
        return f"refused{_reason(answer)}" if _failed(answer) else ""


def _document(answer: Any) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:  # no JSON: the status alone counts
        return {}
    return document if isinstance(document, dict) else {}


def _failed(answer: Any) -> list[Any]:
    """The items of Failed SOP Sequence."""
    sequence = _document(answer).get(FAILED_SEQUENCE)
    return (sequence.get("Value") or []) if isinstance(sequence, dict) else []


def _reason(answer: Any) -> str:
    """The Failure Reason (0008,1197) of the first failed item, a number."""
    for item in _failed(answer):
        values = (item.get(FAILURE_REASON) or {}).get("Value") if isinstance(item, dict) else None
        if values and isinstance(values[0], int):
            return f", failure reason {values[0]:#06x}"
    return ""


def _secret(path: Path) -> str:
    """The content of a file with a secret.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return regular_files.read(path, SECRET_BYTES, follow=True).decode("utf-8").strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read ({type(error).__name__})") from None
