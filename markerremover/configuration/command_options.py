"""The option --config: a configuration file gives the defaults of a command's options, so that what the command line says wins."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HELP = ("configuration file, or a folder of `improve` (see docs/reference/configuration.md; `markerremover --print-config` prints one); "
        "a site profile is one; other options override it")
_CLEANING = {
    "margin": "removal.margin", "style": "removal.style", "effort": "removal.effort", "second_look": "removal.second_look",
    "read_laterality": "removal.read_laterality", "hold_unusable": "output.hold_unusable", "transfer_syntax": "output.transfer_syntax",
    "headers": "headers.mode", "key": "headers.key", "retain": "headers.retain", "shift_dates": "headers.shift_dates", "paths": "headers.paths",
    "workers": "run.workers", "device": "run.device", "batch": "run.batch", "time_limit": "run.time_limit", "full_pictures": "run.full_pictures_gb",
}
#: Command -> its options (names of the parsed arguments), and the settings that give their defaults.
OPTIONS: Mapping[str, Mapping[str, str]] = {
    "remove": _CLEANING | {
        "ignore": "output.ignore", "release_held": "output.release_held", "engine": "run.engine", "ray_address": "run.ray_address", "audit": "run.audit",
    },
    "info": {"weights": "weights", "device": "run.device"},
    "annotate": {"weights": "weights", "keep": "keep"},
    "finetune": {"weights": "weights", "keep": "markers"},
    "improve": {"site": "loop.site"},
    "export": {"weights": "weights", "device": "run.device"},
    "export-dataset": {"audit": "run.audit", "key": "headers.key"},
    "evaluate": {"workers": "run.workers"},
    "synthesize": {"workers": "run.workers"},
    "benchmark": {"weights": "weights"},
    "review": {"name": "review.name", "port": "review.port"},
    "serve": _CLEANING | {
        "spool": "node.spool", "ae_title": "node.ae_title", "host": "node.host", "port": "node.port", "caller": "node.callers",
        "caller_address": "node.addresses", "tls_certificate": "node.tls_certificate", "tls_key": "node.tls_key", "tls_callers": "node.tls_ca",
        "associations": "node.associations", "object_gib": "node.object_gib", "spool_gib": "node.spool_gib", "free_gib": "node.free_gib",
        "per_minute": "node.per_minute", "remember_days": "node.remember_days",
    },
    "queue": {"spool": "node.spool"},
    "watch": _CLEANING | {"folder": "watch.folder", "out": "watch.out", "ignore": "output.ignore", "spool": "node.spool", "settle": "watch.settle_s", "poll": "watch.poll_s"},
}
"""`keep` stands for everything that is retained, `markers` for the laterality markers alone. What is not here the command asks the file for itself:
`remove` keep list, weights, threshold and modalities, `improve` laterality markers and [loop]."""


def add_config_options(parsers: Mapping[str, argparse.ArgumentParser]) -> None:
    """Add --config to each command of OPTIONS that lacks it.

    Args:
        parsers: command -> its parser.
    """
    for command in OPTIONS:
        if command in parsers and "--config" not in parsers[command]._option_string_actions:
            parsers[command].add_argument("--config", type=Path, metavar="FILE.toml", help=HELP)


def with_config(parser: argparse.ArgumentParser, parsers: Mapping[str, argparse.ArgumentParser], args: argparse.Namespace, argv: Any) -> argparse.Namespace:
    """The arguments parsed again with the defaults of the file that they name, which becomes `args.configuration`; None without --config.

    Raises:
        UsageError: the file cannot be read or says what is not allowed.
    """
    args.configuration = None
    if getattr(args, "config", None) is None:
        return args
    from .reading import read

    configuration = read(args.config)
    values = {name: _value(configuration, key) for name, key in OPTIONS[args.command].items() if _is_given(configuration, key)}
    parsers[args.command].set_defaults(**values)
    args = parser.parse_args(argv)
    args.configuration = configuration
    return args


def _is_given(configuration: Any, key: str) -> bool:
    """Whether the file states a setting."""
    keys = {"keep": ("keep", "phrases", "groups"), "markers": ("keep",)}.get(key, (key,))
    return any(one in configuration.given for one in keys)


def _value(configuration: Any, key: str) -> Any:
    """A setting as the command line's parser makes it."""
    site = configuration.site
    if key == "weights":
        return site.weights
    if key == "keep":
        return site.policy().keep
    if key == "markers":
        return ",".join(f"{marker}={side}" for marker, side in site.keep.items()) or "none"
    value = configuration.given[key]
    return list(value) if key in ("output.ignore", "node.callers", "node.addresses") else value
