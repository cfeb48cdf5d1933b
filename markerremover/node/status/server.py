"""The server of the status page. It serves numbers, reasons, and results of files that were dropped on it; never an object of the spool, and no path."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from importlib import resources
from typing import Any

from ... import __version__
from ...audit import report_pages
from ...configuration.node_tables import Status
from ...errors import MarkerRemoverError, ReadError, RefusedError, UsageError
from ...review.connections import timed_protocol
from ...review.gate import HOSTS, Guard, cookie_name
from .. import queue
from ..engine import Engine
from ..sending import unexpected
from . import metrics
from .dropped_files import DroppedFiles
from .entrances import Entrances
from .review_process import ReviewProcess

log = logging.getLogger(__name__)

STATIC = {"status.js": "text/javascript", "status.css": "text/css"}
METRICS = "/metrics"
HINT = "Open the address in the file status-address of the spool; it works once, in one browser, and is then replaced.\n"
HELD_SHOWN, UNDELIVERED_SHOWN, ERRORS_SHOWN = 100, 100, 20
RATES_S = (60.0, 3600.0)
START_S = 10.0
PIECE_S = 30.0  # longest wait for the next piece of a dropped file, seconds

Facts = Callable[[], dict[str, Any]]


class Answers:
    """The answers of the server, one method per route.

    Args:
        further: what else the page shows: of the watched folder and of the loop.
    """

    def __init__(self, engine: Engine, entrances: Entrances, port: list[int], dropped: DroppedFiles, review: ReviewProcess, further: Facts) -> None:
        self._engine, self._entrances, self._port, self._dropped, self._review, self._further = engine, entrances, port, dropped, review, further
        self._static = {name: (_static(name), kind) for name, kind in STATIC.items()}

    def page(self, request: Any) -> Any:
        """The page."""
        return _answer(_static("index.html"), "text/html")

    def nothing(self, request: Any) -> Any:
        """No icon."""
        return _answer(b"", None, 204)

    def enter(self, request: Any) -> Any:
        """A cookie for the token."""
        cookie = self._entrances.enter(request.query_params.get("token", ""))
        if cookie is None:
            return _answer(f"This address has been used, or is not the present one. {HINT}", "text/plain", 403)
        answer = _answer(report_pages.render(__package__, "onward.html.j2", address="/"), "text/html")
        answer.set_cookie(cookie_name(self._port[0]), cookie, path="/", httponly=True, samesite="strict")
        return answer

    def asset(self, request: Any) -> Any:
        """Style and script of the page."""
        asset = self._static.get(request.path_params["name"])
        return _answer(*asset) if asset else _answer("not found\n", "text/plain", 404)

    def status(self, request: Any) -> Any:
        """All that the page shows."""
        engine, now = self._engine, time.time()
        index = engine.index
        counts = index.counts()
        names = tuple(one.name for one in engine.settings.destinations)
        return _json({
            "version": __version__, "ready": engine.is_ready, "error": str(engine.error) if engine.error else "",
            "counts": {**asdict(counts), "reconciles": counts.reconciles}, "rates": [asdict(index.rates(window)) for window in RATES_S],
            "oldest_s": index.oldest(), "destinations": [asdict(state) for state in index.destinations(names)],
            "held": [
                {"number": one.number, "state": one.state, "reason": one.reason, "age_s": max(0.0, now - one.changed_at), "origin": one.origin}
                for one in index.held(HELD_SHOWN)],
            "undelivered": [one._asdict() for one in queue.undelivered(index, UNDELIVERED_SHOWN)],
            "errors": [{"age_s": max(0.0, now - one.when), "where": one.where, "number": one.number, "text": one.text} for one in index.recent_errors(ERRORS_SHOWN)],
            "spool_bytes": index.spool_bytes(), "free_bytes": engine.spool.free_bytes(),
            "dropped": self._dropped.rows(), "most_bytes": self._dropped.most_bytes, "applying": self._review.applying(), **self._further(),
        })

    def metrics(self, request: Any) -> Any:
        """The metrics for Prometheus."""
        data, kind = metrics.text(self._engine, self._further().get("due"))
        return _answer(data, kind)

    async def drop(self, request: Any) -> Any:
        """Take one file."""
        if request.headers.get("content-type", "").split(";")[0] != "application/octet-stream":
            return _json({"error": "needs application/octet-stream"}, 415)
        try:
            return _json({"number": await self._dropped.take(_pieces(request))})
        except RefusedError as error:
            return _json({"error": str(error)}, 413)
        except TimeoutError:
            return _json({"error": "too slow"}, 408)
        except (OSError, sqlite3.Error) as error:
            log.error("a dropped file cannot be taken: %s", type(error).__name__)
            return _json({"error": "the spool cannot be written"}, 507)

    def result(self, request: Any) -> Any:
        """The result of a dropped file."""
        found = self._dropped.result(_whole(request.path_params["number"]))
        answer = _answer(found.data, found.media)
        answer.headers["content-disposition"] = "attachment"  # the page gives it the name that only the page knows
        return answer

    def review(self, request: Any) -> Any:
        """Open the review page."""
        return _json({"address": self._review.open()})

    def apply(self, request: Any) -> Any:
        """Start `apply`."""
        self._review.apply()
        return _json({})

    async def refused(self, request: Any, error: Exception) -> Any:
        """The answer for an error of this package."""
        return _json({"error": str(error)}, 409 if isinstance(error, UsageError) else 404)


def build(answers: Answers, entrances: Entrances, port: list[int], status: Status) -> Guard:
    """The application.

    Args:
        port: a list that gets one number once the server listens.
    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    routes = [
        Route("/", answers.page), Route("/favicon.ico", answers.nothing), Route("/enter", answers.enter), Route("/static/{name}", answers.asset),
        Route("/api/status", answers.status), Route("/api/dropped", answers.drop, methods=["POST"]), Route("/api/dropped/{number}", answers.result),
        Route("/api/review", answers.review, methods=["POST"]), Route("/api/apply", answers.apply, methods=["POST"]), Route(METRICS, answers.metrics),
    ]
    application = Starlette(routes=routes, exception_handlers={MarkerRemoverError: answers.refused})
    return Guard(application, entrances, port, hint=HINT, without_cookie=(METRICS,) if status.metrics else ())


class StatusServer:
    """The page of an engine, in a thread.

    Args:
        engine: started.  further: see `Answers`.

    Raises:
        UsageError: a library is missing.
    """

    def __init__(self, engine: Engine, status: Status, review: ReviewProcess, further: Facts) -> None:
        try:
            import prometheus_client  # noqa: F401  # now, not when Prometheus asks
            import starlette  # noqa: F401
            import uvicorn
        except ImportError as error:
            raise UsageError(f"{error.name} is not installed: the extra `node` has it (pip install 'markerremover[node]'), or set page = false in [status]") from None
        self._entrances, self._status, self._review = Entrances(engine.spool.folder), status, review
        self._numbers: list[int] = []
        self._dropped = DroppedFiles(engine, status)
        answers = Answers(engine, self._entrances, self._numbers, self._dropped, review, further)
        config = uvicorn.Config(
            build(answers, self._entrances, self._numbers, status), host=HOSTS[0], port=status.port, log_level="critical", access_log=False, lifespan="off",
            server_header=False, ws="none", timeout_graceful_shutdown=2, http=timed_protocol(), log_config=None)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="status page", daemon=True)
        self._stopping = threading.Event()
        self._tidying = threading.Thread(target=self._tidy, name="tidying dropped files", daemon=True)

    @property
    def entrances(self) -> Entrances:
        """Where the page's address is."""
        return self._entrances

    @property
    def port(self) -> int:
        """The port, once it listens."""
        return self._numbers[0]

    def start(self) -> None:
        """Listen.

        Raises:
            UsageError: the port is taken.
        """
        self._thread.start()
        until = time.monotonic() + START_S
        while not self._server.started and self._thread.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        if not self._server.started:
            raise UsageError(f"port {self._status.port} of {HOSTS[0]} cannot be listened on: choose another as port in [status]")
        self._numbers.append(self._server.servers[0].sockets[0].getsockname()[1])
        self._entrances.listens_on(self.port)
        self._tidying.start()

    def stop(self) -> None:
        """End the page and what was started from it."""
        self._stopping.set()
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join()
        self._review.stop()
        self._entrances.close()

    def _serve(self) -> None:
        try:
            asyncio.run(self._server.serve())
        except SystemExit:  # uvicorn exits where the port is taken
            pass

    def _tidy(self) -> None:
        while not self._stopping.wait(min(60.0, 1800 * self._status.keep_h)):
            try:
                if count := self._dropped.tidy():
                    log.info("%d results of dropped files were deleted, since their time was over", count)
            except Exception as error:  # it is tried again; without it results would stay for ever
                log.error("results of dropped files cannot be deleted: %s", unexpected(error))


async def _pieces(request: Any) -> AsyncIterator[bytes]:
    """The body of a request.

    Raises:
        TimeoutError: nothing comes for a while.
        RefusedError: it ends before its end.
    """
    from starlette.requests import ClientDisconnect

    stream = request.stream().__aiter__()
    while True:
        try:
            yield await asyncio.wait_for(stream.__anext__(), PIECE_S)
        except StopAsyncIteration:
            return
        except ClientDisconnect:
            raise RefusedError("the file did not come to its end") from None


def _answer(content: bytes | str, kind: str | None, status: int = 200) -> Any:
    from starlette.responses import Response

    return Response(content, status, media_type=kind)


def _json(content: dict[str, Any], status: int = 200) -> Any:
    return _answer(json.dumps(content), "application/json", status)


def _static(name: str) -> bytes:
    return resources.files(__package__).joinpath("static", name).read_bytes()


def _whole(text: str) -> int:
    """A whole number of at most 12 digits.

    Raises:
        ReadError: the text is no such number.
    """
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise ReadError("there is no such number")
    return int(text)
