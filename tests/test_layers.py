"""The table of house-style.md: which module may import which, and who alone uses a library."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import markerremover

PACKAGE = Path(markerremover.__file__).parent

# module -> what it may import of this package; a folder counts as one module
LAYERS = {
    "errors": "",
    "locations": "",
    "capacity": "",
    "boxes": "",
    "display": "",
    "glyphs": "",
    "records": "errors",
    "site": "records errors",
    "header_profile": "errors regular",
    "telltales": "records",
    "headers": "header_profile records telltales",
    "options": "records errors site header_profile",
    "strokes": "glyphs",
    "staying": "glyphs strokes",
    "exif": "errors",
    "png": "records errors display exif",
    "scans": "errors",
    "jpeg": "records errors display exif scans",
    "tiff": "records errors display exif jpeg scans",
    "dicom_file": "errors",
    "dicom_tags": "records errors",
    "dicom_view": "records errors display",
    "encapsulated": "errors",
    "dicom_pixels": "errors dicom_tags",
    "dicom": "records errors forks dicom_file dicom_pixels dicom_tags dicom_view encapsulated header_profile headers",
    "images": "dicom display jpeg png tiff records errors display header_profile",
    "operating": "records boxes",
    "rescore": "errors forks locations operating unconnected",
    "lean": "",
    "unconnected": "",
    "forks": "errors",
    "regular": "errors",
    "batching": "forks",
    "bound": "batching unconnected",
    "cards": "errors",
    "orphans": "",
    "engine": "batching errors forks unconnected",
    "sessions": "batching bound errors forks lean unconnected",
    "backends": "batching engine errors sessions unconnected",
    "network": "backends batching cards errors locations",
    "inference_client": "batching cards errors forks network",
    "inference_server": "backends batching errors inference_client network options orphans",
    "detect": "records batching boxes cards errors inference_client network operating rescore",
    "parity": "records boxes errors",
    "ocr": "records errors forks",
    "legible": "records ocr strokes",
    "second_look": "errors forks legible records unconnected",
    "candidates": "ocr glyphs strokes",
    "isolation": "records candidates glyphs strokes",
    "second_pass": "records boxes ocr glyphs candidates isolation staying strokes",
    "decide": "records boxes glyphs",
    "cuts": "records boxes decide glyphs strokes",
    "redact": "records errors",
    "frames": "records",
    "holes": "records staying strokes",
    "fills": "",
    "styles": "boxes errors fills holes images legible records redact telltales verify",
    "verify": "records boxes errors detect",
    "crops": "records errors",
    "audit_page": "records",
    "report": "audit_page records errors crops header_profile regular",
    "labelme": "records errors regular",
    "metrics": "records boxes",
    "windows": "records boxes errors labelme",
    "synthesis": "records boxes errors labelme",
    "training": "records batching boxes errors labelme windows detect operating unconnected",
    "rescoring": "records boxes errors windows detect operating rescore training",
    "training_cli": "detect errors rescoring training",
    "folds": "errors windows",
    "convert": "errors unconnected",
    "export": "convert detect engine errors images inputs locations network parity records rescore synthesis training",
    "export_cli": "errors export options",
    "journal": "regular",
    "events": "errors journal",
    "corrections": "boxes events journal records errors regular",
    "looks": "corrections forks cuts decide detect frames images legible ocr redact second_look second_pass styles telltales verify records errors",
    "pipeline": "crops images looks options records errors header_profile",
    "remover": "pipeline images options records errors site",
    "finetune_report": "crops metrics report records errors",
    "recipes": "errors",
    "measure": "errors finetune_report images metrics pipeline records redact windows",
    "tuning": "detect errors folds operating recipes records rescore rescoring training windows",
    "finetune": "detect errors finetune_report folds images locations measure metrics ocr pipeline recipes records site training tuning windows",
    "finetune_cli": "errors finetune metrics recipes site",
    "improve": "comparison corrections detect errors evaluation finetune finetune_cli folds images journal judging labelme measure metrics ocr "
               "pipeline recipes records regular report rescore results review shards site training windows",
    "inputs": "errors",
    "workers": "capacity errors pipeline options orphans records header_profile",
    "ray_network": "errors inference_server network",
    "scale": "errors inference_server options pipeline ray_network records unconnected workers",
    "judging": "boxes metrics records",
    "truth": "errors labelme records",
    "breakdown": "errors records",
    "box_level": "metrics records",
    "average_precision": "errors records",
    "results": "breakdown errors images judging records report truth",
    "evaluation": "average_precision box_level breakdown errors judging metrics records results truth",
    "evaluation_report": "average_precision box_level breakdown errors evaluation finetune_report images metrics report results",
    "comparison": "errors evaluation metrics results",
    "evaluate_cli": "comparison detect errors evaluation evaluation_report metrics ocr",
    "benchmark": "batch errors evaluation finetune labelme metrics options records site synthesis training",
    "benchmark_cli": "benchmark",
    "byhand": "errors labelme records",
    "runs": "errors inputs options paths records regular report",
    "paths": "inputs report header_profile headers",
    "shards": "crops errors inputs report",
    "batch": "byhand corrections images inference_server inputs paths scale shards workers pipeline regular report runs options records errors header_profile",
    "review": "batch boxes corrections crops decide errors evaluation events images inputs labelme pipeline progress records regular report runs workers",
    "annotate": "cli decide errors images inputs looks options pipeline records review unconnected",
    "progress": "records",
    "information": "backends batch capacity detect dicom_pixels locations network ocr errors workers",
    "fields": "",
    "demo": "batch cli progress synthesis errors",
    "cli": "annotate batch benchmark_cli demo export_cli information options progress records errors site synthesis training_cli finetune_cli "
           "header_profile evaluate_cli improve review",
    "__main__": "cli",
    "__init__": "",  # names are loaded when asked for, by importlib
}

# library -> the only modules that may import it
ALONE = {
    "ultralytics": {"unconnected", "engine", "training"},  # the latter two its parts, once `unconnected` has it
    "torch": {"engine", "rescoring", "training", "windows"},
    "rapidocr": {"second_look"},
    "tesserocr": {"ocr"},
    "pytesseract": {"ocr"},
    "openvino": {"unconnected"},
    "onnxruntime": {"unconnected", "convert"},
    "dicomanonymizer": {"headers"},
    "pydicom": {"dicom", "dicom_file", "headers", "dicom_pixels", "dicom_tags", "dicom_view", "encapsulated", "synthesis"},
    "ray": {"scale", "ray_network"},
    "tqdm": {"progress"},
    "starlette": {"review"},
    "uvicorn": {"review"},
    "pycocotools": {"average_precision"},
    "matplotlib": {"evaluation_report"},
    "tifffile": {"tiff", "synthesis"},
}

NETWORK = {"socket", "http", "urllib", "requests", "httpx", "ftplib", "smtplib", "aiohttp"}


def sources() -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found.setdefault(parts[0], []).append(path)
    return found


def imports(path: Path) -> tuple[set[str], set[str]]:
    """(modules of this package, top-level names of others) that a file imports anywhere."""
    own, others = set(), set()
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            others |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            others.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom) and node.level == depth:
            names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
            own |= {name for name in names if node.module or name in LAYERS}  # the rest are names of __init__, such as __version__
    return own, others


@pytest.mark.parametrize("module", sorted(sources()))
def test_a_module_imports_only_what_lies_below_it(module):
    assert module in LAYERS, f"{module} is not in the table: add it where it belongs"
    used = set().union(*(imports(path)[0] for path in sources()[module]))
    assert used - {module} <= set(LAYERS[module].split())


@pytest.mark.parametrize("library", sorted(ALONE))
def test_a_library_is_used_by_its_own_modules_only(library):
    users = {module for module, paths in sources().items() for path in paths if library in imports(path)[1]}
    assert users <= ALONE[library]


def test_nothing_talks_to_a_network():
    users = {path.name: imports(path)[1] & NETWORK for paths in sources().values() for path in paths}
    assert not any(users.values()), users


def test_nothing_outside_the_dependencies_is_imported():
    allowed = {"numpy", "cv2", "dicomanonymizer", "pydicom", "PIL", "scipy", "skimage", "tifffile", "onnxruntime", "openvino", "tesserocr", "pytesseract", "rapidocr",
               "tqdm", "pebble", "starlette", "uvicorn", "pycocotools", "matplotlib", "ray",
               "ultralytics", "torch", "torchvision", "onnx", "onnxslim", "openjpeg", "libjpeg", "rle"}
    for paths in sources().values():
        for path in paths:
            unknown = imports(path)[1] - allowed - set(sys.stdlib_module_names)
            assert not unknown, f"{path.name} imports {unknown}"


def test_public_names_are_sorted_and_there():
    assert markerremover.__all__ == sorted(markerremover.__all__)
    assert set(markerremover._HOMES) | {"__version__"} == set(markerremover.__all__)
    assert all(getattr(markerremover, name) is not None for name in markerremover.__all__)


def test_no_broad_except_swallows():
    """A broad handler does something; only where the `try` ends in `return` may it pass, on to the other way that follows."""
    for paths in sources().values():
        for path in paths:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Try) or isinstance(node.body[-1], ast.Return):
                    continue
                for handler in node.handlers:
                    broad = handler.type is None or getattr(handler.type, "id", "") in ("Exception", "BaseException")
                    swallows = all(isinstance(step, (ast.Pass, ast.Continue)) for step in handler.body)
                    assert not (broad and swallows), f"{path.name}:{handler.lineno}"
