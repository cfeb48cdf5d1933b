"""The settings of a node from a configuration file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..configuration import node_tables
from ..configuration.reading import Configuration
from ..errors import UsageError
from .records import GIB, Destination, DicomDestination, FolderDestination, Limits, Listening, NodeSettings, WebDestination


def listening(configuration: Configuration) -> Listening:
    """What the DICOM services accept, from [node]."""
    node = configuration.node
    return Listening(
        ae_title=node.ae_title, host=node.host, port=node.port, callers=node.callers, addresses=node.addresses, certificate=node.tls_certificate,
        key=node.tls_key, ca=node.tls_ca)


def limits(configuration: Configuration) -> Limits:
    """The limits, from [node]."""
    node = configuration.node
    return Limits(
        associations=node.associations, object_bytes=int(node.object_gib * GIB), spool_bytes=int(node.spool_gib * GIB), free_bytes=int(node.free_gib * GIB),
        per_minute=node.per_minute, idle_s=node.idle_s, first_retry_s=node.first_retry_s, longest_retry_s=node.longest_retry_s, remember_days=node.remember_days)


def destinations(configuration: Configuration, calling: str | None = None) -> tuple[Destination, ...]:
    """The destinations, from [[destinations]].

    Args:
        calling: our AE title towards them; the node's own by default.
    """
    return tuple(_destination(one, calling or configuration.node.ae_title) for one in configuration.destinations)


def _destination(one: node_tables.Destination, calling: str) -> Destination:
    if one.kind == "dicom":
        assert one.host is not None and one.port is not None and one.ae_title is not None
        return DicomDestination(
            one.name, one.host, one.port, one.ae_title, calling, one.tls, one.tls_ca, one.tls_certificate, one.tls_key, timeout_s=one.timeout_s)
    if one.kind == "dicomweb":
        assert one.url is not None
        return WebDestination(
            one.name, one.url, token=one.token_file, login=one.login_file, ca=one.tls_ca, certificate=one.tls_certificate, key=one.tls_key,
            timeout_s=one.timeout_s)
    assert one.folder is not None
    return FolderDestination(one.name, one.folder)


def node_settings(
    configuration: Configuration, *, spool: Path | None = None, listens: bool = True, further: Sequence[Destination] = (), **changes: Any,
) -> NodeSettings:
    """The settings of a node.

    Args:
        spool: instead of the file's.  listens: whether there are DICOM services.  further: destinations besides the file's.
        changes: fields of `RunOptions` that override the file.

    Raises:
        UsageError: there is no spool or no destination, or an option is not for a node.
    """
    where = spool or configuration.node.spool
    if where is None:
        raise UsageError("a node needs a folder for its spool: name it with --spool, or as spool in the table [node] of the configuration file")
    if configuration.run.audit is not None:
        raise UsageError("run.audit is not for a node: its audit is out-audit in the spool")
    return NodeSettings(
        where, (*destinations(configuration), *further), configuration.run_options(**changes), listening(configuration) if listens else None,
        limits(configuration))
