"""What a run was told, kept in its audit as run.json, so that a review and `apply` can go on where it ended."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..audit import manifest_files
from ..errors import UsageError
from ..options import KEY, RunOptions
from ..records import Policy
from ..system import regular_files
from ..system.files import write_private
from .inputs import gather
from .output_paths import MAP

RUN = "run.json"
_PATHS = ("weights", "audit", "key", "boxes")
_TUPLES = ("ignore", "retain")
_PASSING = ("site", "policy", "overwrite", "resume")  # what is resolved already, or of one call only


@dataclass(frozen=True)
class Run:
    """One run over files and folders.

    audit, out: its folders.  inputs: what it was given.  options: policy and weights as they were resolved, key and audit as paths.
    """

    audit: Path
    out: Path
    inputs: tuple[Path, ...]
    options: RunOptions


def write(audit: Path, out: Path, inputs: Sequence[Path], options: RunOptions) -> None:
    """Write run.json; it names paths, so it is its owner's only like all of the audit."""
    said: dict[str, Any] = {}
    for field in fields(options):
        value = getattr(options, field.name)
        if field.name not in _PASSING:
            said[field.name] = str(Path(value).absolute()) if field.name in _PATHS and value is not None else value
    said["policy"] = asdict(options.policy)
    document = {"out": str(out), "inputs": [str(Path(p).resolve()) for p in inputs], "options": said}
    write_private(audit / RUN, json.dumps(document, indent=1) + "\n")


def read(audit: Path) -> Run:
    """The run of an audit.

    Raises:
        UsageError: there is none, it is damaged, or its folders are gone.
    """
    audit = Path(audit).absolute()
    if not os.path.lexists(audit / manifest_files.MANIFEST):
        raise UsageError(f"{audit}: holds no {manifest_files.MANIFEST}, so it is no audit of a run (OUT-audit by default)")
    try:
        document = json.loads(regular_files.read(audit / RUN))
        said = dict(document["options"])
        said["policy"] = Policy(**(said["policy"] | {"keep": tuple(said["policy"]["keep"])}))
        said |= {name: tuple(said[name]) for name in _TUPLES if said.get(name) is not None}
        said |= {name: Path(said[name]) for name in _PATHS if said.get(name)}
        said["audit"] = audit
        said |= {"engine": "local", "ray_address": None}  # what is done again is little
        if said.get("shard"):
            raise UsageError(f"{audit}: is the audit of a part of a run; bring the parts together first, by `remove --resume` without --shard")
        options = RunOptions(**said)
        if options.key is None and options.needs_key:
            options = RunOptions(**(said | {"key": audit / KEY}))
        out, inputs = Path(document["out"]), tuple(Path(p) for p in document["inputs"])
    except OSError as error:
        raise UsageError(f"{audit / RUN}: cannot be read ({error.strerror}); runs of earlier versions have none: "
                         "run `remove` again") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{audit / RUN}: is damaged ({type(error).__name__})") from error
    return Run(audit, out, inputs, options)


def sources(run: Run) -> dict[str, Path]:
    """Where the input of each path below OUT lies; those that are gone, links or unclear are left out.

    Raises:
        UsageError: an input of the run is no longer there, or the map of pseudonyms is damaged.
    """
    found, _ = gather(run.inputs, run.options.ignore)
    renamed: dict[str, str] = {}
    mapped = run.audit / MAP
    if os.path.lexists(mapped):
        try:
            rows = [json.loads(line) for line in regular_files.read(mapped).decode("utf-8").splitlines()]
            renamed = {str(row["input"]): str(row["relative"]) for row in rows}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UsageError(f"{mapped}: is damaged ({type(error).__name__})") from error
    return {renamed.get(item.relative, item.relative): item.source for item in found if not item.problem}


def direct(run: Run, relative: str) -> Path | None:
    """What `sources` has for a path below OUT, without a walk through all inputs; None where only the walk can tell: there are several
    inputs or a map of pseudonyms, or what lies there is no regular file reached through no link."""
    root = run.inputs[0].resolve()
    path = root / relative
    if len(run.inputs) > 1 or not root.is_dir() or os.path.lexists(run.audit / MAP):
        return None
    return path if path.is_file() and path.resolve() == path else None
