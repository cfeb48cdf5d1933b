"""`markerremover export`: parse, call, print."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..options import DEVICES


def add_export_parser(subparsers) -> None:
    """Add the `export` subcommand; it sets `run` to a function of the parsed arguments that returns an exit code."""
    parser = subparsers.add_parser(
        "export", help="write the localizer as ONNX, OpenVINO or TensorRT, checked against its source",
        description="Write the localizer in another format or precision. The result is kept only if it finds what its source "
        "finds: the same boxes within 1 network pixel and scores within 0.01 in fp32; the same decisions and recall in fp16, "
        "bf16 and int8; the shipped weights fail this in int8. Building a TensorRT engine is unverified so far.",
    )
    add = parser.add_argument
    add("--weights", type=Path, help="an .onnx or a .pt, its card beside it (default: the shipped one)")
    add("-o", "--out", type=Path, required=True, help="folder for the model and its card")
    add("--format", choices=("onnx", "openvino", "engine"), required=True,
        help="engine is TensorRT: it and onnx at fp32 start from a .pt (extra `train`)")
    add("--precision", choices=("fp32", "fp16", "int8"), default="fp32",
        help="onnx at fp16 and every int8 need the extra `train`; engine has no int8 (default: %(default)s)")
    add("--samples", type=Path, metavar="DIR", help="radiographs for the parity check (default: synthetic ones)")
    add("--calibration", type=Path, metavar="DIR", help="radiographs that int8's ranges are calibrated on (default: synthetic ones)")
    add("--device", choices=DEVICES, default="auto", help="where the result is checked (default: %(default)s)")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    import json

    from ..errors import UsageError
    from ..training.export import export, read_samples

    if args.calibration and args.precision != "int8":
        raise UsageError("--calibration needs --precision int8")
    model = export(
        args.weights, args.out, format=args.format, precision=args.precision, device=args.device,
        samples=read_samples(args.samples) if args.samples else None,
        calibration=read_samples(args.calibration) if args.calibration else None,
    )
    for check in json.loads(model.with_suffix(".json").read_text(encoding="utf-8"))["parity"]["checks"]:
        if "broken" in check:
            print(f"{check['broken']}; it runs in f32")
            continue
        print(f"{check['rule']} through {check['backend']}: {check['matched']} pairs, corners at most "
              f"{check['max_shift_px']:.3f} network pixels and scores {check['max_score_difference']:.4f} apart, "
              f"{check['near_threshold']} unpaired near the threshold, "
              f"planted found {check['planted_found'][1]} of {check['planted']} (source {check['planted_found'][0]})")
    print(f"for `remove --weights`: {model}")
    return 0
