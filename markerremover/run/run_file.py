"""The options of a run, saved in its audit as run.json for `review` and `apply`."""

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
_PATHS = ("weights", "audit", "key", "boxes", "boxes_template")
_TUPLES = ("ignore", "retain", "allow_modality")
_PASSING = ("site", "policy", "overwrite", "resume")  # resolved before, or valid for one call only


@dataclass(frozen=True)
class Run:
    """One run over files and folders.

    audit, out: its folders.  inputs: absolute paths.  options: with resolved policy and weights, key and audit as paths.
    """

    audit: Path
    out: Path
    inputs: tuple[Path, ...]
    options: RunOptions


def write(audit: Path, out: Path, inputs: Sequence[Path], options: RunOptions) -> None:
    """Write run.json; it holds paths, so only its owner may read it, as the whole audit."""
    saved: dict[str, Any] = {}
    for field in fields(options):
        value = getattr(options, field.name)
        if field.name not in _PASSING:
            saved[field.name] = str(Path(value).absolute()) if field.name in _PATHS and value is not None else value
    saved["policy"] = asdict(options.resolved_policy)
    document = {"out": str(out), "inputs": [str(Path(p).resolve()) for p in inputs], "options": saved}
    write_private(audit / RUN, json.dumps(document, indent=1) + "\n")


def read(audit: Path) -> Run:
    """The run of an audit.

    Raises:
        UsageError: there is none, it is damaged, or it is of a part of a run.
    """
    audit = Path(audit).absolute()
    if not os.path.lexists(audit / manifest_files.MANIFEST):
        raise UsageError(f"{audit}: holds no {manifest_files.MANIFEST}, so it is no audit of a run (OUT-audit by default)")
    try:
        document = json.loads(regular_files.read(audit / RUN))
        saved = dict(document["options"])
        saved["policy"] = Policy(**(saved["policy"] | {name: tuple(saved["policy"].get(name, ())) for name in ("keep", "read")}))
        saved |= {name: tuple(saved[name]) for name in _TUPLES if saved.get(name) is not None}
        saved |= {name: Path(saved[name]) for name in _PATHS if saved.get(name)}
        saved["audit"] = audit
        saved |= {"engine": "local", "ray_address": None}  # few files are cleaned again
        if saved.get("shard"):
            raise UsageError(f"{audit}: is the audit of a part of a run; merge the parts first, by `remove --resume` without --shard")
        options = RunOptions(**saved)
        if options.key is None and options.needs_key:
            options = RunOptions(**(saved | {"key": audit / KEY}))
        out, inputs = Path(document["out"]), tuple(Path(p) for p in document["inputs"])
    except OSError as error:
        raise UsageError(f"{audit / RUN}: cannot be read ({error.strerror}); runs of earlier versions have none: "
                         "run `remove` again") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{audit / RUN}: is damaged ({type(error).__name__})") from error
    return Run(audit, out, inputs, options)


def sources(run: Run) -> dict[str, Path]:
    """Path below OUT -> input; inputs that are missing, links or ambiguous are left out.

    Raises:
        UsageError: an input of the run is no longer there, or the map of pseudonyms is damaged.
    """
    files, _ = gather(run.inputs, run.options.ignore)
    renamed: dict[str, str] = {}
    map_file = run.audit / MAP
    if os.path.lexists(map_file):
        try:
            rows = [json.loads(line) for line in regular_files.read(map_file).decode("utf-8").splitlines()]
            renamed = {str(row["input"]): str(row["relative"]) for row in rows}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UsageError(f"{map_file}: is damaged ({type(error).__name__})") from error
    return {renamed.get(item.relative, item.relative): item.source for item in files if not item.problem}


def direct(run: Run, relative: str) -> Path | None:
    """The input of a path below OUT as in `sources`, without a walk through all inputs; None where the walk is needed: there are several inputs
    or a map of pseudonyms, or the path is no regular file or passes through a link."""
    root = run.inputs[0].resolve()
    path = root / relative
    if len(run.inputs) > 1 or not root.is_dir() or os.path.lexists(run.audit / MAP):
        return None
    return path if path.is_file() and path.resolve() == path else None
