"""The server of the review page: facts of the manifest and pictures, addressed by the file's index in the queue, never by a path. Access is
controlled by `gate`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from importlib import resources
from typing import Any

from ..audit import report_pages
from ..errors import MarkerRemoverError, ReadError, UsageError
from ..system.kept import Kept
from . import pictures
from .gate import HOSTS, Gate, Guard, cookie_name
from .session import Session, base_boxes

log = logging.getLogger(__name__)

STATIC = {"review.js": "text/javascript", "review.css": "text/css"}
MAX_BODY = 4096  # largest body of a request, bytes
BODY_S = 10.0  # time limit for receiving a body, seconds


def onward(address: str) -> str:
    """A page that leads to an address, as HTML."""
    return report_pages.render(__package__, "onward.html.j2", address=address)


class Pictures:
    """The pictures of a session's files, decoded and rendered on the first request; the latest few are cached."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._decoded, self._drawn = Kept(pictures.KEEP_FILES), Kept(pictures.KEEP_PICTURES)

    def pair(self, row: dict[str, Any]) -> pictures.Pair:
        """Original and result of a manifest row.

        Raises:
            ReadError: one of them cannot be shown.
        """
        def load() -> pictures.Pair:
            result = self._session.result(row["relative"]) if row["sha256_out"] else None
            return pictures.load(self._session.source(row["relative"]), result, row, base_boxes(row))

        return self._decoded.get(self._key(row), load)

    def png(self, row: dict[str, Any], view: str, frame: int, *, equalised: bool, centre: float, width: float) -> bytes:
        """One view as PNG, see `pictures.render`.

        Raises:
            ReadError: as `pair`, or there is no such frame.
        """
        def make() -> bytes:
            return pictures.png(pictures.render(self.pair(row), view, frame, equalised=equalised, centre=centre, width=width))

        return self._drawn.get((self._key(row), view, frame, equalised, centre, width), make)

    def warm(self) -> None:
        """Load the decoders, find the originals and decode the first file, while the browser starts.

        Errors are ignored here; the request that they concern reports them.
        """
        try:
            if self._session.order:
                self.pair(self._session.row(self._session.first()))
        except (MarkerRemoverError, OSError) as error:
            log.debug("nothing is decoded ahead (%s)", type(error).__name__)

    @staticmethod
    def _key(row: dict[str, Any]) -> tuple[str, str, str]:
        return row["relative"], row["sha256_in"], row["sha256_out"]


class Answers:
    """The answers of the server, one method per route."""

    def __init__(self, session: Session, gate: Gate, port: list[int], shown: Pictures) -> None:
        self._session, self._gate, self._port, self._pictures = session, gate, port, shown
        self._static = {name: (_static(name), kind) for name, kind in STATIC.items()}

    def page(self, request: Any) -> Any:
        """The page, the same for every audit."""
        return _answer(_static("index.html"), "text/html")

    def nothing(self, request: Any) -> Any:
        """No icon."""
        return _answer(b"", None, 204)

    def enter(self, request: Any) -> Any:
        """The cookie for the token."""
        cookie = self._gate.enter(request.query_params.get("token", ""))
        if cookie is None:
            text = "This address has been used, or is not the one that `markerremover review` printed. Start it again.\n"
            return _answer(text, "text/plain", 403)
        answer = _answer(onward("/"), "text/html")  # no redirect: a browser would not send the cookie with it after a link from another page
        answer.set_cookie(cookie_name(self._port[0]), cookie, path="/", httponly=True, samesite="strict")
        return answer

    def asset(self, request: Any) -> Any:
        """Style and script of the page."""
        asset = self._static.get(request.path_params["name"])
        return _answer(*asset) if asset else _answer("not found\n", "text/plain", 404)

    def overview(self, request: Any) -> Any:
        """All files in their order."""
        return _json(self._session.overview())

    def file(self, request: Any) -> Any:
        """One file and the progress of the review."""
        return _json(self._session.file(_whole(request.path_params["number"])) | {"progress": self._session.progress()})

    def picture(self, request: Any) -> Any:
        """One view of one frame of a file."""
        query = request.query_params
        view, frame, equalised = request.path_params["view"], _whole(query.get("frame", "0")), query.get("equalised") == "1"
        centre, width = _share(query.get("centre", "0.5")), _share(query.get("width", "1"))
        if view not in pictures.VIEWS:
            return _answer("not found\n", "text/plain", 404)
        row = self._session.row(_whole(request.path_params["number"]))
        data = self._pictures.png(row, view, frame, equalised=equalised, centre=centre, width=width)
        if view == "after":
            self._session.looked(row)
        return _answer(data, "image/png")

    def window(self, request: Any) -> Any:
        """The window of a file in stored values, see `pictures.window`."""
        return _json(pictures.window(self._pictures.pair(self._session.row(_whole(request.path_params["number"])))))

    async def decide(self, request: Any) -> Any:
        """Record one decision."""
        from starlette.concurrency import run_in_threadpool

        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            return _json({"error": "needs application/json"}, 415)
        try:
            body = await asyncio.wait_for(_body(request), BODY_S)
        except TimeoutError:
            return _json({"error": "too slow"}, 408)
        if body is None:
            return _json({"error": "too long"}, 413)
        try:
            decision = json.loads(body)
        except (ValueError, RecursionError):
            decision = None
        if not isinstance(decision, dict):
            return _json({"error": "no JSON object"}, 400)
        number = _whole(request.path_params["number"])

        def take() -> dict[str, Any]:
            return self._session.decide(number, decision) | {"progress": self._session.progress()}

        return _json(await run_in_threadpool(take))

    async def refused(self, request: Any, error: Exception) -> Any:
        """The answer for an error of this package."""
        return _json({"error": str(error)}, 409 if isinstance(error, UsageError) else 404)


def build(session: Session, gate: Gate, port: list[int], shown: Pictures) -> Guard:
    """The application.

    Args:
        port: a list that gets one number once the server listens.
    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    answers = Answers(session, gate, port, shown)
    routes = [
        Route("/", answers.page), Route("/favicon.ico", answers.nothing), Route("/enter", answers.enter),
        Route("/static/{name}", answers.asset), Route("/api/files", answers.overview),
        Route("/api/files/{number}", answers.file), Route("/api/files/{number}/window", answers.window), Route("/api/files/{number}/decisions", answers.decide, methods=["POST"]),
        Route("/api/files/{number}/{view}.png", answers.picture),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={MarkerRemoverError: answers.refused}), gate, port)


async def _body(request: Any) -> bytes | None:
    """The body of a request, None if it is too long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            return None
    return body


def _answer(content: bytes | str, kind: str | None, status: int = 200) -> Any:
    from starlette.responses import Response

    return Response(content, status, media_type=kind)


def _json(content: dict[str, Any], status: int = 200) -> Any:
    return _answer(json.dumps(content), "application/json", status)  # ASCII only: file names need not be valid Unicode


def _static(name: str) -> bytes:
    return resources.files(__package__).joinpath("static", name).read_bytes()


def _whole(text: str) -> int:
    """A whole number of at most 6 digits.

    Raises:
        ReadError: the text is no such number.
    """
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise ReadError("there is no such number")
    return int(text)


def _share(text: str) -> float:
    """A fraction of a window, 0-4, rounded to hundredths.

    Raises:
        ReadError: the text is no such number.
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
        port: 0 for any free one.  ready: called once as ready(address), when the server listens.

    Raises:
        UsageError: the port is taken.
    """
    import uvicorn

    from .connections import timed_protocol

    numbers: list[int] = []
    shown = Pictures(session)
    config = uvicorn.Config(
        build(session, gate, numbers, shown), host=HOSTS[0], port=port, log_level="critical", access_log=False, lifespan="off",
        server_header=False, ws="none", timeout_graceful_shutdown=2, http=timed_protocol(),
    )
    server = uvicorn.Server(config)

    async def serving_quietly() -> None:
        try:
            await server.serve()
        except SystemExit:  # uvicorn exits where the port is taken
            pass

    async def run() -> None:
        serving = asyncio.create_task(serving_quietly())
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if server.started:
            numbers.append(server.servers[0].sockets[0].getsockname()[1])
            ready(f"http://{HOSTS[0]}:{numbers[0]}/enter?token={gate.token}")
            threading.Thread(target=shown.warm, daemon=True).start()
        await serving

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        return
    if not numbers:
        raise UsageError(f"port {port} of {HOSTS[0]} cannot be listened on: choose another with --port")
