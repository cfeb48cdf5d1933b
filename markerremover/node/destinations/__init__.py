"""The three kinds of destination: a Storage SCP, a DICOMweb service that takes STOW-RS, a folder.

Each is a `Peer`: `connected` gives a function that sends one verified file as it is, byte for byte, and returns "" or why it was not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from ...errors import MarkerRemoverError
from ...formats.dicom.file_meta import FileFacts
from ..records import Delivery, Destination, DicomDestination, FolderDestination

NO_DICOM = "is no DICOM object, which this destination takes only"


class Unreachable(MarkerRemoverError):
    """A destination cannot be reached or takes nothing at all at present: all that is due to it waits."""


class Parcel(NamedTuple):
    """One result to send, and what its head says; None of a file that is no DICOM file."""

    delivery: Delivery
    facts: FileFacts | None


Send = Callable[[Parcel, Path], str]


class Peer(Protocol):
    """One destination."""

    def connected(self, parcels: Sequence[Parcel]) -> AbstractContextManager[Send]:
        """A connection for some parcels.

        Returns:
            A context that gives `send(parcel, path of the verified result)`: "" once the destination confirmed that it has the object, or
            else why it does not, without identifiers.

        Raises:
            Unreachable: also `send` and the end of the context may raise it.
        """


def peer_of(destination: Destination) -> Peer:
    """What sends to a destination.

    Raises:
        UsageError: its certificates, token or folder cannot be read, or a library is missing.
    """
    if isinstance(destination, FolderDestination):
        from .folder import FolderPeer

        return FolderPeer(destination)
    if isinstance(destination, DicomDestination):
        from .storage import StoragePeer

        return StoragePeer(destination)
    from .web import WebPeer

    return WebPeer(destination)
