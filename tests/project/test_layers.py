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
    "levels": "",
    "display": "levels",
    "placement": "errors records",
    "glyphs": "",
    "records": "errors",
    "site": "errors records texts",
    "header_profile": "errors regular texts",
    "spelling": "",
    "days": "spelling",
    "naming": "spelling",
    "identifiers": "days naming records spelling",
    "telltales": "days identifiers naming records spelling",
    "terms": "spelling",
    "header_identifiers": "dicom_tags header_profile identifiers records spelling terms",
    "headers": "header_identifiers header_profile records telltales",
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
    "spare_bits": "errors",
    "header_changes": "headers",
    "dicom_pixels": "errors dicom_tags",
    "dicom": "dicom_decode dicom_file dicom_pixels dicom_tags dicom_view encapsulated errors forks header_changes header_identifiers header_profile headers records",
    "dicom_decode": "dicom_file dicom_pixels encapsulated errors header_changes spare_bits",
    "images": "dicom display errors header_profile jpeg placement png records tiff",
    "apart": "errors images orphans records",
    "operating": "records boxes",
    "rescore": "errors forks locations operating unconnected",
    "lean": "",
    "unconnected": "",
    "forks": "errors",
    "regular": "errors",
    "batching": "forks",
    "bound": "batching unconnected",
    "cards": "errors texts",
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
    "two_bars": "candidates glyphs strokes",
    "lines": "boxes glyphs isolation records strokes",
    "second_pass": "records boxes ocr glyphs candidates isolation staying strokes two_bars",
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
    "report": "audit_page crops errors header_profile records regular",
    "texts": "errors regular",
    "image_names": "errors texts",
    "labelme": "errors records regular texts",
    "metrics": "records boxes",
    "windows": "apart boxes errors image_names images labelme placement records texts",
    "synthesis": "boxes errors image_names labelme records texts windows",
    "training": "records batching boxes errors labelme windows detect operating unconnected",
    "rescoring": "records boxes errors windows detect operating rescore training",
    "training_cli": "detect errors rescoring training",
    "folds": "errors windows",
    "convert": "errors unconnected",
    "export": "apart convert detect engine errors images inputs locations network parity records rescore synthesis training",
    "export_cli": "errors export options",
    "journal": "regular",
    "corrections": "boxes errors events journal records regular",
    "looks": "corrections cuts decide detect errors forks frames images legible lines ocr placement records redact second_look second_pass styles telltales verify",
    "events": "errors journal",
    "pipeline": "crops images looks options records errors header_profile",
    "remover": "pipeline images options records errors site",
    "finetune_report": "crops metrics report records errors",
    "recipes": "errors",
    "measure": "apart box_level errors finetune_report images judging metrics pipeline records redact windows",
    "tuning": "detect errors folds operating recipes records rescore rescoring training windows",
    "finetune": "apart detect errors finetune_report folds images locations measure metrics ocr pipeline recipes records site training tuning windows",
    "finetune_cli": "errors finetune metrics recipes site",
    "improve": "apart comparison corrections detect errors evaluation finetune finetune_cli folds images journal judging labelme measure metrics ocr pipeline recipes records regular report rescore results review shards site training windows",
    "inputs": "errors",
    "workers": "capacity errors pipeline options orphans records header_profile",
    "ray_network": "errors inference_server network",
    "scale": "errors inference_server options pipeline ray_network records unconnected workers",
    "judging": "boxes metrics records",
    "truth": "errors image_names labelme records texts",
    "matching": "crops errors image_names truth",
    "breakdown": "records",
    "box_level": "judging metrics records",
    "average_precision": "errors records",
    "results": "apart breakdown errors image_names images judging matching placement records report truth",
    "evaluation": "average_precision box_level breakdown errors image_names judging matching metrics placement records results truth",
    "evaluation_report": "apart average_precision box_level breakdown errors evaluation finetune_report images metrics report results",
    "comparison": "box_level errors evaluation metrics results",
    "evaluate_cli": "comparison detect errors evaluation evaluation_report metrics ocr",
    "benchmark": "batch errors evaluation finetune labelme metrics options records site synthesis training",
    "benchmark_cli": "benchmark",
    "byhand": "errors labelme records",
    "runs": "errors inputs options paths records regular report",
    "paths": "errors header_profile headers identifiers inputs records report",
    "shards": "crops errors inputs report",
    "batch": "apart byhand capacity corrections errors header_profile images inference_server inputs options paths pipeline records regular report runs scale shards workers",
    "review": "apart batch boxes corrections crops decide display errors evaluation events images inputs labelme pipeline progress records regular report runs workers",
    "annotate": "apart cli decide errors images inputs looks options pipeline records review unconnected",
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
    "pydicom": {"dicom", "dicom_decode", "dicom_file", "dicom_pixels", "dicom_tags", "dicom_view", "encapsulated", "header_changes", "header_identifiers", "headers", "spare_bits", "synthesis", "terms"},
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
