"""Numbers for Prometheus, read from the index when they are asked for; without identifiers and without AE titles of callers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ... import __version__
from ..engine import Engine

PREFIX = "markerremover_node"


class _Collector:
    """A collector of prometheus-client."""

    def __init__(self, engine: Engine, due: bool | None) -> None:
        self._engine, self._due = engine, due

    def collect(self) -> Iterator[Any]:
        """The metrics at this moment."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        index, spool = self._engine.index, self._engine.spool
        counts = index.counts()
        yield InfoMetricFamily(PREFIX, "version of the program", value={"version": __version__})
        objects = GaugeMetricFamily(f"{PREFIX}_objects", "objects by state; working has two stages", labels=["state"])
        for name in ("received", "cleaning", "waiting", "sent", "held", "failed"):
            objects.add_metric([name], getattr(counts, name))
        yield objects
        yield CounterMetricFamily(f"{PREFIX}_accepted", "objects that were ever accepted", value=counts.accepted)
        yield CounterMetricFamily(f"{PREFIX}_duplicates", "objects that came again with the same content", value=counts.duplicates)
        yield GaugeMetricFamily(f"{PREFIX}_reconciles", "1 if every accepted object is in exactly one state", value=int(counts.reconciles))
        oldest = GaugeMetricFamily(f"{PREFIX}_oldest_seconds", "age of the oldest object of a state", labels=["state"])
        for name, age in index.oldest().items():
            oldest.add_metric([name], age)
        yield oldest
        pending = GaugeMetricFamily(f"{PREFIX}_pending", "results that a destination does not have yet", labels=["destination"])
        oldest_pending = GaugeMetricFamily(f"{PREFIX}_pending_oldest_seconds", "age of the oldest of them", labels=["destination"])
        for state in index.destinations(tuple(one.name for one in self._engine.settings.destinations)):
            pending.add_metric([state.name], state.pending)
            oldest_pending.add_metric([state.name], state.oldest_s or 0.0)
        yield pending
        yield oldest_pending
        yield GaugeMetricFamily(f"{PREFIX}_spool_bytes", "size of all objects in the spool", value=index.spool_bytes())
        yield GaugeMetricFamily(f"{PREFIX}_free_bytes", "free space of the spool's file system", value=spool.free_bytes())
        yield GaugeMetricFamily(f"{PREFIX}_ready", "1 if the networks are loaded", value=int(self._engine.is_ready))
        if self._due is not None:
            yield GaugeMetricFamily(f"{PREFIX}_time_to_learn", "1 if the share of held or corrected objects is past its threshold", value=int(self._due))


def text(engine: Engine, due: bool | None = None) -> tuple[bytes, str]:
    """The metrics in Prometheus' text format, and its media type.

    Args:
        due: whether it is time to learn; None if nobody looks.
    """
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(engine, due))
    return generate_latest(registry), CONTENT_TYPE_LATEST
