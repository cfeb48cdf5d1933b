"""Markdown pages as scenarios: their commands in order, what they are said to print, and the marks that say how to run them.

Blocks fenced as `sh`, `console` (`$ command`, then what it prints) and `python` are run, in a folder of the page's own. Marks are HTML
comments, unseen by a reader; a mark speaks of the next block:

    <!-- not run: REASON -->      commands of ours are only parsed, with the real parser
    <!-- short: COMMAND -->       run this instead, which says the same in less time; the block is parsed
    <!-- train -->                needs torch
    <!-- save: NAME -->           the block (of any language) is written to a file, not run
    <!-- prints -->               the block is what the Python block before it prints
    <!-- run: COMMAND -->         not of a block: run this now
    <!-- stand-in: NAME -->       not of a block: what a person or a browser does here, a function of test_docs.py

In what is printed, a line `...` stands for any lines, and a `...` within a line for any text. `$ echo $?` shows the exit code of the
command before; every other command has to end with 0.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TOKEN = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$|<!-- (?P<mark>not run|short|train|save|prints|run|stand-in)(?:: (?P<said>.*?))? -->",
    re.DOTALL | re.MULTILINE)
EXIT_CODE = "echo $?"


@dataclass
class Step:
    """One thing to do on a page.

    kind: "command", "python", "save" or "stand-in".  text: the command, code, content or name.  line: on the page, from 1.
    prints: lines that it is to print; None where the page does not say.  exits: with which code.
    skip: why it is not run, "" if it is.  target: of what is saved.  hidden: whether a reader does not see it.
    """

    kind: str
    text: str
    line: int
    prints: list[str] | None = None
    exits: int = 0
    skip: str = ""
    target: str = ""
    hidden: bool = False
    train: bool = False


@dataclass
class _Marks:
    """What comments said of the next block."""

    said: dict[str, str] = field(default_factory=dict)

    def take(self, name: str) -> str | None:
        return self.said.pop(name, None)


def steps(page: Path) -> list[Step]:
    """Everything that a page does, in order.

    Raises:
        AssertionError: a mark belongs to no block, or a block is marked as it cannot be.
    """
    text = page.read_text(encoding="utf-8")
    found: list[Step] = []
    marks = _Marks()
    for token in TOKEN.finditer(text):
        line = text.count("\n", 0, token.start()) + 1
        mark, said = token["mark"], token["said"] or ""
        if mark == "run":
            found.append(Step("command", said, line, hidden=True))
        elif mark == "stand-in":
            found.append(Step("stand-in", said, line, hidden=True))
        elif mark:
            marks.said[mark] = said
        else:
            found += _block(token["kind"], token["text"], line, marks, found)
            assert not marks.said, f"{page.name}:{line}: {', '.join(marks.said)} does not fit this block"
    assert not marks.said, f"{page.name}: {', '.join(marks.said)} stands before no block"
    return found


def _block(kind: str, text: str, line: int, marks: _Marks, before: list[Step]) -> list[Step]:
    if (target := marks.take("save")) is not None:
        return [Step("save", text, line, target=target)]
    if marks.take("prints") is not None:
        before[-1].prints = text.splitlines()
        return []
    if kind not in ("sh", "console", "python"):
        return []
    skip, short, train = marks.take("not run"), marks.take("short"), marks.take("train") is not None
    if kind == "python":
        return [Step("python", text, line, skip=skip or "", train=train)]
    done = _console(text, line) if kind == "console" else [Step("command", c, line) for c in joined(text)]
    for step in done:
        step.train = train
        step.skip = skip or ("a shorter one is run instead" if short else "")
    return done + ([Step("command", short, line, hidden=True, train=train)] if short else [])


def _console(text: str, line: int) -> list[Step]:
    """The commands of a console, each with what it prints."""
    found: list[Step] = []
    for command, printed in re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
        if command == EXIT_CODE:
            found[-1].exits = int(printed)
        else:
            found += [Step("command", joined(command)[0], line, prints=printed.splitlines())]
    return found


def joined(text: str) -> list[str]:
    """The commands of a shell block: continued lines are one, comments and empty lines none."""
    lines = (re.sub(r"(^|\s+)#.*", "", line).strip() for line in text.replace("\\\n", " ").splitlines())
    return [line for line in lines if line]


def parts(command: str) -> list[list[str]]:
    """The simple commands of a shell command, each as its words; assignments before a command and targets of redirections are left out."""
    words = shlex.shlex(command, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    found: list[list[str]] = [[]]
    target = False
    for word in words:
        if set(word) <= set("<>"):
            target = True
        elif set(word) <= set(";&|()<>"):
            found.append([])
        elif not target and (found[-1] or "=" not in word):
            found[-1].append(word)
        else:
            target = False
    return [part for part in found if part]


def calls(command: str) -> list[list[str]]:
    """The arguments of each call of markerremover in a shell command."""
    return [part[1:] for part in parts(command) if part[0] == "markerremover"]


def plain(command: str) -> bool:
    """Whether a command is one call of markerremover that needs no shell."""
    return command.startswith("markerremover ") and not re.search(r"[;&|<>$`*?~]", re.sub(r"\"[^\"$`]*\"", "", command))


def matches(expected: list[str], printed: list[str]) -> bool:
    """Whether lines are as a page says.

    >>> matches(["a", "...", "b 1... s"], ["a", "x", "y", "b 12 s"]), matches(["a"], ["a", "b"])
    (True, False)
    """
    parts = [r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line.rstrip()).replace(r"\.\.\.", ".*") + r"\n" for line in expected]
    return re.fullmatch("".join(parts), "".join(f"{line.rstrip()}\n" for line in printed)) is not None
