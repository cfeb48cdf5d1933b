"""The command line: parse, call, print, exit.

Exit codes: 0 every input ended cleaned or unchanged, 1 some were held, failed or released although they would be held, 2 usage error.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from .. import __version__
from ..configuration.command_options import add_config_options, with_config
from ..errors import MarkerRemoverError, UsageError
from ..options import DEVICES, RunOptions
from .annotate import add_annotate_parser
from .benchmark import add_benchmark_parser
from .checks.verify import add_verify_parser
from .evaluate import add_evaluate_parser
from .export import add_export_parser
from .export_dataset import add_export_dataset_parser
from .finetune import add_finetune_parser
from .improve import add_improve_parser
from .remove import add_remove_parser
from .review import add_review_parsers
from .services.queue import add_queue_parser
from .services.serve import add_serve_parser
from .services.watch import add_watch_parser
from .synthesize import add_synthesize_parser
from .train import add_train_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = build_parser()
    if isinstance(sys.stdout, io.TextIOWrapper):  # paths may hold characters that the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        args = with_config(parser, commands_of(parser), parser.parse_args(argv), argv)
        return args.run(args)
    except SystemExit as stop:  # argparse: --help, --version or a usage error
        return int(stop.code or 0)
    except UsageError as error:
        print(f"markerremover: {error}", file=sys.stderr)
        return 2
    except MarkerRemoverError as error:
        print(f"markerremover: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # not about a single file, for example a full disk of the audit
        print(f"markerremover: stopped: {error.strerror} ({error.filename}); --resume continues", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("markerremover: interrupted; `--resume` continues", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """A parser whose usage errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser of every subcommand; each sets `run`, a function of the parsed arguments."""
    parser = _Parser(
        prog="markerremover", description="Black out what is burned into radiographs; isolated laterality markers are retained.",
    )
    parser.add_argument("--version", action="version", version=f"markerremover {__version__}")
    parser.add_argument("--print-config", action=_PrintConfig, help="print a commented configuration file that says the defaults, and exit")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    add_remove_parser(subparsers)
    add_synthesize_parser(subparsers)
    add_train_parser(subparsers)
    add_finetune_parser(subparsers)
    add_improve_parser(subparsers)
    add_export_parser(subparsers)
    add_export_dataset_parser(subparsers)
    add_evaluate_parser(subparsers)
    add_verify_parser(subparsers)
    add_review_parsers(subparsers)
    add_annotate_parser(subparsers)
    add_serve_parser(subparsers)
    add_watch_parser(subparsers)
    add_queue_parser(subparsers)
    add_benchmark_parser(subparsers)
    info = subparsers.add_parser("info", help="show versions, weights, backends, OCR engine and codecs")
    info.add_argument("--weights", type=Path, help="an .onnx, .xml or .engine with its card beside it")
    info.add_argument("--device", choices=DEVICES, default=RunOptions().device, help="show what this device would use (default: %(default)s)")
    info.add_argument("--json", action="store_true", help="as JSON")
    info.set_defaults(run=_info)
    demo = subparsers.add_parser("demo", help="make synthetic radiographs and clean them")
    demo.add_argument("folder", nargs="?", type=Path, default=Path("demo"), help="folder to create them in (default: %(default)s)")
    demo.set_defaults(run=_demo)
    add_config_options(subparsers.choices)
    return parser


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Command -> its parser."""
    (subparsers,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return subparsers.choices


class _PrintConfig(argparse.Action):
    """Prints a configuration file and exits, as --version does."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *unused: Any) -> None:
        from ..configuration import printing

        print(printing.text(), end="")
        parser.exit()


def _info(args: argparse.Namespace) -> int:
    from .output.information import gather, lines

    facts = gather(args.weights, args.device)
    for line in [json.dumps(facts, indent=1)] if args.json else lines(facts):
        print(line)
    return 0


def _demo(args: argparse.Namespace) -> int:
    from .demo import run_demo

    return run_demo(args.folder)
