"""Lets browsers into the status page of a service that runs for months: each address works once, and the next one lies in the spool.

Who may read the spool, which holds originals, may see the page; so the addresses are readable by the spool's owner only, and are never logged.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections import deque
from pathlib import Path

from ...system.files import write_private

FILE = "status-address"
MOST = 8  # browsers at a time; the one that came first is let out for another


class Entrances:
    """A `gate.Doors` whose token is replaced each time it is used.

    Args:
        spool: folder in which the file with the address is kept.
    """

    def __init__(self, spool: Path) -> None:
        self._path, self._lock = spool / FILE, threading.Lock()
        self._port: int | None = None
        self._token = secrets.token_urlsafe(32)
        self._cookies: deque[str] = deque(maxlen=MOST)

    @property
    def path(self) -> Path:
        """The file with the address."""
        return self._path

    @property
    def address(self) -> str:
        """The address that works once; it is a secret."""
        return f"http://127.0.0.1:{self._port}/enter?token={self._token}"

    def listens_on(self, port: int) -> None:
        """Write the first address.

        Raises:
            UsageError, OSError: the file cannot be written.
        """
        self._port = port
        write_private(self._path, self.address + "\n")

    def enter(self, token: str) -> str | None:
        """A new cookie for the present token, which is then replaced; None for any other."""
        with self._lock:
            if not hmac.compare_digest(token.encode(), self._token.encode()):
                return None
            self._token = secrets.token_urlsafe(32)
            self._cookies.append(secrets.token_urlsafe(32))
            write_private(self._path, self.address + "\n")
            return self._cookies[-1]

    def knows(self, cookie: str | None) -> bool:
        """Whether this is a cookie of a browser that is in."""
        return cookie is not None and any(hmac.compare_digest(cookie.encode(), known.encode()) for known in tuple(self._cookies))

    def close(self) -> None:
        """Remove the address."""
        self._path.unlink(missing_ok=True)
