"""What a run may be told, with every default in one place; the command line reads them from here."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import UsageError
from .headers.profile import CONSONANTS, MODES, RETAINABLE, HeaderProfile, read_key
from .records import Policy
from .site_profile import SiteProfile

PATHS = ("auto", "pseudonym", "keep")
DEVICES = ("auto", "cpu", "openvino", "onnxruntime", "cuda", "tensorrt")
#: How DICOM pixels are written: as the source's are, or all in one transfer syntax; `pixels.CHOICES` has their UIDs.
TRANSFER_SYNTAXES = ("source", "explicit-le", "rle", "jpeg2000-lossless", "jpeg-ls-lossless", "deflated")
ENGINES = ("local", "ray")
MOST_BATCH = 64
#: Counted up whenever the same weights would have other pixels removed, so that --resume does not take over what was cleaned by former rules.
RULES = 5
#: Name of the key file in the audit folder.
KEY = "key"
#: What every real tree holds beside its images. A DICOMDIR names patients, so it is listed but never copied.
DEFAULT_IGNORE = ("DICOMDIR", ".DS_Store", "Thumbs.db")


@dataclass(frozen=True)
class RunOptions:
    """Options of one run over files and folders.

    policy: what is kept and how widely the rest is removed; None takes the site's, or else the default.
    weights: an ONNX, OpenVINO or TensorRT model with its card beside it, or the `.pt` or `.json` beside an ONNX one; None
        takes the site's, or else the shipped one.
    site: a site profile; what is given besides it wins.
    device: one of DEVICES.  workers: processes; 1 works in this one, None takes as many as the machine and the number of files are
        good for (`workers.fitting`).
    batch: pictures that go through the localizer's network together, at most; above 1 the network gets a process of its own, which all
        workers ask. None is what the backend does best: 1 on the CPU.
    dry_run: look and report, write no image.
    overwrite: replace outputs of an earlier run.  resume: carry on with an earlier run.
    ignore: globs on the file name or on the path below its input; matches are listed, not processed.
    audit: the audit folder; None is "OUT-audit" beside OUT.
    headers: what happens to DICOM headers, one of `profile.MODES`.
    key: file of the secret key for pseudonyms and UIDs; None is `KEY` in the audit folder, made where it is not there.
    retain: patient characteristics that stay, names of `profile.RETAINABLE`.
    shift_dates: dates move by days of the patient's own instead of going.
    paths: what happens to paths that name a patient, one of `PATHS`: "auto" gives a pseudonym to every part that holds something of
        a DICOM header of the run (none where headers are kept), "pseudonym" to every part of every path.
    time_limit: seconds that one file may take, starting up not counted; with a limit every file is cleaned in a process that can be
        ended, also with one worker. None: no limit.
    second_look: RapidOCR looks for text too, on the input and on the result.
    release_held: what would be held only because something still shows in the result is written all the same, and marked so.
    transfer_syntax: how DICOM pixels are written, one of TRANSFER_SYNTAXES.
    boxes: folder of LabelMe files that people drew: what they drew is blacked out, nothing else looks at the pictures.
    engine: one of ENGINES: processes of this machine, or Ray Data (see `scale`).  ray_address: of a cluster; None starts Ray here.
    shard: (i, n): only the i-th of n parts of the files, by the hash of their paths below their inputs; None: all. See `shards`.
    """

    policy: Policy | None = None
    weights: Path | None = None
    device: str = "auto"
    workers: int | None = 1
    dry_run: bool = False
    overwrite: bool = False
    resume: bool = False
    ignore: tuple[str, ...] = DEFAULT_IGNORE
    audit: Path | None = None
    site: SiteProfile | None = None
    headers: str = "basic"
    key: Path | None = None
    retain: tuple[str, ...] = ()
    shift_dates: bool = False
    time_limit: float | None = None
    paths: str = "auto"
    second_look: bool = False
    release_held: bool = False
    transfer_syntax: str = "source"
    boxes: Path | None = None
    shard: tuple[int, int] | None = None
    engine: str = "local"
    ray_address: str | None = None
    batch: int | None = None

    def __post_init__(self) -> None:
        if self.policy is None:
            object.__setattr__(self, "policy", self.site.policy() if self.site else Policy())
        if self.weights is None and self.site:
            object.__setattr__(self, "weights", self.site.weights)
        if self.device not in DEVICES:
            raise UsageError(f"device is {self.device!r}, allowed are {', '.join(DEVICES)}")
        if self.headers not in MODES:
            raise UsageError(f"headers is {self.headers!r}, allowed are {', '.join(MODES)}")
        if self.transfer_syntax not in TRANSFER_SYNTAXES:
            raise UsageError(f"transfer_syntax is {self.transfer_syntax!r}, allowed are {', '.join(TRANSFER_SYNTAXES)}")
        if wrong := [name for name in self.retain if name not in RETAINABLE]:
            raise UsageError(f"retain is {', '.join(wrong)}, allowed are {', '.join(RETAINABLE)}")
        if self.paths not in PATHS:
            raise UsageError(f"paths is {self.paths!r}, allowed are {', '.join(PATHS)}")
        if self.headers == "keep" and (self.retain or self.shift_dates or (self.key and self.paths != "pseudonym")):
            raise UsageError("--key, --retain and --shift-dates say how headers are cleaned: they do not go with --headers keep")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers is {self.workers}, allowed is 1 or more")
        if self.batch is not None and not 1 <= self.batch <= MOST_BATCH:
            raise UsageError(f"batch is {self.batch}, allowed is 1 to {MOST_BATCH}")
        if self.batch is not None and self.batch > 1 and self.boxes:
            raise UsageError("--batch does not go with --boxes")
        if self.time_limit is not None and not 0 < self.time_limit < float("inf"):
            raise UsageError(f"time_limit is {self.time_limit}, allowed is a number of seconds above 0, or none")
        if self.boxes and self.second_look:
            raise UsageError("--boxes does not go with --second-look: nothing but what was drawn counts")
        if self.boxes and (self.shard is not None or self.engine != "local" or self.policy.style != "box"):
            raise UsageError("--boxes does not go with --shard, --engine ray or another --style than box")
        if self.engine not in ENGINES:
            raise UsageError(f"engine is {self.engine!r}, allowed are {', '.join(ENGINES)}")
        if self.ray_address is not None and self.engine != "ray":
            raise UsageError("--ray-address goes with --engine ray")
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1]:
            raise UsageError(f"shard is {self.shard[0]}/{self.shard[1]}, allowed is i/n with i from 1 to n")
        if self.overwrite and self.resume:
            raise UsageError("--overwrite and --resume exclude each other")
        if self.dry_run and (self.overwrite or self.resume):
            raise UsageError("--dry-run takes neither --overwrite nor --resume: it would replace the audit of the real run")

    def header_profile(self) -> HeaderProfile:
        """What is done to headers. `key` must be set for "basic".

        Raises:
            UsageError: see `read_key`.
        """
        if not self.needs_key:
            return HeaderProfile()
        if self.key is None:
            raise UsageError("cleaned headers and pseudonyms in paths need a key file")
        return HeaderProfile(self.headers, read_key(self.key), self.retain, self.shift_dates)

    @property
    def needs_key(self) -> bool:
        """Whether anything gets a pseudonym."""
        return self.headers != "keep" or self.paths == "pseudonym"

    def settings_sha256(self, key: bytes = b"") -> str:
        """Hash of what decides an output's bytes apart from the input, the weights and the version, the rules and the key included. Rows with
        another hash are not taken over by --resume."""
        headers = [self.headers, sorted(self.retain), self.shift_dates, hashlib.sha256(f"settings {CONSONANTS}".encode() + key).hexdigest()]
        said = {
            "second_look": self.second_look, "release_held": self.release_held, "dry_run": self.dry_run,
            "transfer_syntax": self.transfer_syntax, "rules": RULES,
        }
        policy = {k: v for k, v in asdict(self.policy).items() if (k, v) != ("style", "box")}  # rows of earlier versions stay good
        text = json.dumps({"policy": policy, "headers": headers, **said}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
