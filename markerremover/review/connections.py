"""How long, and how many, connections to the review page may be open that ask for nothing: anybody on this machine can open one."""

from __future__ import annotations

from typing import Any

HEADER_S = 10.0  # within which a request has come up to the end of its headers
ANSWER_S = 300.0  # within which an answer is taken
MOST = 64  # connections at a time; a browser opens six


def patient() -> type:
    """A protocol of uvicorn that closes a connection on which no request is whole in time; and where there are too many, the oldest on
    which nobody is answered."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Patient(H11Protocol):
        """One connection."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._since, self._timer, self._answered = self.loop.time(), None, None
            others = [one for one in self.connections if one is not self and not one.transport.is_closing()]
            if len(others) >= MOST:
                idle = [one for one in others if one._is_idle()]
                (min(idle, key=lambda one: one._since) if idle else self).transport.abort()
            self._look()

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

        def _look(self) -> None:
            """Close the connection if no request has come in time, or no answer was taken; else look again when that may be so."""
            if not self._is_idle() and self._answered is not self.cycle:
                self._answered, self._since = self.cycle, self.loop.time()
            left = self._since + (HEADER_S if self._is_idle() else ANSWER_S) - self.loop.time()
            if left <= 0:
                self.transport.abort()
            elif not self.transport.is_closing():
                self._timer = self.loop.call_later(min(left, HEADER_S), self._look)

    return Patient
