"""The settings of a node from a configuration file."""

from __future__ import annotations

from pathlib import Path

from .. import site_profile
from ..configuration import node_tables
from ..configuration.reading import Configuration
from .records import GIB, Destination, DicomDestination, FolderDestination, Limits, WebDestination


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


def learnt_weights(configuration: Configuration | None) -> Path | None:
    """The weights in use in the site of [loop], where the file names none itself and the site has begun; else None.

    Raises:
        UsageError: the site's profile cannot be read.
    """
    if configuration is None or configuration.site.weights is not None or configuration.loop.site is None:
        return None
    profile = configuration.loop.site / site_profile.FILE
    return site_profile.read(profile).weights if profile.is_file() else None
