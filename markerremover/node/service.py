"""A node with all that belongs to it: engine, watched folder, status page and controller, in one process until a signal ends it."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..configuration.reading import Configuration
from ..headers.profile import HeaderProfile
from ..redaction.cleaning import Cleaner
from .engine import Engine
from .records import Counts, NodeSettings
from .spool import header_profile
from .status import dropped_files, json_log
from .status.review_process import ReviewProcess
from .watching.result_names import ResultNames
from .watching.taken_files import TakenFiles
from .watching.watched_folder import WatchedFolder

if TYPE_CHECKING:
    from .loop.controller import Controller

log = logging.getLogger(__name__)


def with_page(settings: NodeSettings, configuration: Configuration) -> NodeSettings:
    """The settings of a node with the destination of files that are dropped on its status page; unchanged without a page.

    Raises:
        UsageError, OSError: the folder of dropped files cannot be created.
    """
    if not configuration.status.page:
        return settings
    return replace(
        settings, destinations=(*settings.destinations, dropped_files.destination(settings.spool)),
        reserved={**settings.reserved, dropped_files.ORIGIN: (dropped_files.DESTINATION,)})


class Service:
    """A running node.

    Args:
        settings: see `with_page`.  folder: to be watched, None for none.  ignore: globs of files in it to leave out.
        open_cleaner: as for `Engine`.

    Attributes:
        engine: the engine.  page, watched, controller: None where they are not wanted.
    """

    def __init__(
        self, settings: NodeSettings, configuration: Configuration, *, folder: Path | None = None, open_cleaner: Callable[[int], Cleaner] | None = None,
    ) -> None:
        self.engine = Engine(settings, open_cleaner=open_cleaner)
        self._configuration, self._folder, self._stack = configuration, folder, ExitStack()
        self.page: Any = None
        self.watched: WatchedFolder | None = None
        self.controller: Controller | None = None

    def start(self) -> None:
        """Start everything.

        Raises:
            UsageError: a part cannot be started; nothing is left running.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        configuration, engine = self._configuration, self.engine
        engine.start()
        self._stack.callback(engine.stop)
        if configuration.loop.site is not None or "loop.held_share" in configuration.given or "loop.corrected_share" in configuration.given:
            from .loop.controller import Controller

            self.controller = Controller(engine, configuration.loop)
            self.controller.start()
            self._stack.callback(self.controller.stop)
        if self._folder is not None:
            profile = header_profile(engine.spool.audit, engine.settings.options)
            self.watched = WatchedFolder(
                self._folder, engine, configuration.watch, ignore=engine.settings.options.ignore, names=lambda files: self._names(profile, files))
            self.watched.start()
            self._stack.callback(self.watched.stop)
        if configuration.status.page:
            from .status.server import StatusServer

            review = ReviewProcess(engine.spool.audit, configuration.review.name, configuration.review.port)
            self.page = StatusServer(engine, configuration.status, review, self._facts)
            self.page.start()
            self._stack.callback(self.page.stop)

    def _names(self, profile: HeaderProfile, files: TakenFiles) -> ResultNames:
        return ResultNames(self.engine.settings.options.paths, profile, files.parts(), files.add_parts)

    def _facts(self) -> dict[str, Any]:
        """What the status page shows besides the engine's numbers."""
        facts: dict[str, Any] = {}
        if self.controller is not None:
            facts |= {"loop": self.controller.state(), "due": bool(self.controller.reasons)}
        if self.watched is not None:
            facts["watch"] = {"files": self.watched.files, **self.watched.last._asdict()}
        return facts

    def stop(self) -> None:
        """End everything. May be called twice."""
        self._stack.close()


def run(settings: NodeSettings, configuration: Configuration, *, folder: Path | None = None, ready: Callable[[Service], object] = lambda service: None) -> Counts:
    """Run a node until SIGINT or SIGTERM, with its log on standard error.

    Args:
        ready: called once everything listens.

    Returns:
        The numbers at the end.

    Raises:
        MarkerRemoverError: it cannot be started, or cleaning became impossible.
    """
    handler = json_log.log_to(sys.stderr)
    service = Service(with_page(settings, configuration), configuration, folder=folder)
    previous = {number: signal.signal(number, lambda *_: service.engine.end()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        service.start()
        ready(service)
        service.engine.wait_end()
    finally:
        service.stop()
        for number, action in previous.items():
            signal.signal(number, action)
        json_log.stop(handler)
    if service.engine.error:
        raise service.engine.error
    return service.engine.counts()
