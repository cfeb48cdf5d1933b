"""Reads a configuration file: everything is checked before anything is done, and a message names the line and what is allowed."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import site_profile
from ..errors import UsageError
from ..options import DEFAULT_IGNORE, RunOptions
from ..site_profile import SiteProfile
from ..system import regular_files, toml_lines, user_text
from .node_tables import Destination, Loop, Node, Status, Watch
from .run_tables import Headers, Output, Removal, Review, Running
from .settings import WrongSetting, checked

TABLES: dict[str, type[Any]] = {
    "removal": Removal, "output": Output, "headers": Headers, "run": Running, "review": Review, "node": Node, "watch": Watch, "status": Status, "loop": Loop,
}
"""Name of a table -> its record; beside them stand the keys of a site profile and the array of tables `destinations`."""
LIST = "destinations"


@dataclass(frozen=True)
class Configuration:
    """All settings.

    site: the part that is a site profile.  destinations: in the order of the file, their names differ.
    given: every key that the file states, such as "run.workers", with its checked value; `remove` takes other defaults where a key is left out.
    path: of the file, None without one.  sha256: hex, of its bytes, "" without one.
    """

    site: SiteProfile = field(default_factory=SiteProfile)
    removal: Removal = Removal()
    output: Output = Output()
    headers: Headers = Headers()
    run: Running = Running()
    review: Review = Review()
    node: Node = Node()
    destinations: tuple[Destination, ...] = ()
    watch: Watch = Watch()
    status: Status = Status()
    loop: Loop = Loop()
    given: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False)
    path: Path | None = None
    sha256: str = ""

    def run_options(self, **changes: Any) -> RunOptions:
        """The options of a run with these settings.

        Args:
            changes: fields of `RunOptions` that override the file.

        Raises:
            UsageError: options exclude each other.
        """
        policy = replace(self.site.policy(), margin=self.removal.margin, style=self.removal.style)
        options: dict[str, Any] = {
            "policy": policy, "site": self.site, "effort": self.removal.effort, "second_look": self.removal.second_look,
            "read_laterality": self.removal.read_laterality, "ignore": (*DEFAULT_IGNORE, *self.output.ignore),
            "hold_unusable": self.output.hold_unusable, "release_held": self.output.release_held, "transfer_syntax": self.output.transfer_syntax,
            "headers": self.headers.mode, "key": self.headers.key, "retain": self.headers.retain, "shift_dates": self.headers.shift_dates,
            "paths": self.headers.paths, "workers": self.run.workers, "device": self.run.device, "batch": self.run.batch,
            "time_limit": self.run.time_limit or None, "engine": self.run.engine, "ray_address": self.run.ray_address, "audit": self.run.audit,
            "full_pictures_gb": self.run.full_pictures_gb,
        }
        return RunOptions(**options | changes)


def read(path: Path | str) -> Configuration:
    """Read and check a configuration file.

    Args:
        path: the file, or a folder with a `site.toml`, as `improve` creates; a site profile is one, too.

    Raises:
        UsageError: the file is missing or no TOML, a key is unknown, or a value is not allowed; the message names the line.
    """
    path = site_profile.file_of(path)
    try:
        data = regular_files.read(path, site_profile.MOST_BYTES, follow=True)
        text = user_text.decoded(data)
        content = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path}: configuration file cannot be read ({error.strerror})") from error
    except RecursionError:
        raise UsageError(f"{path}: not a TOML file (nested too deeply)") from None
    except ValueError as error:
        raise UsageError(f"{path}: not a TOML file ({error})") from error
    profile = site_profile.read(path)
    if profile.sha256 != hashlib.sha256(data).hexdigest():
        raise UsageError(f"{path}: was changed while it was read: start again")
    tables: dict[str, Any] = {}
    name, index = "", 0
    try:
        for name, record in TABLES.items():
            if name in content:
                tables[name] = checked(record, content[name], name, path.parent)
        name = LIST
        tables[LIST] = _destinations(content.get(LIST, []), path.parent)
    except WrongSetting as error:
        keys: tuple[str | int, ...] = (name, *error.keys)
        raise UsageError(f"{path}{toml_lines.place(text, keys) or toml_lines.place(text, [name, index])}: {error}") from None
    given = {key: content[key] for key in site_profile.KEYS if key in content}
    given |= {f"{name}.{key}": getattr(tables[name], key) for name in TABLES if name in content for key in content[name]}
    configuration = Configuration(site=profile, **tables, given=given, path=path, sha256=profile.sha256)
    try:
        configuration.run_options()
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return configuration


def _destinations(content: Any, folder: Path) -> tuple[Destination, ...]:
    """The destinations of a file; the keys of an error begin with the index."""
    if not isinstance(content, list):
        raise WrongSetting(f"{LIST} is {content!r}, allowed are tables [[{LIST}]], one a destination", ())
    found: list[Destination] = []
    for index, entry in enumerate(content):
        try:
            found.append(checked(Destination, entry, f"{LIST}", folder))
        except WrongSetting as error:
            raise WrongSetting(str(error), (index, *error.keys)) from None
        if found[-1].name in [one.name for one in found[:-1]]:
            raise WrongSetting(f"name is {found[-1].name!r}, which an earlier destination has", (index, "name"))
    return tuple(found)
