"""The tables of the configuration file about finding, outputs, headers and running: the options of `remove` by their names on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..headers.profile import MODES, RETAINABLE
from ..options import DEVICES, EFFORTS, ENGINES, MOST_BATCH, PATHS, TIME_LIMIT, TRANSFER_SYNTAXES, RunOptions
from ..records import STYLES, Policy
from .settings import NUMBER, PATH, TEXT, TEXTS, TRUTH, WHOLE, setting

_DEFAULT, _POLICY = RunOptions(), Policy()


@dataclass(frozen=True)
class Removal:
    """How annotations are found and removed."""

    margin: float = setting(_POLICY.margin, NUMBER, "margin of a removed box on each side, as a fraction of its shorter side", least=0, most=2)
    style: str = setting(_POLICY.style, TEXT, "box: boxes are blacked out; mask: only their text; fill: the text is filled from its surroundings", choices=STYLES)
    effort: str = setting(_DEFAULT.effort, TEXT, "what is spent on finding: the localizer alone, the text detector too, or on a larger picture", choices=EFFORTS)
    second_look: bool = setting(_DEFAULT.second_look, TRUTH, "search for text with RapidOCR too, before and after (extra second-look)")
    read_laterality: bool = setting(_DEFAULT.read_laterality, TRUTH, "read laterality markers that are not retained too")


@dataclass(frozen=True)
class Output:
    """Which files get an output, and how it is written."""

    ignore: tuple[str, ...] = setting((), TEXTS, "file names or relative paths (globs) to leave out, besides the usual ones")
    hold_unusable: bool = setting(_DEFAULT.hold_unusable, TRUTH, "hold files whose picture is blank, noise, half empty, a page of text or a photograph")
    release_held: bool = setting(_DEFAULT.release_held, TRUTH, "write also files in whose result something still shows; never of a node or a watched folder")
    transfer_syntax: str = setting(_DEFAULT.transfer_syntax, TEXT, "transfer syntax of written DICOM pixels", choices=TRANSFER_SYNTAXES)


@dataclass(frozen=True)
class Headers:
    """What identifies beside the picture."""

    mode: str = setting(_DEFAULT.headers, TEXT, "basic: the DICOM Basic Application Level Confidentiality Profile; keep: headers still identify", choices=MODES)
    key: Path | None = setting(None, PATH, "64 hex digits, secret: the same key gives the same pseudonyms; left out: one is made in the audit folder", example="site.key")
    retain: tuple[str, ...] = setting(_DEFAULT.retain, TEXTS, "patient characteristics retained in cleaned headers", choices=tuple(RETAINABLE))
    shift_dates: bool = setting(_DEFAULT.shift_dates, TRUTH, "shift dates by a number of days fixed for each patient instead of removing them")
    paths: str = setting(_DEFAULT.paths, TEXT, "pseudonyms for folders and file names: where they tell of a header, for all, or none", choices=PATHS)


@dataclass(frozen=True)
class Running:
    """How and where it runs."""

    workers: int | None = setting(None, WHOLE, "processes; left out: as many as suit the machine", least=1, example=2)
    device: str = setting(_DEFAULT.device, TEXT, "where the localizer runs", choices=DEVICES)
    batch: int | None = setting(None, WHOLE, "pictures in one call of the network; left out: the best of the device", least=1, most=MOST_BATCH, example=8)
    time_limit: float = setting(TIME_LIMIT, NUMBER, "time limit per file, seconds; 0: none", least=0)
    engine: str = setting(_DEFAULT.engine, TEXT, "of `remove`: processes of this machine, or a Ray cluster (extra ray)", choices=ENGINES)
    ray_address: str | None = setting(None, TEXT, "address of the Ray cluster; left out: one is started", example="auto")
    audit: Path | None = setting(None, PATH, "audit folder of `remove`; left out: OUT-audit", example="audit")
    full_pictures_gb: float = setting(_DEFAULT.full_pictures_gb, NUMBER, "greatest size of the whole films in the audit folder, 10^9 bytes; 0: none", least=0)


@dataclass(frozen=True)
class Review:
    """The review page."""

    name: str | None = setting(None, TEXT, "saved with every decision; left out: the login name", example="A. Reviewer")
    port: int = setting(0, WHOLE, "port that the page listens on, of 127.0.0.1; 0: any free one", least=0, most=65535)
