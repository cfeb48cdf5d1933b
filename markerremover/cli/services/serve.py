"""`markerremover serve`: a DICOM node that cleans what it receives and sends on what was verified."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...configuration.reading import Configuration
from ...errors import UsageError
from ...node import configured
from ...node.records import AE_TITLE, PORT, Counts, Destination, DicomDestination, FolderDestination, Limits, Listening, NodeSettings, WebDestination
from ...options import DEVICES, RunOptions
from ..arguments import Switch, parse_modalities
from ..remove import TIME_LIMIT, add_finding, add_headers, policy_of

_DICOM = re.compile(r"(?:(?P<tls>dicoms)|dicom)://(?P<title>[^@]+)@(?P<host>\[[^]]+\]|[^:/\[]+):(?P<port>\d+)")
GIB = 1 << 30


def add_serve_parser(subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("serve", help="a DICOM node that cleans what it receives and sends on what was verified (extra node)")
    group = parser.add_argument_group("what comes in")
    add = group.add_argument
    add("spool", nargs="?", type=Path, metavar="SPOOL",
        help="folder of what was received and waits, and of the quarantine; it holds originals (default: that of the configuration file)")
    add("--ae-title", default=AE_TITLE, metavar="TITLE", help="AE title of the node (default: %(default)s)")
    add("--host", default="127.0.0.1", help="address to listen on; with any but a loopback address --caller must be given (default: %(default)s)")
    add("--port", type=int, default=PORT, help="port to listen on (default: %(default)s)")
    add("--caller", action="append", default=[], metavar="TITLE", help="calling AE title that is accepted; repeatable (default: all, on a loopback address)")
    add("--caller-address", action="append", default=[], metavar="IP", help="IP address that is accepted; repeatable (default: all)")
    add("--tls-certificate", type=Path, metavar="PEM", help="certificate of the node: it then speaks TLS only")
    add("--tls-key", type=Path, metavar="PEM", help="key of that certificate")
    add("--tls-callers", type=Path, metavar="PEM", help="certificates that must have signed a caller's")
    group = parser.add_argument_group("where results go")
    add = group.add_argument
    add("--to", action="append", default=[], metavar="DESTINATION",
        help="dicom://TITLE@HOST:PORT, dicoms:// for TLS, the address of a DICOMweb service (https://...), or a folder; repeatable: results go to all; instead of those of the configuration file")
    add("--to-ca", type=Path, metavar="PEM", help="certificates that must have signed a destination's (default: the system's)")
    add("--to-certificate", type=Path, metavar="PEM", help="certificate shown to destinations")
    add("--to-key", type=Path, metavar="PEM", help="key of that certificate")
    add("--token", type=Path, metavar="FILE", help="file with the bearer token of the DICOMweb services")
    add("--login", type=Path, metavar="FILE", help="file with USER:PASSWORD of the DICOMweb services")
    limits = Limits()
    group = parser.add_argument_group("limits")
    add = group.add_argument
    add("--associations", type=int, default=limits.associations, metavar="N", help="most associations at the same time (default: %(default)s)")
    add("--object-gib", type=float, default=limits.object_bytes / GIB, metavar="GIB", help="largest object (default: %(default)g)")
    add("--spool-gib", type=float, default=limits.spool_bytes / GIB, metavar="GIB", help="size of all objects in the spool (default: %(default)g)")
    add("--free-gib", type=float, default=limits.free_bytes / GIB, metavar="GIB", help="what stays free on the spool's disk (default: %(default)g)")
    add("--per-minute", type=int, default=limits.per_minute, metavar="N", help="most objects in a minute; 0: no limit (default: %(default)s)")
    add("--remember-days", type=float, default=limits.remember_days, metavar="DAYS",
        help="days that a sent object is recognised if it comes again; 0: for ever (default: %(default)g)")
    add_finding(parser, by_hand=False)
    add_headers(parser, key="SPOOL/out-audit/key")
    add_working(parser)
    parser.set_defaults(run=_serve)


def add_working(parser: argparse.ArgumentParser) -> None:
    """Options of how objects are cleaned."""
    group = parser.add_argument_group("how it runs")
    add = group.add_argument
    add("--allow-modality", type=parse_modalities, metavar="WHAT", help="also clean what the weights were not validated on, as for `remove`")
    add("--hold-unusable", action=Switch, help="hold pictures that are no usable radiograph")
    add("--workers", type=int, metavar="N", help="processes that clean (default: one per core, fewer with little memory)")
    add("--device", choices=DEVICES, default=RunOptions().device, help="where the localizer runs (default: %(default)s)")
    add("--batch", type=int, metavar="N", help="pictures in one call of the network, as for `remove`")
    add("--time-limit", type=float, default=TIME_LIMIT, metavar="SECONDS", help="time limit per object, after which it has failed (default: %(default)s)")
    add("--full-pictures", type=float, default=RunOptions().full_pictures_gb, metavar="GB",
        help="greatest size of the whole films of held and failed objects (default: %(default)g)")


def destination(text: str, number: int, args: argparse.Namespace) -> Destination:
    """The destination that a text of --to names.

    Raises:
        UsageError: it is none.
    """
    name = f"destination-{number}"
    certificates = {"ca": args.to_ca, "certificate": args.to_certificate, "key": args.to_key}
    if match := _DICOM.fullmatch(text):
        tls = {"tls": True, **certificates} if match["tls"] else {}
        return DicomDestination(name, match["host"].strip("[]"), int(match["port"]), match["title"], calling=args.ae_title, **tls)
    if text.startswith(("http://", "https://")):
        return WebDestination(name, text, token=args.token, login=args.login, **certificates)
    if "://" in text:
        raise UsageError(f"--to {text}: allowed are dicom://TITLE@HOST:PORT, dicoms://TITLE@HOST:PORT, https://..., http://... and a folder")
    return FolderDestination(name, Path(text))


def options_of(args: argparse.Namespace) -> RunOptions:
    """The options of cleaning that the command line asks for.

    Raises:
        UsageError: an option is out of range.
    """
    profile = args.configuration.site if args.configuration else None
    return RunOptions(
        policy=policy_of(args, profile), weights=args.weights or configured.learnt_weights(args.configuration), site=profile, device=args.device, batch=args.batch, workers=args.workers,
        headers=args.headers, key=args.key, retain=args.retain, shift_dates=args.shift_dates, paths=args.paths, time_limit=args.time_limit or None,
        second_look=args.second_look, effort=args.effort, allow_modality=args.allow_modality, hold_unusable=args.hold_unusable,
        read_laterality=args.read_laterality, transfer_syntax=args.transfer_syntax, full_pictures_gb=args.full_pictures)


def settings_of(args: argparse.Namespace) -> NodeSettings:
    """The settings that the command line asks for.

    Raises:
        UsageError: an option is out of range.
    """
    configuration = args.configuration or Configuration()
    options = options_of(args)
    listening = Listening(
        args.ae_title, args.host, args.port, tuple(args.caller), tuple(args.caller_address), args.tls_certificate, args.tls_key, args.tls_callers)
    limits = replace(
        configured.limits(configuration), associations=args.associations, object_bytes=int(args.object_gib * GIB), spool_bytes=int(args.spool_gib * GIB),
        free_bytes=int(args.free_gib * GIB), per_minute=args.per_minute, remember_days=args.remember_days)
    if args.spool is None:
        raise UsageError("name the folder SPOOL, or spool in the table [node] of the configuration file")
    to = tuple(destination(text, n, args) for n, text in enumerate(args.to, 1)) or configured.destinations(configuration, calling=args.ae_title)
    return NodeSettings(args.spool, to, options, listening, limits)


def _serve(args: argparse.Namespace) -> int:
    from ...node import service

    return report(service.run(settings_of(args), args.configuration or Configuration(), ready=_ready))


def _ready(running: Any) -> None:
    print(f"listening on port {running.engine.dicom_port}", flush=True)
    tell_page(running)


def tell_page(running: Any) -> None:
    """Print where the status page is: on a terminal its address, which is a secret, else the file with the address."""
    if running.page is not None:
        entrances = running.page.entrances
        print(f"status page: {entrances.address if sys.stdout.isatty() else f'its address is in {entrances.path}'}", flush=True)


def report(counts: Counts) -> int:
    """Print the numbers at the end; returns the exit code."""
    print(f"{counts.accepted} accepted: {counts.received} received, {counts.waiting} waiting, {counts.sent + counts.forgotten} sent, "
          f"{counts.held} held, {counts.failed} failed")
    return 0
