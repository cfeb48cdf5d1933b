"""The tables of the configuration file about the DICOM node, where results are sent, the watched folder, the status page and the loop."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import MISSING, dataclass
from pathlib import Path

from .settings import NUMBER, PATH, TEXT, TEXTS, TRUTH, WHOLE, WrongSetting, setting

KINDS = {"dicom": ("host", "port", "ae_title"), "dicomweb": ("url",), "folder": ("folder",)}
"""Kind of a destination -> the keys that it needs."""
OF_KIND = {
    "dicom": {"host", "port", "ae_title", "tls", "tls_ca", "tls_certificate", "tls_key", "timeout_s"},
    "dicomweb": {"url", "token_file", "login_file", "tls_ca", "tls_certificate", "tls_key", "timeout_s"}, "folder": {"folder", "timeout_s"},
}
"""Kind of a destination -> all keys that it takes, besides name and kind."""
AE_TITLE = re.compile(r"[ !-\[\]-~]{1,16}")  # DICOM's VR AE: ASCII without control characters and backslash
URL = re.compile(r"(?P<scheme>https?)://(?:\[(?P<ip6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::\d{1,5})?(?:/[^?#@\s]*)?")
NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")


def _check_ae_title(title: str, key: str) -> None:
    if not AE_TITLE.fullmatch(title) or not title.strip():
        raise WrongSetting(f"{key} is {title!r}, allowed are 1 to 16 ASCII characters without backslash", (key,))


def _check_address(address: str) -> None:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise WrongSetting(f"addresses has {address!r}, allowed are IP addresses such as 192.0.2.7", ("addresses",)) from None


def _is_loopback(host: str) -> bool:
    """Whether only this machine can connect to an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_together(record: object, *keys: str) -> None:
    """Check that of some keys all or none are set."""
    if len({getattr(record, key) is None for key in keys}) > 1:
        lacking = next(key for key in keys if getattr(record, key) is None)
        raise WrongSetting(f"{lacking} is left out, though {next(k for k in keys if k != lacking)} is set: they go together", ())


@dataclass(frozen=True)
class Node:
    """The DICOM node of `serve` (extra `node`), and the spool of `serve` and `watch`."""

    ae_title: str = setting("MARKERREMOVER", TEXT, "application entity title of this node")
    host: str = setting("127.0.0.1", TEXT, "address to listen on; 0.0.0.0 lets other machines in")
    port: int = setting(11112, WHOLE, "port to listen on; 0: any free one", least=0, most=65535)
    callers: tuple[str, ...] = setting((), TEXTS, "AE titles that may call; empty: anybody, which only a loopback address may")
    addresses: tuple[str, ...] = setting((), TEXTS, "IP addresses that may call; empty: all")
    spool: Path | None = setting(None, PATH, "folder of what was received, quarantine and index; as confidential as the originals", example="spool")
    tls_certificate: Path | None = setting(None, PATH, "with tls_key: TLS only, with this certificate (PEM)", example="node.crt")
    tls_key: Path | None = setting(None, PATH, "private key of the certificate (PEM)", example="node.pem")
    tls_ca: Path | None = setting(None, PATH, "a caller needs a certificate that one of these signed (PEM); left out: none is asked for", example="callers.crt")
    associations: int = setting(16, WHOLE, "highest number of associations at a time", least=1)
    object_gib: float = setting(2, NUMBER, "largest object that is taken, 2^30 bytes", least=0.000001)
    spool_gib: float = setting(200, NUMBER, "highest size of all objects in the spool, 2^30 bytes", least=0.000001)
    free_gib: float = setting(1, NUMBER, "space that stays free on the spool's file system, 2^30 bytes", least=0)
    per_minute: int = setting(0, WHOLE, "highest number of objects taken in a minute; 0: no limit", least=0)
    idle_s: float = setting(60, NUMBER, "an association without traffic for this long is ended, seconds", least=0.1)
    first_retry_s: float = setting(5, NUMBER, "pause after the first failed attempt to send; it doubles after each, seconds", least=0.01)
    longest_retry_s: float = setting(900, NUMBER, "longest such pause, seconds", least=0.01)
    remember_days: float = setting(0, NUMBER, "for how long a sent object is remembered, to recognise it if it comes again, days; 0: for ever", least=0)

    def __post_init__(self) -> None:
        _check_ae_title(self.ae_title, "ae_title")
        for caller in self.callers:
            _check_ae_title(caller, "callers")
        for address in self.addresses:
            _check_address(address)
        _check_together(self, "tls_certificate", "tls_key")
        if self.tls_ca is not None and self.tls_certificate is None:
            raise WrongSetting("tls_ca is set without tls_certificate: without TLS nobody's certificate is asked for", ("tls_ca",))
        if self.longest_retry_s < self.first_retry_s:
            raise WrongSetting(f"longest_retry_s is {self.longest_retry_s:g}, allowed is first_retry_s ({self.first_retry_s:g}) or more", ("longest_retry_s",))
        if not self.callers and not _is_loopback(self.host):
            raise WrongSetting(f"host is {self.host!r} and callers is empty: name the AE titles that may call, or listen on 127.0.0.1", ("host",))


@dataclass(frozen=True)
class Destination:
    """Where results are sent: another DICOM node, a DICOMweb server (STOW-RS), or a folder."""

    name: str = setting(MISSING, TEXT, "of your choice, for log and status page: letters, digits, dot, hyphen and underscore", example="research")
    kind: str = setting(MISSING, TEXT, "dicom: C-STORE; dicomweb: STOW-RS; folder: files", choices=tuple(KINDS), example="dicom")
    host: str | None = setting(None, TEXT, "of kind dicom: its address", example="127.0.0.1")
    port: int | None = setting(None, WHOLE, "of kind dicom: its port", least=1, most=65535, example=4242)
    ae_title: str | None = setting(None, TEXT, "of kind dicom: its AE title", example="RESEARCH")
    tls: bool = setting(False, TRUTH, "of kind dicom: TLS")
    tls_ca: Path | None = setting(None, PATH, "certificates by which it is recognised (PEM); left out: those of the system", example="archive.crt")
    tls_certificate: Path | None = setting(None, PATH, "with tls_key: our own certificate, where it asks for one", example="node.crt")
    tls_key: Path | None = setting(None, PATH, "private key of that certificate", example="node.pem")
    url: str | None = setting(None, TEXT, "of kind dicomweb: address of the service, without /studies", example="https://archive.example/dicom-web")
    token_file: Path | None = setting(None, PATH, "of kind dicomweb: file with a bearer token", example="archive.token")
    login_file: Path | None = setting(None, PATH, "of kind dicomweb: file with USER:PASSWORD", example="archive.login")
    timeout_s: float = setting(60, NUMBER, "longest wait for an answer, seconds", least=0.1)
    folder: Path | None = setting(None, PATH, "of kind folder: where files are put; it must exist", example="/data/research")

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise WrongSetting(f"name is {self.name!r}, allowed are 1 to 40 letters, digits, dots, hyphens and underscores", ("name",))
        for key in KINDS[self.kind]:
            if getattr(self, key) is None:
                raise WrongSetting(f"a destination of kind {self.kind} needs {key}", ("kind",))
        for key in sorted(set().union(*OF_KIND.values()) - OF_KIND[self.kind]):
            if getattr(self, key) not in (None, False):
                raise WrongSetting(f"{key} is set, but kind is {self.kind!r}, which takes {', '.join(sorted(OF_KIND[self.kind]))}", (key,))
        if self.ae_title is not None:
            _check_ae_title(self.ae_title, "ae_title")
        if self.url is not None:
            self._check_url()
        _check_together(self, "tls_certificate", "tls_key")
        if self.kind == "dicom" and not self.tls:
            for key in ("tls_ca", "tls_certificate"):
                if getattr(self, key) is not None:
                    raise WrongSetting(f"{key} is set without tls = true", (key,))
        if self.token_file is not None and self.login_file is not None:
            raise WrongSetting("token_file and login_file exclude each other", ("token_file",))

    def _check_url(self) -> None:
        """Check that no secret stands in an address, or travels in clear text over a network."""
        parts = URL.fullmatch(self.url or "")
        if parts is None:
            raise WrongSetting(f"url is {self.url!r}, allowed is http(s)://HOST[:PORT]/PATH, without a user or a query", ("url",))
        if (self.token_file or self.login_file) and parts["scheme"] == "http" and not _is_loopback(parts["ip6"] or parts["host"]):
            raise WrongSetting(f"url is {self.url!r}, allowed with token_file or login_file is https, so that nobody on the way reads them", ("url",))


@dataclass(frozen=True)
class Watch:
    """The watched folder of `watch`."""

    folder: Path | None = setting(None, PATH, "the folder to watch; `watch FOLDER` wins", example="inbox")
    out: Path | None = setting(None, PATH, "folder for the results, with the tree of the watched one; left out: the destinations, or FOLDER-clean beside it", example="clean")
    settle_s: float = setting(10, NUMBER, "a file is taken when its size and time have not changed for this long, seconds", least=0)
    poll_s: float = setting(5, NUMBER, "pause between two looks at the folder, seconds", least=0.05)


@dataclass(frozen=True)
class Status:
    """The status page of `serve` and `watch` (extra `node`); on 127.0.0.1 only."""

    page: bool = setting(True, TRUTH, "whether there is one")
    port: int = setting(0, WHOLE, "port to listen on; 0: any free one", least=0, most=65535)
    metrics: bool = setting(False, TRUTH, "/metrics for Prometheus, without the page's cookie: counts and rates, for anybody on this machine")
    upload_mb: float = setting(200, NUMBER, "largest file that may be dropped on the page, 10^6 bytes; 0: none may", least=0)
    upload_files: int = setting(100, WHOLE, "highest number of dropped files that wait", least=1)
    keep_h: float = setting(24, NUMBER, "for how long results of dropped files can be fetched, hours", least=0.001)


@dataclass(frozen=True)
class Loop:
    """When it is time to learn: `improve --due`, and the controller of `serve` and `watch`."""

    site: Path | None = setting(None, PATH, "folder of the site, as of `improve`; left out: nothing is learnt", example="site")
    held_share: float = setting(0.1, NUMBER, "it is time when this share of the latest objects was held", least=0, most=1)
    corrected_share: float = setting(0.05, NUMBER, "it is time when this share of the latest reviewed objects was corrected", least=0, most=1)
    latest: int = setting(200, WHOLE, "how many of the latest objects, and of the latest reviewed ones, are counted", least=1)
    least: int = setting(50, WHOLE, "below this number of objects, or of reviewed ones, their share says nothing", least=1)
    start: bool = setting(False, TRUTH, "whether the controller starts `improve` itself, in a process of its own")
    check_s: float = setting(300, NUMBER, "pause between two looks of the controller, seconds", least=0.05)

    def __post_init__(self) -> None:
        if self.least > self.latest:
            raise WrongSetting(f"least is {self.least}, allowed is at most latest ({self.latest})", ("least",))
        if self.start and self.site is None:
            raise WrongSetting("start is true without site, the folder that `improve` learns in", ("start",))
