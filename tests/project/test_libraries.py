"""Who alone uses a library, that nothing talks to a network, and how large packages and modules get. Which package may import which is
`tool.importlinter` in pyproject.toml."""

from __future__ import annotations

import ast
import functools
import sys
import tomllib
from pathlib import Path

import pytest

import markerremover
from markerremover import errors

PACKAGE = Path(markerremover.__file__).parent

# library -> the only modules that may import it, and packages whose modules all may
ALONE = {
    "ultralytics": {"system.telemetry", "inference.tensorrt_engine", "training"},  # the latter two its parts, once `telemetry` has it
    "torch": {"inference.tensorrt_engine", "training"},
    "rapidocr": {"redaction.text_finder"},
    "tesserocr": {"second_pass.tesseract"},
    "pytesseract": {"second_pass.tesseract"},
    "openvino": {"system.telemetry"},
    "onnxruntime": {"system.telemetry", "training.precision"},
    "dicomanonymizer": {"headers.dicom_headers"},
    "pydicom": {"formats.dicom", "headers", "laterality", "library.sources", "remover", "scope.modality", "synthesis", "verification"},
    "ray": {"run.ray_engine", "run.ray_network"},
    "tqdm": {"run.progress"},
    "tomlkit": {"site_profile"},
    "prometheus_client": {"node.status"},
    "filelock": {"system.locks"},
    "jpegio": {"formats.coefficients.stream", "verification.blocks"},
    "jinja2": {"audit.report_pages"},
    "markupsafe": {"audit.report_pages"},
    "starlette": {"review", "node"},
    "uvicorn": {"review", "cli.review", "node"},
    "pynetdicom": {"node.listening", "node.destinations.storage"},
    "requests": {"node.destinations.web"},
    "pycocotools": {"evaluation.average_precision"},
    "matplotlib": {"evaluation.report"},
    "skimage": {"evaluation.fill_quality"},
    "tifffile": {"formats.tiff", "library.saving", "synthesis", "verification.reading", "verification.traces"},
}

NETWORK = {"socket", "http", "urllib", "requests", "httpx", "ftplib", "smtplib", "aiohttp", "pynetdicom", "ssl"}
#: The only modules that may: the services of a node and its destinations.
ON_NETWORK = {"node.listening", "node.destinations.storage", "node.destinations.web"}


def sources() -> dict[str, Path]:
    """Module, dotted below the package -> its file."""
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))}


@functools.cache
def libraries(path: Path) -> frozenset[str]:
    """Top-level names of what a file imports from outside of this package, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.split(".")[0])
    return frozenset(found)


def test_every_package_has_its_layer():
    """`make lint` holds the layers themselves, with import-linter."""
    setup = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = [c["layers"] for c in setup["tool"]["importlinter"]["contracts"] if c["type"] == "layers"]
    listed = {name.strip() for layer in layers for name in layer.split("|")}
    assert listed == {module.split(".")[0] for module in sources()} - {"__init__", "__main__"}


def test_packages_and_modules_stay_small():
    for folder in {path.parent for path in sources().values()}:
        assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= 14, folder
    for module, path in sources().items():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, module


@pytest.mark.parametrize("library", sorted(ALONE))
def test_a_library_is_used_by_its_own_modules_only(library):
    users = {module for module, path in sources().items() if library in libraries(path)}
    others = {module for module in users if not any(module == own or module.startswith(own + ".") for own in ALONE[library])}
    assert users and not others


def test_only_the_node_talks_to_a_network():
    users = {module for module, path in sources().items() if libraries(path) & NETWORK}
    assert users == ON_NETWORK


def test_nothing_outside_the_dependencies_is_imported():
    allowed = {"numpy", "cv2", "dicomanonymizer", "pydicom", "PIL", "scipy", "skimage", "tifffile", "onnxruntime", "openvino", "tesserocr", "pytesseract", "rapidocr",
               "tqdm", "pebble", "tomlkit", "filelock", "jinja2", "markupsafe", "starlette", "uvicorn", "pycocotools", "matplotlib", "ray",
               "pynetdicom", "requests", "prometheus_client", "ultralytics", "torch", "torchvision", "onnx", "onnxslim", "openjpeg", "libjpeg",
               "rle", "jpegio"}
    for module, path in sources().items():
        unknown = libraries(path) - allowed - set(sys.stdlib_module_names)
        assert not unknown, f"{module} imports {unknown}"


def test_public_names_are_sorted_and_there():
    assert markerremover.__all__ == sorted(markerremover.__all__)
    assert set(markerremover._HOMES) | {"__version__"} == set(markerremover.__all__)
    assert all(getattr(markerremover, name) is not None for name in markerremover.__all__)
    raised = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.MarkerRemoverError)}
    assert raised <= set(markerremover.__all__)


def test_no_broad_except_swallows():
    """A broad handler does something; only where the `try` ends in `return` may it pass, on to the other way that follows."""
    for module, path in sources().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Try) or isinstance(node.body[-1], ast.Return):
                continue
            for handler in node.handlers:
                broad = handler.type is None or getattr(handler.type, "id", "") in ("Exception", "BaseException")
                swallows = all(isinstance(step, (ast.Pass, ast.Continue)) for step in handler.body)
                assert not (broad and swallows), f"{module}:{handler.lineno}"
