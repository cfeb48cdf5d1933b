"""Results into a folder: written beside, synchronised, and then put in their place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...errors import UsageError
from ...system.files import sha256_file, sync
from ..records import FolderDestination
from . import Parcel, Send, Unreachable

TAKEN = "another file of that name is there"


class FolderPeer:
    """A folder, see `FolderDestination`.

    Raises:
        UsageError: it does not exist or is a link.
    """

    def __init__(self, destination: FolderDestination) -> None:
        self._folder = Path(os.path.abspath(destination.path))
        if not self._folder.is_dir() or self._folder.is_symlink():
            raise UsageError(f"{self._folder}: the folder of destination {destination.name} does not exist, or is a link")

    @contextmanager
    def connected(self, parcels: Sequence[Parcel]) -> Iterator[Send]:
        """See `Peer`."""
        if not self._folder.is_dir():
            raise Unreachable("its folder is not there")
        yield self._put

    def _put(self, parcel: Parcel, path: Path) -> str:
        name = parcel.delivery.given_name or (f"{parcel.facts.sop_instance}.dcm" if parcel.facts else Path(parcel.delivery.relative).name)
        target = self._folder / name
        temporary = target.with_name(f".{parcel.delivery.number}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.parent.resolve().is_relative_to(self._folder.resolve()):
                return "a symbolic link leads out of its folder"
            if os.path.lexists(target) and not parcel.delivery.again:
                same = target.is_file() and not target.is_symlink() and sha256_file(target) == parcel.delivery.sha256_out
                return "" if same else TAKEN  # the same: the node ended before it recorded this delivery
            try:
                shutil.copyfile(path, temporary)
                if sha256_file(temporary) != parcel.delivery.sha256_out:
                    return "the copy is not the result"
                sync(temporary)
                os.replace(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)
            sync(target.parent)
        except OSError as error:
            raise Unreachable(f"its folder cannot be written ({error.strerror})") from None
        return ""
