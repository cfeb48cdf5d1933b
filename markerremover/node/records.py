"""The records of the node: its settings, the states of an object, and what a status page shows.

None of them holds a value of a DICOM header: an object is named by its number in the index and by a random path below the spool.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UsageError
from ..options import RunOptions

#: The states of an object; each object is in exactly one.
STATES = ("received", "working", "sent", "held", "failed")
#: Stages of the state "working": being cleaned; cleaned and verified, and waiting for at least one destination.
STAGES = ("cleaning", "waiting")
#: What is shown: the states, "working" by its stages.
SHOWN_STATES = ("received", *STAGES, "sent", "held", "failed")
#: Words for all objects of a state, where their numbers could be given.
ALL = {"all-held": "held", "all-failed": "failed"}
PORT = 11112  # the port registered for DICOM without root's rights
AE_TITLE = "MARKERREMOVER"
GIB = 1 << 30


@dataclass(frozen=True)
class Counts:
    """Numbers of objects by state. Every object that was ever accepted is counted once.

    received: spooled, not yet being cleaned.  cleaning, waiting: the two stages of "working".  forgotten: sent objects whose rows were
    deleted after the time that duplicates are remembered.  accepted: objects ever accepted, counted when they came, not from the states.
    duplicates: objects that came again with the same bytes; they are no objects of their own.
    """

    received: int = 0
    cleaning: int = 0
    waiting: int = 0
    sent: int = 0
    held: int = 0
    failed: int = 0
    forgotten: int = 0
    accepted: int = 0
    duplicates: int = 0

    @property
    def working(self) -> int:
        """Objects in the state "working"."""
        return self.cleaning + self.waiting

    @property
    def reconciles(self) -> bool:
        """Whether all objects that were accepted are in a state."""
        return self.accepted == self.received + self.working + self.sent + self.held + self.failed + self.forgotten


@dataclass(frozen=True)
class Rates:
    """Numbers of objects in the last `window_s` seconds that were received, cleaned (with any outcome), sent (to all destinations)."""

    window_s: float
    received: int = 0
    cleaned: int = 0
    sent: int = 0


@dataclass(frozen=True)
class Stored:
    """One object.

    number: its number in the index, which logs use.  relative: its path below objects/ and out/.  size: bytes in the spool.
    origin: calling AE title, or what else it came through.  state, stage: of STATES and STAGES, stage "" outside "working".
    reason: of a held or failed object; of a waiting one, why it fails when nothing more is due.  received_at, changed_at: seconds since 1970.  sha256_out: of the verified result, "" without.
    in_quarantine: whether the audit that `review` opens has it.  attempts: how often its cleaning was begun.
    given_name: path below a watched folder, "" for an object that came by DICOM.
    """

    number: int
    relative: str
    size: int
    origin: str
    state: str
    stage: str = ""
    reason: str = ""
    received_at: float = 0.0
    changed_at: float = 0.0
    sha256_out: str = ""
    in_quarantine: bool = False
    attempts: int = 0
    given_name: str = ""


@dataclass(frozen=True)
class Delivery:
    """What is due to one destination: object `number` with its result's path below out/ and SHA-256; `attempts` so far.

    again: whether the destination has an earlier result of this object, which a person's correction replaces.
    """

    number: int
    destination: str
    relative: str
    sha256_out: str
    attempts: int = 0
    again: bool = False
    given_name: str = ""


@dataclass(frozen=True)
class DestinationState:
    """One destination: numbers of deliveries pending and sent, age of the oldest pending one in seconds (None without), seconds until the next
    attempt (None without), the last error of those pending, "" if none."""

    name: str
    pending: int
    sent: int
    oldest_s: float | None
    next_attempt_s: float | None
    last_error: str


@dataclass(frozen=True)
class Problem:
    """One recent trouble: when (seconds since 1970), where ("receiving", "cleaning", "sending NAME" ...), object number or None, and what; without
    identifiers."""

    when: float
    where: str
    number: int | None
    text: str


@dataclass(frozen=True)
class DicomDestination:
    """A Storage SCP.

    name: in the index, logs and the status page.  ae_title: called AE title.  calling: our AE title towards it.
    tls: whether TLS is used, with `ca` (PEM file of trusted certificates, None for the system's) and the client certificate and key, if any.
    """

    name: str
    host: str
    port: int
    ae_title: str
    calling: str = AE_TITLE
    tls: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        _check_ae(self.ae_title)
        _check_ae(self.calling)
        _check_port(self.port)


@dataclass(frozen=True)
class WebDestination:
    """A DICOMweb service that takes STOW-RS.

    url: of the service, without /studies.  token: file with a bearer token.  login: file with USER:PASSWORD, for Basic authentication.
    ca, certificate, key: as for `DicomDestination`.
    """

    name: str
    url: str
    token: Path | None = None
    login: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise UsageError(f"destination {self.name}: its address must begin with https:// or http://")
        if self.token and self.login:
            raise UsageError(f"destination {self.name}: a token and a login exclude each other")


@dataclass(frozen=True)
class FolderDestination:
    """A folder, which must exist. Objects that came by DICOM are named by the SOP Instance UID of the result, others as in the watched folder."""

    name: str
    path: Path


Destination = DicomDestination | WebDestination | FolderDestination


@dataclass(frozen=True)
class Listening:
    """What the DICOM node accepts.

    host: address that it listens on.  callers: calling AE titles that are accepted; empty accepts all, which only a loopback address may.
    addresses: IP addresses of callers that are accepted; empty accepts all.
    certificate, key: PEM files; with them the node speaks TLS only.  ca: PEM file; with it a caller must have a certificate signed by one of them.
    """

    ae_title: str = AE_TITLE
    host: str = "127.0.0.1"
    port: int = PORT
    callers: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    def __post_init__(self) -> None:
        for title in (self.ae_title, *self.callers):
            _check_ae(title)
        _check_port(self.port, lowest=0)
        if (self.certificate is None) != (self.key is None):
            raise UsageError("TLS of the node needs a certificate and its key")
        if self.ca and not self.certificate:
            raise UsageError("checking certificates of callers needs TLS: a certificate and its key")
        if not self.callers and not is_loopback(self.host):
            raise UsageError(f"the node would listen on {self.host} and take objects of every caller: name the calling AE titles that it accepts")


@dataclass(frozen=True)
class Limits:
    """What the node refuses with status A700 (Refused: Out of Resources), and what it remembers.

    associations: accepted at the same time; further ones are rejected.  object_bytes: largest object.  spool_bytes: of all objects in the spool.
    free_bytes: what must stay free on the spool's file system.  per_minute: objects in a minute; 0: no limit.
    idle_s: an association without traffic is ended after these seconds.
    first_retry_s, longest_retry_s: seconds between the attempts of a delivery; the wait is doubled after each.
    remember_days: days that a sent object is remembered, to recognise it if it comes again; 0: for ever.
    """

    associations: int = 16
    object_bytes: int = 2 * GIB
    spool_bytes: int = 200 * GIB
    free_bytes: int = 1 * GIB
    per_minute: int = 0
    idle_s: float = 60.0
    first_retry_s: float = 5.0
    longest_retry_s: float = 900.0
    remember_days: float = 0.0

    def __post_init__(self) -> None:
        for name in ("associations", "object_bytes", "spool_bytes", "idle_s", "first_retry_s", "longest_retry_s"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} is {getattr(self, name)}, allowed is more than 0")
        for name in ("free_bytes", "per_minute", "remember_days"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} is {getattr(self, name)}, allowed is 0 or more")


@dataclass(frozen=True)
class NodeSettings:
    """Everything about one node.

    spool: its folder: objects that came, results that wait, the index, the quarantine.  options: of cleaning, as of a run.
    destinations: where each verified result goes, all of them, except those that are reserved.
    reserved: origin -> names of the only destinations of objects that came through it; nothing else goes there.  listening: None without DICOM services, as for a watched folder.

    Raises:
        UsageError: names of destinations are not unique, there is none, one is a folder that holds the spool or lies in it, or the options are
            not for a node.
    """

    spool: Path
    destinations: tuple[Destination, ...]
    options: RunOptions = field(default_factory=lambda: RunOptions(workers=None, time_limit=900.0))
    listening: Listening | None = field(default_factory=Listening)
    limits: Limits = field(default_factory=Limits)
    reserved: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        names = [destination.name for destination in self.destinations]
        if unknown := {name for reserved in self.reserved.values() for name in reserved} - set(names):
            raise UsageError(f"destination {', '.join(sorted(unknown))} is reserved, but there is none of that name")
        reserved_names = {name for names in self.reserved.values() for name in names}
        for one in self.destinations:  # what is reserved, as for the status page, is no output folder
            if isinstance(one, FolderDestination) and one.name not in reserved_names:
                check_apart(self.spool, one.path)
        if not self.route(""):
            raise UsageError("a node needs at least one destination")
        if double := {name for name in names if names.count(name) > 1}:
            raise UsageError(f"destination {', '.join(sorted(double))} is named twice")
        for name in ("release_held", "by_hand", "dry_run", "resume", "overwrite", "shard"):
            if getattr(self.options, name):
                raise UsageError(f"{name} is not for a node: only what was cleaned and verified leaves it")
        if self.options.engine != "local":
            raise UsageError("a node cleans with processes of its own machine, not with Ray")


    def route(self, origin: str) -> tuple[str, ...]:
        """Names of the destinations of objects that came through `origin`."""
        taken = {name for names in self.reserved.values() for name in names}
        return self.reserved.get(origin) or tuple(one.name for one in self.destinations if one.name not in taken)


def check_apart(*folders: Path) -> None:
    """Refuse folders that are the same or nested: originals would be among results, or results taken in again.

    Raises:
        UsageError: two of them are.
    """
    real = [folder.resolve() for folder in folders]
    for number, one in enumerate(real):
        for other in real[number + 1 :]:
            if one.is_relative_to(other) or other.is_relative_to(one):
                raise UsageError(f"{one} and {other} may not be the same or nested: watched folder, results and spool lie apart")


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to an address: "localhost" or a loopback IP address.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, False)
    """
    import ipaddress

    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_ae(title: str) -> None:
    """Refuse what is no AE title (PS3.5, VR AE): 1 to 16 characters of ASCII without backslash or control characters."""
    if not 1 <= len(title.strip()) <= 16 or not title.isascii() or not title.isprintable() or "\\" in title:
        raise UsageError(f"AE title {title!r}: allowed are 1 to 16 ASCII characters without backslash")


def _check_port(port: int, lowest: int = 1) -> None:
    if not lowest <= port <= 65535:
        raise UsageError(f"port is {port}, allowed is {lowest} to 65535")
