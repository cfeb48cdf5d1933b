"""The pages: every command in them runs and prints what they say, every option in them exists, every link leads somewhere."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pages
import pytest
import remembered
from pages import PAGES, ROOT, Step

from markerremover.cli import main, remove

DATA = "/data"  # what the pages call the folder that the test works in
TIMES = re.compile(r"^[\d.]+ s, [\d.]+ images/s$")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
ABOUT_A_FILE = re.compile(r"\S+\.(?:png|dcm): \d")  # what `evaluate` says went wrong where
IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]
SCENARIOS = {name: [] if "/reference/" in name else pages.steps(page) for name, page in zip(IDS, PAGES)}  # the reference quotes, it shows no use


@pytest.fixture(scope="module")
def radiographs(tmp_path_factory) -> Path:
    """A small folder called RADIOGRAPHS as the pages have it: two DICOM files and a PNG, with their annotations in LABELS."""
    from markerremover.synthesis import synthesize

    folder = tmp_path_factory.mktemp("radiographs")
    synthesize(folder / "made", 3, 8, split="eval", size=(400, 480), formats=("dcm", "png"), bodies=("chest",))
    (folder / "made" / "images").rename(folder / "RADIOGRAPHS")
    return folder


@pytest.fixture(scope="module", autouse=True)
def loaded_once():
    """Networks and OCR engine are loaded once for all pages, and asked about the same picture once; they keep nothing of a file
    (test_safety.py)."""
    with pytest.MonkeyPatch.context() as patch:
        remembered.loading_once(patch)
        yield


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> Path:
    """A folder with `markerremover` and `python3`, for the commands that need a shell."""
    folder = tmp_path_factory.mktemp("programs")
    for name, what in (("markerremover", "-m markerremover"), ("python3", "")):
        (folder / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {what} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


def look(folder: Path, *, sample: int | None = None, drawn: tuple[int, int, int, int] | None = None) -> None:
    """A person goes through the files of `clean-audit`, draws a box on the first one, if any, and accepts all."""
    from markerremover.review.session import Session

    session = Session(folder / "clean-audit", "A. Reviewer", sample=sample)
    try:
        for number in range(len(session.order)):
            session.looked(session.row(number))
            box = [{"event": "draw", "frame": 0, "xyxy": list(drawn), "kind": "marker"}] if drawn and number == 0 else []
            for event in [*box, {"event": "accept"}]:
                session.decide(number, {"seen": session.file(number)["seen"], **event})
        session.progress()
    finally:
        session.close()


STAND_INS = {
    "a reviewer corrects one file": functools.partial(look, drawn=(40, 40, 90, 60)),
    "a reviewer looks at a sample of two": functools.partial(look, sample=2),
}


@pytest.fixture
def page_folder(tmp_path, radiographs, monkeypatch):
    """An empty folder with RADIOGRAPHS in it, in which commands of ours run in this process, so that nothing is loaded twice."""
    shutil.copytree(radiographs / "RADIOGRAPHS", tmp_path / "RADIOGRAPHS")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(remove, "TIME_LIMIT", 0.0)  # no process apart
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    return tmp_path


HARMLESS = {"markerremover", "python3", "ls", "cat", "head", "sed", "cp", "rm", "printf", "openssl", "chmod"}
"""What a page may have run; whatever installs or fetches something has to be marked as not run."""


def run(step: Step, folder: Path, programs: Path) -> tuple[int, list[str]]:
    """Exit code and printed lines of a command; paths are those that the pages show."""
    assert {part[0] for part in pages.parts(step.text)} <= HARMLESS, step.text
    if pages.plain(step.text):
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()) as told:
            code = main.main(shlex.split(step.text)[1:])
        text, problem = said.getvalue(), told.getvalue()
    else:
        env = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(["sh", "-c", step.text], cwd=folder, env=env, capture_output=True, text=True, check=False)
        code, text, problem = done.returncode, done.stdout, done.stderr
    shown = text if code in (0, 1) else text + problem
    return code, shown.replace(str(folder), DATA).splitlines()


def same(expected: list[str], printed: list[str]) -> bool:
    """Whether a page says what was printed, but for how long it took and for numbers: those that hang on the networks differ in the last
    digits, or by a box, between processors (bf16 or not). MARKERREMOVER_EXACT_PAGES=1 compares them too."""
    untimed = [[TIMES.sub("(time)", line) for line in lines] for lines in (expected, printed)]
    if pages.matches(*untimed) or os.environ.get("MARKERREMOVER_EXACT_PAGES"):
        return pages.matches(*untimed)
    return pages.matches(*([NUMBER.sub("0", line) for line in lines if not ABOUT_A_FILE.match(line)] for lines in untimed))


#: Pages that take longest: a messy archive of sixty files through every step.
LONG = ("docs/tutorial/6-from-an-archive.md",)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.long] * (n in LONG)) for n in IDS if any(not s.skip and not s.train for s in SCENARIOS[n])])
def test_a_page_does_what_it_says(name, page_folder, programs):
    play(SCENARIOS[name], page_folder, programs, name, train=False)


@pytest.mark.train
@pytest.mark.parametrize("name", [n for n in IDS if any(s.train and not s.skip for s in SCENARIOS[n])])
@pytest.mark.long
def test_a_page_that_trains_does_what_it_says(name, page_folder, programs):
    pytest.importorskip("ultralytics")
    play(SCENARIOS[name], page_folder, programs, name, train=True)


def play(steps: list[Step], folder: Path, programs: Path, name: str, *, train: bool) -> None:
    """Everything a page does. Its steps that train, and those after the first of them, belong to the training test, which of those before
    does only what a reader does not see."""
    names: dict = {}
    printed: list[str] = []
    last = next((i for i, step in enumerate(steps) if step.train), len(steps))
    for step in [s for s in steps[:last] if s.hidden] + steps[last:] if train else steps[:last]:
        where = f"{name}:{step.line}: {step.text.splitlines()[0]}"
        if step.kind == "save":
            (folder / step.target).write_text(step.text, encoding="utf-8")
        elif step.kind == "stand-in":
            STAND_INS[step.text](folder)
        elif step.skip:
            continue
        elif step.kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as said:
                exec(compile(step.text, where, "exec"), names)
            assert step.prints is None or same(step.prints, said.getvalue().splitlines()), f"{where}\n{said.getvalue()}"
        else:
            code, printed = run(step, folder, programs)
            assert code == step.exits, f"{where}: exit code {code}\n" + "\n".join(printed)
            assert step.prints is None or same(step.prints, printed), f"{where}\n" + "\n".join(printed)


COMMANDS = [(f"{name}:{step.line}", step) for name in IDS for step in SCENARIOS[name] if step.kind == "command"]


def test_every_command_that_a_page_shows_is_one_that_the_program_takes(capsys):
    parser, seen = main.build_parser(), 0
    for where, step in COMMANDS:
        for arguments in pages.calls(step.text.replace("$SLURM_ARRAY_TASK_ID", "1")):
            try:
                parser.parse_args(arguments)
            except SystemExit as stop:
                assert stop.code in (0, None) or step.exits == 2, f"{where}: {step.text}\n{capsys.readouterr().err}"
            seen += 1
    assert seen > 50


def test_what_is_run_is_harmless_and_what_is_not_says_why():
    for where, step in COMMANDS:
        strange = {part[0] for part in pages.parts(step.text)} - HARMLESS
        assert step.skip or not strange, f"{where}: {', '.join(strange)} is not to be run by a test: mark the block as not run, and say why"
        assert not step.skip or len(step.skip) > 10, f"{where}: why is it not run?"


@functools.cache
def options_of_the_program() -> frozenset[str]:
    (choice,) = (a for a in main.build_parser()._actions if hasattr(a, "choices") and isinstance(a.choices, dict))
    return frozenset(o for parser in (main.build_parser(), *choice.choices.values()) for a in parser._actions for o in a.option_strings)


OTHERS = {"--wheel-dir", "--no-index", "--find-links", "--editable", "--array", "--cpus-per-task", "--mem", "--requeue", "--python", "--user", "--map-root-user", "--net",
          "--download-only", "--no-install-recommends", "--no-cache-dir", "--rm", "--network", "--volume", "--cpus", "--memory", "--variant"}
"""Options of other programs that the pages speak of."""


@pytest.mark.parametrize("name", IDS)
def test_every_option_that_a_page_names_exists(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)))
    assert named - options_of_the_program() - OTHERS == set()


def slug(heading: str) -> str:
    """The anchor that forges give a heading."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


@functools.cache
def anchors(page: Path) -> set[str]:
    text = pages.FENCE.sub("", page.read_text(encoding="utf-8"))
    return {slug(heading) for heading in re.findall(r"^#{1,6} (.*)$", text, re.MULTILINE)}


@pytest.mark.parametrize("page", [*PAGES, *sorted((ROOT / "eval").glob("*.md")), *sorted((ROOT / "weights").glob("*.md")), ROOT / "annotations" / "README.md",
    ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"],
    ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_a_heading(page):
    text = pages.FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}: {target.name} has no such heading"


def test_the_index_leads_to_every_page():
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link).resolve() for link in re.findall(r"\]\(([^)#\s]+)", index.read_text(encoding="utf-8"))}
    assert {page for page in PAGES if page.parent != ROOT} - linked == {index}
