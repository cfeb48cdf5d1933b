"""The options of a run, with every default in one place; the command line reads them from here."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from .errors import UsageError
from .headers.profile import CONSONANTS, MODES, RETAINABLE, HeaderProfile, read_key
from .laterality.burned_in import all_meanings
from .records import DEFAULT_KEEP, Policy
from .scope.modality import checked_modalities
from .site_profile import SiteProfile

PATHS = ("auto", "pseudonym", "keep")
DEVICES = ("auto", "cpu", "openvino", "onnxruntime", "cuda", "tensorrt")
#: Transfer syntax of written DICOM pixels: the source's, or the same for all files; their UIDs are in `formats.dicom.pixels.CHOICES`.
TRANSFER_SYNTAXES = ("source", "explicit-le", "rle", "jpeg2000-lossless", "jpeg-ls-lossless", "deflated")
ENGINES = ("local", "ray")
#: How much is spent on finding: the localizer alone; the text detector, too; the text detector on a larger picture.
EFFORTS = ("fast", "default", "thorough")
MOST_BATCH = 64  # largest batch of pictures in the localizer's network
TIME_LIMIT = 900.0  # time limit per file of a command, seconds; a radiograph takes less than one, a long cine a few minutes
#: Version of the rules. It is increased whenever other pixels are removed with the same weights, so that --resume does not reuse older results.
RULES = 7
#: Name of the key file in the audit folder.
KEY = "key"
#: Other files that are usual beside images. A DICOMDIR names patients, so it is listed but never copied.
DEFAULT_IGNORE = ("DICOMDIR", ".DS_Store", "Thumbs.db")


@dataclass(frozen=True)
class RunOptions:
    """Options of one run over files and folders.

    policy: what is retained, and the margins of removed boxes; None takes the site's, or else the default.
    weights: an ONNX, OpenVINO or TensorRT model with its card beside it, or the `.pt` or `.json` beside an ONNX one; None
        takes the site's, or else the shipped one.
    site: a site profile; the other options override it.
    device: one of DEVICES.  workers: number of processes; 1 works in this one, None suits the machine and the number of files
        (`workers.fitting`).
    batch: highest number of pictures in one call of the localizer's network; above 1 the network runs in a process of its own for all
        workers. None takes the backend's best value, 1 on the CPU.
    effort: how much is spent on finding, one of EFFORTS.
    dry_run: detect and report, but write no image.
    overwrite: replace outputs of an earlier run.  resume: continue an earlier run.
    ignore: globs on the file name or on the path below its input; matches are listed, not processed.
    audit: the audit folder; None is "OUT-audit" beside OUT.
    headers: treatment of DICOM headers, one of `profile.MODES`.
    key: file of the secret key for pseudonyms and UIDs; None is `KEY` in the audit folder, created where it is missing.
    retain: patient characteristics that are retained in headers, names of `profile.RETAINABLE`.
    shift_dates: dates are shifted by a number of days fixed for the patient instead of being removed.
    paths: treatment of paths, one of `PATHS`: "auto" pseudonymises every part with an identifier of any DICOM header of the run (none
        where headers are kept), "pseudonym" every part of every path, "keep" none.
    time_limit: time limit per file in seconds, without start-up; with a limit every file is cleaned in a process that can be ended, also
        with one worker. None: no limit.
    second_look: RapidOCR searches for text too, in the input and in the result.
    release_held: files that would be held only because something still shows in the result are written, and recorded as such.
    hold_unusable: files whose picture is no usable radiograph are not written, see `triage.UNUSABLE`; by default they are only flagged.
    transfer_syntax: of written DICOM pixels, one of TRANSFER_SYNTAXES.
    boxes: folder of LabelMe files and masks drawn by hand: what was drawn is blacked out, and the pictures are not searched.
    boxes_template: a LabelMe file or a mask that counts in the same way for every image without one of its own in `boxes`.
    engine: one of ENGINES: processes of this machine, or Ray Data.  ray_address: of a cluster; None starts Ray here.
    allow_modality: what is cleaned though the weights were not validated on it, of `modality.ALLOWABLE`; the site's by default.
    read_laterality: laterality markers are read even if they are not retained: the site's, or else the default ones.
    meanings: laterality marker -> "left" or "right"; None takes the site's and the known ones.
    full_pictures_gb: greatest size of the full pictures in the audit, 10^9 bytes; files cleaned after that have none. 0: none.
    shard: (i, n): only the i-th of n parts of the files, by the hash of their paths below their inputs; None: all. See `run.shards`.

    Raises:
        UsageError: an option is out of range, or options exclude each other.
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
    boxes_template: Path | None = None
    shard: tuple[int, int] | None = None
    engine: str = "local"
    ray_address: str | None = None
    batch: int | None = None
    effort: str = "default"
    allow_modality: tuple[str, ...] | None = None
    read_laterality: bool = False
    meanings: dict[str, str] | None = field(default=None, hash=False)
    full_pictures_gb: float = 4.0
    hold_unusable: bool = False

    def __post_init__(self) -> None:
        if self.policy is None:
            object.__setattr__(self, "policy", self.site.policy() if self.site else Policy())
        if self.meanings is None:
            object.__setattr__(self, "meanings", all_meanings(self.site.keep if self.site else None))
        if self.allow_modality is None:
            object.__setattr__(self, "allow_modality", self.site.allow_modality if self.site else ())
        object.__setattr__(self, "allow_modality", checked_modalities(self.allowed))
        if self.read_laterality and not self.resolved_policy.read:
            markers = tuple(self.site.keep) if self.site and self.site.keep else DEFAULT_KEEP
            object.__setattr__(self, "policy", replace(self.resolved_policy, read=markers))
        if self.weights is None and self.site:
            object.__setattr__(self, "weights", self.site.weights)
        if self.device not in DEVICES:
            raise UsageError(f"device is {self.device!r}, allowed are {', '.join(DEVICES)}")
        if self.effort not in EFFORTS:
            raise UsageError(f"effort is {self.effort!r}, allowed are {', '.join(EFFORTS)}")
        if self.headers not in MODES:
            raise UsageError(f"headers is {self.headers!r}, allowed are {', '.join(MODES)}")
        if self.transfer_syntax not in TRANSFER_SYNTAXES:
            raise UsageError(f"transfer_syntax is {self.transfer_syntax!r}, allowed are {', '.join(TRANSFER_SYNTAXES)}")
        if unknown := [name for name in self.retain if name not in RETAINABLE]:
            raise UsageError(f"retain is {', '.join(unknown)}, allowed are {', '.join(RETAINABLE)}")
        if self.paths not in PATHS:
            raise UsageError(f"paths is {self.paths!r}, allowed are {', '.join(PATHS)}")
        if self.headers == "keep" and (self.retain or self.shift_dates or (self.key and self.paths != "pseudonym")):
            raise UsageError("--key, --retain and --shift-dates are about cleaned headers: they do not go with --headers keep")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers is {self.workers}, allowed is 1 or more")
        if self.batch is not None and not 1 <= self.batch <= MOST_BATCH:
            raise UsageError(f"batch is {self.batch}, allowed is 1 to {MOST_BATCH}")
        if self.batch is not None and self.batch > 1 and self.by_hand:
            raise UsageError("--batch does not go with --boxes")
        if self.time_limit is not None and not 0 < self.time_limit < float("inf"):
            raise UsageError(f"time_limit is {self.time_limit}, allowed is a number of seconds above 0, or none")
        if not 0 <= self.full_pictures_gb < float("inf"):
            raise UsageError(f"full_pictures_gb is {self.full_pictures_gb}, allowed is 0 or more")
        if self.by_hand and self.second_look:
            raise UsageError("--boxes does not go with --second-look: only drawn boxes count")
        if self.by_hand and self.read_laterality:
            raise UsageError("--boxes does not go with --read-laterality: only drawn boxes count")
        if self.by_hand and (self.shard is not None or self.engine != "local" or self.resolved_policy.style != "box"):
            raise UsageError("--boxes does not go with --shard, --engine ray or another --style than box")
        if self.engine not in ENGINES:
            raise UsageError(f"engine is {self.engine!r}, allowed are {', '.join(ENGINES)}")
        if self.ray_address is not None and self.engine != "ray":
            raise UsageError("--ray-address needs --engine ray")
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1]:
            raise UsageError(f"shard is {self.shard[0]}/{self.shard[1]}, allowed is i/n with i from 1 to n")
        if self.overwrite and self.resume:
            raise UsageError("--overwrite and --resume exclude each other")
        if self.dry_run and (self.overwrite or self.resume):
            raise UsageError("--dry-run takes neither --overwrite nor --resume: it would replace the audit of the real run")

    @property
    def resolved_policy(self) -> Policy:
        """`policy`, which is never None once the options are built."""
        assert self.policy is not None
        return self.policy

    @property
    def allowed(self) -> tuple[str, ...]:
        """`allow_modality`, which is never None once the options are built."""
        return self.allow_modality or ()

    @property
    def by_hand(self) -> bool:
        """Whether only what was drawn by hand is removed."""
        return self.boxes is not None or self.boxes_template is not None

    @property
    def process_count(self) -> int:
        """`workers`; 1 where it is None, until `batch.remove` has determined the number."""
        return self.workers or 1

    def header_profile(self) -> HeaderProfile:
        """The treatment of headers. `key` must be set for "basic".

        Raises:
            UsageError: a key is needed and missing, or see `profile.read_key`.
        """
        if not self.needs_key:
            return HeaderProfile()
        if self.key is None:
            raise UsageError("cleaned headers and pseudonyms in paths need a key file")
        return HeaderProfile(self.headers, read_key(self.key), self.retain, self.shift_dates)

    @property
    def needs_key(self) -> bool:
        """Whether anything is pseudonymised."""
        return self.headers != "keep" or self.paths == "pseudonym"

    def settings_sha256(self, key: bytes = b"") -> str:
        """SHA-256 of everything that decides an output's bytes except input, weights and version; includes `RULES` and the key. --resume reuses
        only rows with the same hash."""
        headers = [self.headers, sorted(self.retain), self.shift_dates, hashlib.sha256(f"settings {CONSONANTS}".encode() + key).hexdigest()]
        others = {
            "second_look": self.second_look, "release_held": self.release_held, "dry_run": self.dry_run,
            "transfer_syntax": self.transfer_syntax, "rules": RULES,
        }
        if self.effort != "default":  # rows of earlier versions remain valid
            others["effort"] = self.effort
        if self.allowed:
            others["allow_modality"] = sorted(self.allowed)
        if self.hold_unusable:
            others["hold_unusable"] = True
        policy = {k: v for k, v in asdict(self.resolved_policy).items() if (k, v) not in (("style", "box"), ("read", ()))}
        text = json.dumps({"policy": policy, "headers": headers, **others}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
