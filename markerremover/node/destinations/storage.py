"""Results to a Storage SCP (C-STORE), each in the transfer syntax that it was written in: the verified bytes go out as they are."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ..records import DicomDestination
from . import NO_DICOM, Parcel, Send, Unreachable

#: Statuses of C-STORE with which the object was stored (PS3.4, table B.2-1): success, and the warnings of coercion and of elements left out.
STORED = (0x0000, 0xB000, 0xB006, 0xB007)
OUT_OF_RESOURCES = range(0xA700, 0xA800)

logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # it logs AE titles, UIDs and data sets


class StoragePeer:
    """A Storage SCP, see `DicomDestination`.

    Raises:
        UsageError: pynetdicom is missing, or a certificate cannot be read.
    """

    def __init__(self, destination: DicomDestination) -> None:
        self._to = destination
        library()
        self._tls = client_tls(destination) if destination.tls else None

    @contextmanager
    def connected(self, parcels: Sequence[Parcel]) -> Iterator[Send]:
        """An association with a presentation context for each class and transfer syntax of the parcels. See `Peer`."""
        from pynetdicom import AE

        kinds = dict.fromkeys((parcel.facts.sop_class, parcel.facts.transfer_syntax) for parcel in parcels if parcel.facts)
        if not kinds:
            yield lambda parcel, path: NO_DICOM
            return
        entity = AE(self._to.calling)
        entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = self._to.timeout_s
        for sop_class, syntax in kinds:
            entity.add_requested_context(sop_class, syntax)
        extra: dict[str, Any] = {"tls_args": (self._tls, self._to.host)} if self._tls else {}
        association = entity.associate(self._to.host, self._to.port, ae_title=self._to.ae_title, **extra)
        try:
            if association.is_rejected:
                raise Unreachable("it rejected the association")
            if not association.is_established and association.rejected_contexts:
                yield lambda parcel, path: _unfit(parcel)
                return
            if not association.is_established:
                raise Unreachable("it does not answer, or aborted the association")
            yield lambda parcel, path: self._send(association, parcel, path)
        finally:
            if association.is_established:
                association.release()
            else:
                association.abort()

    def _send(self, association: Any, parcel: Parcel, path: Path) -> str:
        if parcel.facts is None:
            return NO_DICOM
        if not association.is_established:
            raise Unreachable("it ended the association")
        try:
            status = association.send_c_store(path)
        except ValueError:  # no presentation context for it was accepted
            return _unfit(parcel)
        except (RuntimeError, AttributeError) as error:
            raise Unreachable(f"the association was lost ({type(error).__name__})") from None
        if "Status" not in status:
            raise Unreachable("it did not answer in time, or ended the association")
        code = int(status.Status)
        if code in OUT_OF_RESOURCES:
            raise Unreachable(f"it is out of resources (status {code:#06x})")
        return "" if code in STORED else f"refused with status {code:#06x}"


def _unfit(parcel: Parcel) -> str:
    if parcel.facts is None:
        return NO_DICOM
    return f"it does not accept SOP class {parcel.facts.sop_class} in transfer syntax {parcel.facts.transfer_syntax}"


def library() -> None:
    """Import pynetdicom, and let it send files as they are.

    Raises:
        UsageError: it is missing.
    """
    try:
        from pynetdicom import _config
    except ImportError:
        raise UsageError("DICOM services need pynetdicom: install markerremover[node]") from None
    _config.STORE_SEND_CHUNKED_DATASET = True


def client_tls(destination: Any) -> ssl.SSLContext:
    """The TLS context of a connection to a destination, which must show a certificate for its host.

    Args:
        destination: with `ca`, `certificate` and `key`.

    Raises:
        UsageError: a file cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=destination.ca)
        if destination.certificate:
            context.load_cert_chain(destination.certificate, destination.key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"destination {destination.name}: its certificates cannot be read ({type(error).__name__})") from None
    return context
