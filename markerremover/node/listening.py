"""The DICOM services of a node: Verification SCP and Storage SCP for radiographs.

A C-STORE request is answered with Success once the object is on the disk and in the index; never before. Data sets are not parsed here, so a
hostile one cannot stop the node.
"""

from __future__ import annotations

import logging
import sqlite3
import ssl
from io import BytesIO
from typing import Any

from ..errors import RefusedError, UsageError
from ..formats.dicom.file_meta import FileFacts, read_syntaxes
from .destinations.storage import library
from .incoming import TOO_LARGE, Incoming
from .index import Index
from .records import Limits, Listening, is_loopback

log = logging.getLogger(__name__)

SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
PDU_BYTES = 1 << 17  # largest PDU that is received
#: SOP Class UID -> name, of what is taken.
CLASSES = {
    "1.2.840.10008.5.1.4.1.1.1": "Computed Radiography Image Storage",
    "1.2.840.10008.5.1.4.1.1.1.1": "Digital X-Ray Image Storage - For Presentation",
    "1.2.840.10008.5.1.4.1.1.1.1.1": "Digital X-Ray Image Storage - For Processing",
    "1.2.840.10008.5.1.4.1.1.1.2": "Digital Mammography X-Ray Image Storage - For Presentation",
    "1.2.840.10008.5.1.4.1.1.1.2.1": "Digital Mammography X-Ray Image Storage - For Processing",
    "1.2.840.10008.5.1.4.1.1.1.3": "Digital Intra-Oral X-Ray Image Storage - For Presentation",
    "1.2.840.10008.5.1.4.1.1.1.3.1": "Digital Intra-Oral X-Ray Image Storage - For Processing",
    "1.2.840.10008.5.1.4.1.1.12.1": "X-Ray Angiographic Image Storage",
    "1.2.840.10008.5.1.4.1.1.12.1.1": "Enhanced XA Image Storage",
    "1.2.840.10008.5.1.4.1.1.12.2": "X-Ray Radiofluoroscopic Image Storage",
    "1.2.840.10008.5.1.4.1.1.12.2.1": "Enhanced XRF Image Storage",
    "1.2.840.10008.5.1.4.1.1.7": "Secondary Capture Image Storage",
    "1.2.840.10008.5.1.4.1.1.7.2": "Multi-frame Grayscale Byte Secondary Capture Image Storage",
    "1.2.840.10008.5.1.4.1.1.7.3": "Multi-frame Grayscale Word Secondary Capture Image Storage",
    "1.2.840.10008.5.1.4.1.1.7.4": "Multi-frame True Color Secondary Capture Image Storage",
}
VERIFICATION = "1.2.840.10008.1.1"


class Oversized(BytesIO):
    """The data set of an object that is too large: it takes no more bytes, and the request is refused when it has come to its end."""

    def write(self, data: Any, /) -> int:
        """Drop the bytes."""
        return len(data)


class Listener:
    """The services on one port.

    Args:
        incoming: takes the objects.  index: where refusals are noted.

    Raises:
        UsageError: pynetdicom is missing, or a certificate cannot be read.
    """

    def __init__(self, listening: Listening, limits: Limits, incoming: Incoming, index: Index) -> None:
        library()
        self._listening, self._limits, self._incoming, self._index = listening, limits, incoming, index
        self._tls = _server_tls(listening) if listening.certificate else None
        self._server: Any = None

    def start(self) -> int:
        """Listen; returns the port, which the system chooses for port 0.

        Raises:
            UsageError: the address and port cannot be had.
        """
        from pynetdicom import AE, evt

        listening, limits = self._listening, self._limits
        entity = AE(listening.ae_title)
        entity.maximum_associations, entity.maximum_pdu_size = limits.associations, PDU_BYTES
        entity.network_timeout = entity.acse_timeout = entity.dimse_timeout = limits.idle_s
        entity.require_called_aet = True
        entity.require_calling_aet = list(listening.callers)
        entity.add_supported_context(VERIFICATION)
        syntaxes = list(read_syntaxes())
        for sop_class in CLASSES:
            entity.add_supported_context(sop_class, syntaxes)
        handlers: list[Any] = [
            (evt.EVT_C_ECHO, lambda event: SUCCESS), (evt.EVT_C_STORE, self._store), (evt.EVT_PDU_RECV, self._received),
            (evt.EVT_CONN_OPEN, self._connected), (evt.EVT_REJECTED, self._rejected), (evt.EVT_ABORTED, self._aborted),
        ]
        try:
            self._server = entity.start_server((listening.host, listening.port), block=False, ssl_context=self._tls, evt_handlers=handlers)
        except OSError as error:
            raise UsageError(f"{listening.host}:{listening.port}: cannot listen there ({error.strerror or type(error).__name__})") from None
        port = int(self._server.socket.getsockname()[1])
        log.info("listening on %s:%d as %s%s%s", listening.host, port, listening.ae_title, " with TLS" if self._tls else "",
                 "" if is_loopback(listening.host) or self._tls else ": without TLS everybody on the way can read what is sent")
        return port

    def stop(self) -> None:
        """End the services; associations are aborted."""
        for association in list(self._server.active_associations):
            association.abort()
        self._server.shutdown()

    def _store(self, event: Any) -> int:
        """Answer one C-STORE request, see the module."""
        request, caller = event.request, str(event.assoc.requestor.ae_title).strip()
        data = request.DataSet
        if data is None or not request.AffectedSOPInstanceUID or not request.AffectedSOPClassUID:
            self._refuse(caller, CANNOT_UNDERSTAND, "a request without data set or UIDs")
            return CANNOT_UNDERSTAND
        if isinstance(data, Oversized):
            self._refuse(caller, OUT_OF_RESOURCES, TOO_LARGE)
            return OUT_OF_RESOURCES
        facts = FileFacts(str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID), str(event.context.transfer_syntax), 0)
        try:
            with data.getbuffer() as view:
                self._incoming.accept_data_set(view, facts, caller)
        except RefusedError as error:
            self._refuse(caller, OUT_OF_RESOURCES, str(error))
            return OUT_OF_RESOURCES
        except (OSError, sqlite3.Error) as error:
            self._refuse(caller, OUT_OF_RESOURCES, f"the spool cannot be written ({type(error).__name__})")
            return OUT_OF_RESOURCES
        return SUCCESS

    def _refuse(self, caller: str, status: int, reason: str) -> None:
        log.warning("an object from %s was refused with status %#06x: %s", caller, status, reason)
        try:
            self._index.note("receiving", f"refused with status {status:#06x}: {reason}")
        except sqlite3.Error:
            log.error("the refusal cannot be noted: the index cannot be written")

    def _received(self, event: Any) -> None:
        """Stop keeping the bytes of a data set that grows too large."""
        message = event.assoc.dimse.message
        data = message.data_set if message is not None else None
        if data is not None and not isinstance(data, Oversized) and data.tell() > self._limits.object_bytes:
            message.data_set = Oversized()

    def _connected(self, event: Any) -> None:
        """End a connection from an address that is not allowed, before anything is read of it; of others no read waits for ever."""
        address = event.address[0]
        event.assoc.dul.socket.socket.settimeout(self._limits.idle_s)
        if self._listening.addresses and address not in self._listening.addresses:
            log.warning("a connection from an address that is not allowed was ended")
            event.assoc.dul.socket.close()

    def _rejected(self, event: Any) -> None:
        log.warning("an association was rejected: the AE titles are not allowed, or there are too many associations")

    def _aborted(self, event: Any) -> None:
        log.warning("an association was aborted; what was complete of it is kept")


class _Deferring(ssl.SSLContext):
    """Shakes hands at the first byte that is read, in the thread of the association: a caller that never does keeps no other one waiting."""

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        """As the standard one, without the handshake."""
        return super().wrap_socket(*args, **options | {"do_handshake_on_connect": False})


def _server_tls(listening: Listening) -> ssl.SSLContext:
    """TLS 1.2 or later; with `ca` only for callers with a certificate.

    Raises:
        UsageError: a file cannot be read.
    """
    try:
        context = _Deferring(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(str(listening.certificate), listening.key)
        if listening.ca:
            context.load_verify_locations(listening.ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"the node's certificates cannot be read ({type(error).__name__})") from None
    return context
