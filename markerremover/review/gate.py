"""Access control of the review page and of a node's status page, and security headers of every answer. Loopback only.

The token in the address that `review` prints gives the cookie; it works once. A request must name this server as its host, come from this
page where the browser sends its origin, and carry the cookie.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection, MutableMapping
from typing import Any, Protocol

HOSTS = ("127.0.0.1", "localhost")
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


HINT = "Open the address that `markerremover review` printed; it works once, in one browser.\n"


class Doors(Protocol):
    """What lets browsers in."""

    def enter(self, token: str) -> str | None:
        """A cookie for the right token, None for any other."""

    def knows(self, cookie: str | None) -> bool:
        """Whether a cookie was given by `enter`."""


class Gate:
    """The secrets of a session. `token` works once; then only the cookie does."""

    def __init__(self) -> None:
        self.token: str | None = secrets.token_urlsafe(32)
        self._cookie = secrets.token_urlsafe(32)

    def enter(self, token: str) -> str | None:
        """The cookie for the right token, which is then invalid; None for any other."""
        if self.token is None or not hmac.compare_digest(token.encode(), self.token.encode()):
            return None
        self.token = None
        return self._cookie

    def knows(self, cookie: str | None) -> bool:
        """Whether this is the cookie."""
        return cookie is not None and hmac.compare_digest(cookie.encode(), self._cookie.encode())


def cookie_name(port: int) -> str:
    """Name of the cookie: browsers send a host's cookies to all of its ports, and two reviews may be open."""
    return f"markerremover_review_{port}"


def from_here(headers: Any, port: int, *, writes: bool, enters: bool = False) -> bool:
    """Whether a request names this server and, by the headers that the browser sends, comes from its page.

    Args:
        headers: a mapping of lower-case names.
        writes: whether it would change something; then the origin is required.
        enters: whether it brings the token; then a page of the file system may have opened it.
    """
    host = headers.get("host", "")
    if host not in {f"{name}:{port}" for name in HOSTS}:
        return False
    origin = headers.get("origin")
    if origin is None and writes or origin is not None and origin != f"http://{host}":
        return False
    opened_by_link = enters and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return opened_by_link or headers.get("sec-fetch-site", "none") in ("same-origin", "none")


class Guard:
    """ASGI middleware: refuses requests that do not come from the page before the application sees them, and adds HEADERS to every answer.

    Args:
        port: a list that gets one number once the server listens.
        hint: what to do without the cookie.
        without_cookie: paths that need none, for programs on this machine; their requests must name this server, too.
    """

    def __init__(self, app: Any, gate: Doors, port: list[int], *, hint: str = HINT, without_cookie: Collection[str] = ()) -> None:
        self._app, self._gate, self._port, self._hint, self._without_cookie = app, gate, port, hint, without_cookie

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Pass on a request of the page; answer any other with an error."""
        from starlette.requests import HTTPConnection
        from starlette.responses import PlainTextResponse

        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in HEADERS.items())]
            await send(message)

        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        connection = HTTPConnection(scope)
        writes = scope["method"] not in ("GET", "HEAD")
        if not self._port or not from_here(connection.headers, self._port[0], writes=writes, enters=scope["path"] == "/enter"):
            await PlainTextResponse("Refused: this request does not come from the page.\n", 403)(scope, receive, send_with_headers)
        elif scope["path"] in self._without_cookie and not writes:
            await self._app(scope, receive, send_with_headers)
        elif scope["path"] != "/enter" and not self._gate.knows(connection.cookies.get(cookie_name(self._port[0]))):
            await PlainTextResponse(self._hint, 403)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)
