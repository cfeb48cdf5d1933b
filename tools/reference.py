#!/usr/bin/env python3
"""Write docs/reference, and the generated parts of docs/dicom-conformance.md, from the code, or tell where they disagree.

usage: python tools/reference.py [--check]

A generated part stands between `<!-- generated NAME -->` and `<!-- end of generated -->`; NAME is one of `PARTS`.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import markerremover
from markerremover.audit import field_docs
from markerremover.cli.main import build_parser

ROOT = Path(__file__).resolve().parent.parent
PLACE = re.compile(r"(<!-- generated ([a-z-]+) -->\n).*?(<!-- end of generated -->)", re.DOTALL)
NOTE = "<!-- Written by tools/reference.py from the code: change it there. -->\n\n"


def cell(text: str) -> str:
    """Text that may stand in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(map(cell, row))} |" for row in rows)]) + "\n"


def commands() -> dict[str, tuple[str, argparse.ArgumentParser]]:
    """Subcommand -> its line in the list of commands and its parser."""
    (choice,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return {told.dest: (told.help or "", choice.choices[told.dest]) for told in choice._choices_actions}


def spelled(action: argparse.Action) -> str:
    """An argument as one would type it."""
    if not action.option_strings:
        return f"`{action.metavar or action.dest}`" + {"+": " (one or more)", "?": " (optional)"}.get(action.nargs, "")
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    value = "" if action.nargs == 0 else f" [{value}]" if action.nargs == "?" else f" {value}"
    return ", ".join(f"`{name}{value}`" for name in action.option_strings)


def command_line() -> str:
    """Every command with its arguments."""
    text = "# Command line\n\n" + NOTE + "`markerremover COMMAND ...`; `python -m markerremover` is the same. `markerremover --version` prints the version, `markerremover --print-config` a commented [configuration file](configuration.md) with all defaults. Exit codes: [exit-codes.md](exit-codes.md).\n\n"
    text += table(("command", "what it does"), [(f"[`{name}`](#{name})", said) for name, (said, _) in commands().items()])
    for name, (said, parser) in commands().items():
        rows = []
        for action in (a for a in parser._actions if not isinstance(a, argparse._HelpAction)):
            told = parser._get_formatter()._expand_help(action) if action.help else ""
            rows.append((spelled(action) + (" **required**" if action.required and action.option_strings else ""), told))
        exclusive = [" and ".join(f"`{a.option_strings[0]}`" for a in group._group_actions) for group in parser._mutually_exclusive_groups]
        text += f"\n## {name}\n\n{(parser.description or said).strip()}\n\n" + table(("argument", "what it says"), rows)
        text += "".join(f"\n{pair} exclude each other.\n" for pair in exclusive)
    return text


def stub(node: ast.ClassDef | ast.FunctionDef) -> ast.AST:
    """A definition without its body: signature, fields, docstring, and of a class its public methods."""
    said = [node.body[0]] if ast.get_docstring(node) is not None else []
    if isinstance(node, ast.FunctionDef):
        node.body = said or [ast.Expr(ast.Constant(...))]
        return node
    shown = [part for part in node.body if isinstance(part, ast.AnnAssign) and not ast.unparse(part.target).startswith("_") or isinstance(part, ast.FunctionDef) and
             (part.name == "__init__" or not part.name.startswith("_"))]
    node.body = [*said, *(stub(part) if isinstance(part, ast.FunctionDef) else part for part in shown)] or [ast.Expr(ast.Constant(...))]
    return node


def python_api() -> str:
    """Every public name with its signature and docstring."""
    text = "# Python\n\n" + NOTE + "`from markerremover import NAME`. Everything else in the package may change without notice.\n\n"
    names = [name for name in markerremover.__all__ if name in markerremover._HOMES]
    text += table(("name", "module"), [(f"[`{name}`](#{name.lower()})", f"`markerremover.{markerremover._HOMES[name]}`") for name in names])
    for name in names:
        (node,) = ast.parse(inspect.getsource(getattr(markerremover, name))).body
        text += f"\n## {name}\n\n```python\n{ast.unparse(stub(node))}\n```\n"
    return text


def manifest() -> str:
    """The fields of manifest.jsonl and summary.json."""
    rows = [(f"`{name}`", said) for name, said in field_docs.MANIFEST.items()]
    summary = [(f"`{name}`", said) for name, said in field_docs.SUMMARY.items()]
    head = ("field", "what it says")
    return (
        "# Manifest and summary\n\n" + NOTE + "`OUT-audit/manifest.jsonl` has one JSON object a line for each input, in the order in which they were done. "
        "How to read it with a script: [how-to](../how-to/read-the-manifest.md). Both are as confidential as the originals.\n\n## manifest.jsonl\n\n"
        + table(head, rows) + "\n## summary.json\n\n" + table(head, summary)
    )


def exit_codes() -> str:
    return "# Exit codes\n\n" + NOTE + table(("code", "meaning"), [(f"`{code}`", said) for code, said in field_docs.EXIT_CODES.items()])


def errors() -> str:
    """The tree in the docstring of `errors`."""
    said = inspect.getdoc(import_module("markerremover.errors"))
    head, tree, *rest = re.split(r"\n\n(?=    )|\n\n(?=\S)", said)
    rows = [(f"`{name}`", cell(kind.__doc__)) for name, kind in vars(import_module("markerremover.errors")).items() if inspect.isclass(kind)]
    return "# Errors\n\n" + NOTE + f"{head}\n\n```text\n{inspect.cleandoc(tree)}\n```\n\n" + "\n\n".join(rest) + "\n\n" + table(("error", "when"), rows)


def weights() -> str:
    """The fields of a card, and what the shipped one says."""
    import json

    from markerremover.inference.shipped_weights import default_weights
    from markerremover.inference.weights_card import CARD_KEYS

    card = json.loads(default_weights().with_suffix(".json").read_text(encoding="utf-8"))
    simple = [(f"`{key}`", str(value)) for key, value in card.items() if isinstance(value, (str, int, float)) and key not in ("data", "recipe", "operating_note", "known_misses")]
    rows = [(f"`{name}`" + (" **required**" if name in CARD_KEYS else ""), said) for name, said in field_docs.CARD.items()]
    return (
        "# Card of the weights\n\n" + NOTE + "A model is a file and a JSON card of the same name beside it. What the weights were trained on, and what they "
        "miss, with pictures: [weights/MODEL_CARD.md](../../weights/MODEL_CARD.md).\n\n## Fields\n\n" + table(("field", "what it says"), rows)
        + "\n## The shipped weights\n\n" + table(("field", "value"), simple)
    )


def configuration() -> str:
    """The tables of the configuration file, from the records that read it."""
    from markerremover.configuration import printing

    text = (
        "# Configuration file\n\n" + NOTE + "One TOML file for all commands: `--config FILE`. It is checked before anything is done; a message names the line and "
        "what is allowed. What the command line says wins. Relative paths are relative to the file. `markerremover --print-config` prints a file with all "
        "of this as comments. A [site profile](../how-to/site-profile.md) is a configuration file without the other tables.\n"
    )
    for heading, about, rows in printing.rows():
        text += f"\n## {heading}\n\n{about}\n\n" + table(("key", "default", "allowed", "what it says"), [
            (f"`{key}`", default if default in ("left out", "none", "**required**", "L, R and their words") else f"`{default}`", what, said) for key, default, what, said in rows])
    from markerremover.configuration.command_options import OPTIONS

    return text + "\n## Commands that read it\n\n" + ", ".join(f"`{name}`" for name in OPTIONS if name in commands()) + ".\n"


PAGES: dict[str, Callable[[], str]] = {
    "command-line.md": command_line, "configuration.md": configuration, "python.md": python_api, "manifest.md": manifest, "exit-codes.md": exit_codes, "errors.md": errors, "weights.md": weights,
}


def written_as(syntax) -> str:
    """The transfer syntax that changed pixels of a source get by default."""
    from markerremover.formats.dicom import pixels as dicom_pixels

    return "the same" if syntax in (*dicom_pixels.NATIVE, *dicom_pixels.ENCODED) else "Explicit VR Little Endian"


def transfer_syntaxes() -> str:
    """What is read, and what becomes of it."""
    from markerremover.formats.dicom import file_meta, pixels

    rows = []
    for syntax in file_meta.read_syntaxes():
        loss = "yes" if syntax in pixels._LOSSY else "unless Lossy Image Compression is 00" if syntax in pixels._MAYBE_LOSSY else "no"
        asked = ", ".join(f"`{name}`" for name, other in pixels.CHOICES.items() if other == syntax) or "–"
        rows.append((f"{syntax.name} ({syntax})", loss, written_as(syntax), asked))
    return table(("read: transfer syntax (UID)", "taken as lossy", "changed pixels are written as", "written on `--transfer-syntax`"), rows)


def storage_classes() -> str:
    """The SOP Classes that a node takes."""
    from markerremover.node.listening import CLASSES

    return table(("SOP Class", "UID"), [(name, uid) for uid, name in CLASSES.items()])


def method_codes() -> str:
    """The items that De-identification Method Code Sequence can get."""
    from markerremover.headers import profile, program_words

    when = {
        program_words.CLEAN_PIXEL_DATA: "always", profile.BASIC: "`--headers basic` (the default)", profile.RETAINED: "`--retain ...`",
        profile.SHIFTED: "`--shift-dates`",
    }
    return table(("Code Value (0008,0100)", "Coding Scheme Designator", "Code Meaning (0008,0104)", "written with"),
                 [(code, "DCM", meaning, said) for (code, meaning), said in when.items()])


def header_actions() -> str:
    """How many elements of Table E.1-1 get which treatment."""
    from collections import Counter

    from markerremover.headers import dicom_headers

    single, repeating = dicom_headers._table()
    groups = {"removed": dicom_headers._REMOVE, "emptied": dicom_headers._EMPTY, "replaced by a dummy value": dicom_headers._REPLACE, "UID replaced": dicom_headers._UIDS}
    counted = Counter([*single.values(), *(name for _, name in repeating)])
    rows = [(said, str(sum(counted[name] for name in names))) for said, names in groups.items()]
    assert sum(int(count) for _, count in rows) == sum(counted.values()), "an action of the table is in no group"
    return f"Edition: `{dicom_headers.EDITION}`.\n\n" + table(("action on the element", "rows of Table E.1-1"), rows)


def refused_bits() -> str:
    """Limits of what is parsed."""
    from markerremover.formats.dicom import decoding, parsing, tags

    return table(("limit", "value"), [
        ("pixels, over all frames, that a file may declare", f"{decoding.MAX_PIXELS:,}"), ("bytes that a deflated data set may grow to", f"{parsing.MAX_INFLATED_BYTES:,}"),
        ("levels of nested sequences", str(parsing.MAX_DEPTH)),
        ("longest binary value that stays, bytes; look-up tables and palettes apart", str(tags.BULK_BYTES)),
    ])


PARTS: dict[str, Callable[[], str]] = {
    "transfer-syntaxes": transfer_syntaxes, "method-codes": method_codes, "header-actions": header_actions, "limits": refused_bits, "storage-classes": storage_classes,
}


def documents() -> dict[Path, str]:
    """Every generated page, and every page with generated parts, as it ought to be."""
    found = {ROOT / "docs" / "reference" / name: make() for name, make in PAGES.items()}
    page = ROOT / "docs" / "dicom-conformance.md"
    text = page.read_text(encoding="utf-8")
    if unused := set(PARTS) ^ {place[2] for place in PLACE.finditer(text)}:
        raise KeyError(f"{page.name}: parts without a place, or places without a part: {', '.join(sorted(unused))}")
    return found | {page: PLACE.sub(lambda place: place[1] + PARTS[place[2]]() + place[3], text)}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a page disagrees with the code")
    args = parser.parse_args(argv)
    wrong = {page: text for page, text in documents().items() if not page.is_file() or page.read_text(encoding="utf-8") != text}
    for page, text in wrong.items():
        if args.check:
            print(f"{page.relative_to(ROOT)} is not what the code says: run python tools/reference.py", file=sys.stderr)
        else:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text, encoding="utf-8")
            print(f"written: {page.relative_to(ROOT)}")
    return 1 if args.check and wrong else 0


if __name__ == "__main__":
    sys.exit(main())
