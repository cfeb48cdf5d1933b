"""Limits on idle connections to the review page, in time and number: any user of this machine can open one."""

from __future__ import annotations

import asyncio
from typing import Any

HEADER_S = 10.0  # time limit for receiving a request up to the end of its headers, seconds
ANSWER_S = 300.0  # time limit for sending an answer, seconds
MOST = 64  # highest number of connections at a time; a browser opens six


def timed_protocol() -> type[asyncio.Protocol]:
    """A protocol class for uvicorn: closes a connection without a complete request in time, and the oldest idle one where there are too
    many."""
    from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

    class TimedConnection(H11Protocol):
        """One connection."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._since = self.loop.time()
            self._timer: asyncio.TimerHandle | None = None
            self._answered: RequestResponseCycle | None = None
            others = [one for one in self.connections if isinstance(one, TimedConnection) and one is not self and not one.transport.is_closing()]
            if len(others) >= MOST:
                idle = [one for one in others if one._is_idle()]
                (min(idle, key=lambda one: one._since) if idle else self).transport.abort()
            self._check_time()

        def connection_lost(self, exc: Exception | None) -> None:
            if self._timer is not None:
                self._timer.cancel()
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            self._since = self.loop.time()
            super().on_response_complete()

        def _is_idle(self) -> bool:
            """Whether no request is being answered."""
            return self.cycle is None or self.cycle.response_complete

        def _check_time(self) -> None:
            """Close the connection if its time is over; else check again later."""
            if not self._is_idle() and self._answered is not self.cycle:
                self._answered, self._since = self.cycle, self.loop.time()
            remaining = self._since + (HEADER_S if self._is_idle() else ANSWER_S) - self.loop.time()
            if remaining <= 0:
                self.transport.abort()
            elif not self.transport.is_closing():
                self._timer = self.loop.call_later(min(remaining, HEADER_S), self._check_time)

    return TimedConnection
