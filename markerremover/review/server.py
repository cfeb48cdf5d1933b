"""The review page and what it may ask for. Loopback only, one person, nothing that is not of the audit.

Whoever has the token of the address that `review` prints gets the cookie; the token works once. A request must name this server as
its host, come from this page where the browser says where it comes from, and carry the cookie. Pictures are named by the place of
their file in the queue, never by a path.
"""

from __future__ import annotations

import hmac
import json
import secrets
from importlib import resources
from typing import Any

from ..errors import MarkerRemoverError, ReadError, UsageError
from . import pictures
from .session import Session, base_boxes

HOSTS = ("127.0.0.1", "localhost")
STATIC = {"review.js": "text/javascript", "review.css": "text/css"}
MAX_BODY = 4096
ENTERED = "<!doctype html><meta http-equiv='refresh' content='0;url=/'><title>Review</title><a href='/'>Review</a>"
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Gate:
    """Who may come in. `token` works once; then only the cookie does."""

    def __init__(self) -> None:
        self.token: str | None = secrets.token_urlsafe(32)
        self._cookie = secrets.token_urlsafe(32)

    def enter(self, token: str) -> str | None:
        """The cookie for the right token, which is then used up; None for any other."""
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
    """Whether a request names this server and, as far as the browser tells, comes from its page.

    Args:
        headers: a mapping of lower-case names.
        writes: whether it would change something: then its origin must be told.
        enters: whether it brings the token, which a page of the file system may lead to.
    """
    host = headers.get("host", "")
    if host not in {f"{name}:{port}" for name in HOSTS}:
        return False
    origin = headers.get("origin")
    if origin is None and writes or origin is not None and origin != f"http://{host}":
        return False
    leads_here = enters and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return leads_here or headers.get("sec-fetch-site", "none") in ("same-origin", "none")


def build(session: Session, gate: Gate, port: list[int]):
    """The Starlette application.

    Args:
        port: one number, set once the server listens.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    def as_json(said: dict[str, Any], status: int = 200) -> Response:
        return Response(json.dumps(said), status, media_type="application/json")  # ASCII only: file names need not be valid Unicode

    decoded, drawn = pictures.Cache(pictures.KEEP_FILES), pictures.Cache(pictures.KEEP_PICTURES)
    static = {name: (_static(name), kind) for name, kind in STATIC.items()}

    def page(request: Request) -> Response:
        return Response(_static("index.html"), media_type="text/html")

    def enter(request: Request) -> Response:
        cookie = gate.enter(request.query_params.get("token", ""))
        if cookie is None:
            text = "This address has been used, or is not the one that `markerremover review` printed. Start it again.\n"
            return PlainTextResponse(text, 403)
        answer = Response(ENTERED, media_type="text/html")  # no redirect: the cookie would not go along where another page led here
        answer.set_cookie(cookie_name(port[0]), cookie, path="/", httponly=True, samesite="strict")
        return answer

    def asset(request: Request) -> Response:
        found = static.get(request.path_params["name"])
        return Response(found[0], media_type=found[1]) if found else PlainTextResponse("not found\n", 404)

    def overview(request: Request) -> Response:
        return as_json(session.overview())

    def file(request: Request) -> Response:
        return as_json(session.file(_whole(request.path_params["number"])) | {"progress": session.progress()})

    def picture(request: Request) -> Response:
        asked = request.query_params
        view, frame, equalised = request.path_params["view"], _whole(asked.get("frame", "0")), asked.get("equalised") == "1"
        centre, width = _share(asked.get("centre", "0.5")), _share(asked.get("width", "1"))
        if view not in pictures.VIEWS:
            return PlainTextResponse("not found\n", 404)
        row = session.row(_whole(request.path_params["number"]))
        key = (row["relative"], row["sha256_in"], row["sha256_out"])

        def load() -> pictures.Pair:
            result = session.result(row["relative"]) if row["sha256_out"] else None
            return pictures.load(session.source(row["relative"]), result, row, base_boxes(row))

        def make() -> bytes:
            return pictures.png(pictures.render(decoded.get(key, load), view, frame, equalised=equalised, centre=centre, width=width))

        found = drawn.get((key, view, frame, equalised, centre, width), make)
        if view == "after":
            session.looked(row)
        return Response(found, media_type="image/png")

    async def decide(request: Request) -> Response:
        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            return as_json({"error": "needs application/json"}, 415)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY:
                return as_json({"error": "too long"}, 413)
        try:
            said = json.loads(body)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            return as_json({"error": "no JSON object"}, 400)

        number = _whole(request.path_params["number"])

        def take() -> dict[str, Any]:
            return session.decide(number, said) | {"progress": session.progress()}

        return as_json(await run_in_threadpool(take))

    async def refused(request: Request, error: Exception) -> Response:
        return as_json({"error": str(error)}, 409 if isinstance(error, UsageError) else 404)

    routes = [
        Route("/", page), Route("/favicon.ico", lambda request: Response(status_code=204)), Route("/enter",
            enter), Route("/static/{name}", asset), Route("/api/files", overview),
        Route("/api/files/{number}", file), Route("/api/files/{number}/decisions", decide, methods=["POST"]),
        Route("/api/files/{number}/{view}.png", picture),
    ]
    app = Starlette(routes=routes, exception_handlers={MarkerRemoverError: refused})
    return _Guard(app, gate, port)


class _Guard:
    """Turns away what does not come from the page, before anything else sees it, and marks every answer with HEADERS."""

    def __init__(self, app: Any, gate: Gate, port: list[int]) -> None:
        self._app, self._gate, self._port = app, gate, port

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        from starlette.requests import HTTPConnection
        from starlette.responses import PlainTextResponse

        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def marked(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in HEADERS.items())]
            await send(message)

        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        asked = HTTPConnection(scope)
        writes = scope["method"] not in ("GET", "HEAD")
        if not self._port or not from_here(asked.headers, self._port[0], writes=writes, enters=scope["path"] == "/enter"):
            await PlainTextResponse("Refused: this request does not come from the review page.\n", 403)(scope, receive, marked)
        elif scope["path"] != "/enter" and not self._gate.knows(asked.cookies.get(cookie_name(self._port[0]))):
            text = "Open the address that `markerremover review` printed; it works once, in one browser.\n"
            await PlainTextResponse(text, 403)(scope, receive, marked)
        else:
            await self._app(scope, receive, marked)


def _static(name: str) -> bytes:
    return resources.files(__package__).joinpath("static", name).read_bytes()


def _whole(text: str) -> int:
    """A whole number of at most 6 digits.

    Raises:
        ReadError: it is none.
    """
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise ReadError("there is no such number")
    return int(text)


def _share(text: str) -> float:
    """A share of a window, in hundredths, 0-4.

    Raises:
        ReadError: it is none.
    """
    try:
        value = round(float(text), 2)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 4:
        raise ReadError("no such window")
    return value


def serve(session: Session, gate: Gate, *, port: int, ready: Any) -> None:
    """Serve until interrupted.

    Args:
        port: 0 for any that is free.  ready: called as ready(address) once, when the server listens.

    Raises:
        UsageError: the port is taken.
    """
    import asyncio

    import uvicorn

    numbers: list[int] = []
    config = uvicorn.Config(
        build(session, gate,
            numbers), host=HOSTS[0], port=port, log_level="critical", access_log=False, lifespan="off", server_header=False,
        ws="none", timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)

    async def serving_quietly() -> None:
        try:
            await server.serve()
        except SystemExit:  # uvicorn's word for a port that is taken
            pass

    async def run() -> None:
        serving = asyncio.create_task(serving_quietly())
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if server.started:
            numbers.append(server.servers[0].sockets[0].getsockname()[1])
            ready(f"http://{HOSTS[0]}:{numbers[0]}/enter?token={gate.token}")
        await serving

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        return
    if not numbers:
        raise UsageError(f"port {port} of {HOSTS[0]} cannot be listened on: choose another with --port")
