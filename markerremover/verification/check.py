"""The check as a whole: account, then every pair of input and output by itself."""

from __future__ import annotations

import functools
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import ReadError, UsageError
from . import account, identifiers, reading, rows, traces
from .findings import Finding, Report
from .identifiers import Identifiers
from .pair import Checked, check_pair
from .pictures import UnreadError

FILES_A_PROCESS = 8  # fewest files for which one more process pays


def verify(
    inputs: Sequence[Path], out: Path, manifests: Sequence[Path] = (), *, headers: str = "basic", paths: str = "auto", ignore: Sequence[str] = (),
    workers: int | None = None,
) -> Report:
    """Check results against their inputs and the manifest of the run.

    Args:
        inputs: files and folders, as the run was given them.  out: folder of results.
        manifests: of the run, one for each of its parts; by default `manifest.jsonl` in the folder OUT-audit beside OUT.
        headers: "keep" where the run kept headers: then they are not searched.
        paths: "keep" where the run kept paths: then they are not searched.
        ignore: globs of files that the run left out.
        workers: number of processes; None suits cores and files.

    Returns:
        What was found; nothing where every output is its input but for what the manifest says.

    Raises:
        UsageError: inputs, results or manifest are missing.  ReadError: a process that read a file was ended by it.
    """
    if not out.is_dir():
        raise UsageError(f"{out}: there is no such folder")
    manifests = manifests or (out.absolute().with_name(out.absolute().name + "-audit") / "manifest.jsonl",)
    if headers not in ("basic", "keep") or paths not in ("auto", "keep"):
        raise UsageError(f"headers is {headers!r} and paths {paths!r}, allowed are 'basic', 'keep' and 'auto', 'keep'")
    all_rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    renamed: dict[str, str] = {}
    for manifest in manifests:
        found, damaged = rows.read(manifest)
        all_rows, findings, renamed = all_rows + found, findings + damaged, renamed | rows.renamed(manifest)
    files, ignored = account.gathered(inputs, ignore)
    pairs, alone = account.matched(files, all_rows, renamed, out.resolve())
    findings += alone
    counts = Counter({"inputs": len(files), "outputs": len(account.files_below(out.resolve()))})
    counts.update(dict.fromkeys((*rows.RELEASED, *rows.WITHHELD), 0))
    counts.update(row["status"] for row in all_rows)
    with _mapping(workers, len(files)) as each:
        known = each(_identifiers_of, [item.path for item in files]) if headers == "basic" and paths == "auto" else []
        checked: list[Checked] = each(functools.partial(check_pair, headers=headers), pairs)
    if known:
        everybody = functools.reduce(Identifiers.__or__, known)
        findings += [Finding(pair.row["relative"], "identifier", said) for pair in pairs for said in traces.in_path(pair.row["relative"], everybody)]
    for one in checked:
        findings += one.findings
        counts.update(one.counts)
    return Report(tuple(findings), dict(counts), tuple(_notes(headers, paths, ignored, counts)))


def _notes(headers: str, paths: str, ignored: int, counts: Counter[str]) -> Iterator[str]:
    if headers == "keep":
        yield "headers were kept, so neither they nor paths were searched for identifiers"
    elif paths == "keep":
        yield "paths were kept, so they were not searched for identifiers"
    if ignored:
        yield f"{ignored} files of the input were left out by name"
    if number := counts["JPEG files encoded again"]:
        yield f"{number} JPEG pictures were encoded again as a whole: pixels outside differ by rounding"


def _identifiers_of(path: Path) -> Identifiers:
    """The identifiers of a DICOM input; none of other files, and of those that cannot be parsed, which have no output."""
    try:
        data = path.read_bytes()
        if reading.kind_of(data) != "DICOM":
            return Identifiers()
        from . import dicom

        dataset = dicom.parse(data)
        with dicom.quiet():
            return identifiers.of_header(dataset)
    except (OSError, UnreadError):
        return Identifiers()


@contextmanager
def _mapping(workers: int | None, count: int) -> Iterator[Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]]:
    """A function that maps another over items, in processes where these pay.

    Raises:
        ReadError: a process was ended by what it read.
    """
    number = min(os.cpu_count() or 1, count // FILES_A_PROCESS + 1) if workers is None else workers
    if number == 1:
        yield lambda function, items: list(map(function, items))
        return
    with ProcessPoolExecutor(number, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield lambda function, items: list(pool.map(function, items, chunksize=4))
        except BrokenProcessPool:
            raise ReadError("a process of the check was ended by a file that it read") from None
