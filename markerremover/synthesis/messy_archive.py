"""A messy archive: 60 files in nested folders as a hospital's export or an old disc holds them, with a table that says what each is.

About 26 are ordinary marked films of 12 invented patients. The others are films with every fault of `faulty_pictures`, exact and near
duplicates, images of other modalities, a contradiction between header and burned-in marker, and files that are no images. Equal seeds
give equal files.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import UsageError
from . import benchmark_scenes, messy_files
from . import faulty_pictures as faulty
from .marks import console_text, layers, texts
from .marks.scene import Scene
from .marks.texts import choice
from .radiographs import backgrounds, degrade

PATIENTS = 12
FILES = 60
TRUTH_SUFFIX = "-truth.csv"  # of the table's name, after that of the folder
SPLIT = faulty.SPLIT
VIEWS = {"chest": ("PA", "AP", "LATERAL"), "pelvis": ("AP",), "limb": ("AP", "LATERAL")}
FORMATS = ("dcm", "dcm", "dcm", "png", "jpg", "tif")
SUFFIX = {"DICOM": "dcm", "PNG": "png", "JPEG": "jpg", "TIFF": "tif"}
#: Kinds and how many files there are of each, in the order in which they are drawn; the rest of FILES is "ordinary".
COUNTS = {
    "blank": 2, "saturated": 2, "half empty": 2, "inverted": 2, "upside down": 2, "mirrored": 2, "blurred": 2, "tiny": 1, "noise": 2, "scanned text": 2,
    "colour photograph": 1, "photo of a screen": 1, "exact duplicate": 2, "near duplicate": 2, "CT": 2, "US": 1, "MR": 1, "side contradicts header": 1,
    "truncated file": 1, "text file": 1, "DICOMDIR": 1, "empty file": 1,
}
ON_FILMS: dict[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    "saturated": faulty.saturated, "half empty": faulty.half_empty, "inverted": lambda rng, film: faulty.inverted(film),
    "upside down": faulty.upside_down, "mirrored": lambda rng, film: faulty.mirrored(film), "blurred": faulty.blurred, "tiny": faulty.tiny,
    "photo of a screen": faulty.screen,
}


@dataclass(frozen=True)
class Item:
    """What one file of the archive is; a row of the table.

    path: below the archive, with `/`.  format: "DICOM", "PNG", "JPEG", "TIFF", or "" for a file that is no image.
    kind: "ordinary" or one of COUNTS.  patient: number from 1 to PATIENTS, 0 for none.  study: number of the patient's study.
    body, view: of a film, else "".  marker: burned-in laterality marker, "" for none; marker_mirrored: "yes" or "no".
    header_laterality: of a DICOM header, "" where there is none.  text: "yes" where print about the patient is burned in.
    duplicate_of: path of the file of which it is a duplicate.
    """

    path: str
    format: str
    kind: str
    patient: int = 0
    study: int = 0
    body: str = ""
    view: str = ""
    marker: str = ""
    marker_mirrored: str = ""
    header_laterality: str = ""
    text: str = "no"
    duplicate_of: str = ""


def truth_path(out: Path) -> Path:
    """The table beside the archive."""
    return out.with_name(out.name + TRUTH_SUFFIX)


def write(out: Path | str, seed: int) -> list[Item]:
    """Write the archive into a new folder, and its table beside it.

    Returns:
        One item per file, by path.

    Raises:
        UsageError: the folder is not empty, or the table exists.  WriteError: a file could not be written.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())) or truth_path(out).exists():
        raise UsageError(f"{out} or {truth_path(out).name} exists already: choose another folder")
    people = [texts.identity(np.random.default_rng([seed, 0, n]), SPLIT) for n in range(PATIENTS)]
    archive = _Archive(out, seed, people)
    kinds = ["ordinary"] * (FILES - sum(COUNTS.values())) + [kind for kind, count in COUNTS.items() for _ in range(count)]
    for number, kind in enumerate(kinds):
        archive.add(number, kind)
    items = sorted(archive.items, key=lambda item: item.path)
    table = io.StringIO()
    writer = csv.DictWriter(table, [field.name for field in fields(Item)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(item) for item in items)
    truth_path(out).write_text(table.getvalue(), encoding="utf-8")
    return items


class _Archive:
    """The archive while it is written: its items, and the pictures of ordinary films, of which duplicates are made."""

    def __init__(self, out: Path, seed: int, people: list[dict[str, str]]):
        self.out, self.seed, self.people = out, seed, people
        self.items: list[Item] = []
        self._films: list[tuple[Item, np.ndarray]] = []

    def add(self, number: int, kind: str) -> None:
        """Draw and write one file."""
        rng = np.random.default_rng([self.seed, 1, number])
        patient = number % PATIENTS + 1
        study = 1 + number // PATIENTS % 2
        item = Item("", "", kind, patient, study)
        if kind in ("text file", "DICOMDIR", "empty file", "truncated file"):
            self._other_file(rng, number, item)
        elif kind in ("CT", "US", "MR"):
            pixels = {"CT": _slice_ct, "US": _sector_us, "MR": _slice_mr}[kind](rng)
            self._save(number, replace(item, format="DICOM"), pixels, kind)
        elif kind in ("blank", "noise"):
            shape = 640, 560
            self._save(number, item, faulty.blank(rng, shape) if kind == "blank" else faulty.noise(rng, shape))
        elif kind in ("scanned text", "colour photograph"):
            drawn = faulty.page(rng) if kind == "scanned text" else faulty.photograph(rng)
            text = "yes" if kind == "scanned text" else "no"
            self._save(number, replace(item, format="JPEG" if kind == "colour photograph" else "TIFF", text=text), drawn)
        elif kind in ("exact duplicate", "near duplicate"):
            original, film = self._films[int(rng.integers(len(self._films)))]
            copy = film if kind == "exact duplicate" else faulty.near_copy(rng, film)
            same = replace(original, kind=kind, duplicate_of=original.path, path="", format="PNG", header_laterality="")
            self._save(number, same, copy)
        else:
            self._film(rng, number, item)

    def _film(self, rng: np.random.Generator, number: int, item: Item) -> None:
        """An ordinary film, or one with a fault."""
        chest = item.kind in ("upside down", "mirrored", "side contradicts header")
        body = "chest" if chest else ("chest", "limb", "chest", "pelvis")[number % 4]
        view = "PA" if chest else VIEWS[body][number // 4 % len(VIEWS[body])]
        side = "L" if item.kind == "side contradicts header" else str(choice(rng, ("L", "R")))
        turned = item.kind == "ordinary" and rng.random() < 0.25
        film, text = _marked_film(rng, body, view, side, turned, self.people[item.patient - 1])
        shown_mirrored = turned != (item.kind == "mirrored")
        item = replace(item, body=body, view=view, marker=side, marker_mirrored="yes" if shown_mirrored else "no", text="yes" if text else "no")
        if item.kind in ON_FILMS:
            film = ON_FILMS[item.kind](rng, film)
        if item.kind == "side contradicts header":
            item = replace(item, format="DICOM", header_laterality="R")
        elif body == "limb":
            item = replace(item, header_laterality=side)
        item = self._save(number, replace(item, format="JPEG" if item.kind == "photo of a screen" else item.format), film)
        if item.kind == "ordinary" and item.format in ("PNG", "TIFF"):
            self._films.append((item, film))

    def _save(self, number: int, item: Item, pixels: np.ndarray, modality: str = "DX") -> Item:
        """Write a picture, in a format of FORMATS unless the item names one, and note the item."""
        kind = next(name for name, suffix in SUFFIX.items() if suffix == FORMATS[number % len(FORMATS)])
        item = replace(item, format=item.format or kind)
        item = replace(item, path=_place(number, item), header_laterality=item.header_laterality if item.format == "DICOM" else "")
        path = self.out / item.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if item.format == "DICOM":
            self._dicom(path, number, item, pixels, modality)
        else:
            messy_files.write_raster(path, pixels)
        self.items.append(item)
        return item

    def _dicom(self, path: Path, number: int, item: Item, pixels: np.ndarray, modality: str) -> None:
        elements: dict[str, Any] = dict(self.people[item.patient - 1])
        elements["StudyDate"] = f"20{10 + item.study:02}0{item.study}1{item.patient % 10}"
        if modality == "DX":
            elements["BodyPartExamined"] = {"limb": "EXTREMITY", "": "CHEST"}.get(item.body, item.body.upper())
            if item.view:
                elements["ViewPosition"] = {"LATERAL": "LL"}.get(item.view, item.view)
            if item.header_laterality:
                elements["ImageLaterality"] = elements["Laterality"] = item.header_laterality
            elements |= {"WindowCenter": 2048, "WindowWidth": 4096}
            if pixels.dtype == np.uint8:
                pixels = pixels.astype(np.uint16) * 16
        elif modality == "CT":
            elements |= {"RescaleIntercept": -1024, "RescaleSlope": 1, "WindowCenter": 40, "WindowWidth": 400, "SliceThickness": 5}
        messy_files.write_dicom(path, pixels, modality, elements, unique=f"{self.seed} {number}", study=f"{self.seed} {item.patient} {item.study}",
            invert=modality == "DX" and number % 3 == 0)

    def _other_file(self, rng: np.random.Generator, number: int, item: Item) -> None:
        """A file that is no image, or no longer one."""
        if item.kind == "truncated file":
            film, _ = _marked_film(rng, "chest", "PA", "R", False, self.people[item.patient - 1])
            item = self._save(number, replace(item, format="DICOM", body="chest", view="PA", marker="R", marker_mirrored="no"), film)
            path = self.out / item.path
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
            return
        name = {"text file": "export/readme.txt", "DICOMDIR": "export/DICOMDIR", "empty file": "misc/IM0001"}[item.kind]
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if item.kind == "DICOMDIR":
            messy_files.write_directory(path, self.people[item.patient - 1], f"{self.seed} {number}")
        else:
            path.write_bytes(b"Export of the archive. Open with any viewer.\n" if item.kind == "text file" else b"")
        self.items.append(replace(item, path=name, patient=item.patient if item.kind == "DICOMDIR" else 0, study=0))


def _place(number: int, item: Item) -> str:
    """The path of a picture: in folders by patient and study, or in one of the heaps that archives grow."""
    suffix = SUFFIX[item.format]
    if item.kind in ("scanned text", "colour photograph", "photo of a screen"):
        return f"scans/{2010 + number % 9}/scan_{number:04}.{suffix}"
    if item.kind in ("exact duplicate", "near duplicate"):
        return f"zz copies/new folder/copy_{number:04}.{suffix}"  # after the originals by path
    name = f"IM{number:05}" if item.format == "DICOM" and number % 2 else f"img_{number:04}.{suffix}"
    return f"archive/pat{item.patient:02}/study{item.study}/{name}"


def _marked_film(
    rng: np.random.Generator, body: str, view: str, side: str, turned: bool, person: dict[str, str]
) -> tuple[np.ndarray, bool]:
    """A film (H, W) uint8 with one laterality marker where departments lay it, and whether print about the patient was burned in.

    Args:
        turned: whether the lead letter lies face down.
    """
    shape = (720, 640) if body != "limb" else (640, 480)
    picture = _lateral_chest(rng, shape) if (body, view) == ("chest", "LATERAL") else backgrounds.procedural(rng, shape, SPLIT, body)
    scene = Scene(degrade.window(rng, picture))
    hardness = benchmark_scenes.difficulty("easy")
    group = benchmark_scenes.side_marker(rng, hardness, side, 0.05 * max(shape))
    group = layers.transformed(group, 1.0, 0.0, turned, 1.0)
    gh, gw = group.layers[0].alpha.shape
    on_right = side == "L" if body != "limb" else bool(rng.random() < 0.5)  # the patient faces the reader
    x = shape[1] - gw - 18 if on_right else 18
    for y in (30, 110, 260, shape[0] - gh - 20):
        if scene.put(group, x, y, contrast=20):
            break
    text = False
    if rng.random() < 0.6:
        style = console_text.TextStyle(choice(rng, benchmark_scenes.fonts.font_files(SPLIT)), 11.0, 250.0, "outline")
        for line in range(3):
            written = console_text.written(rng, texts.header_line(rng, SPLIT, person), "marker", style)
            text |= scene.put(written, 14, shape[0] - 70 + 22 * line, contrast=20)
    picture = degrade.grain(rng, scene.picture, rng.uniform(1.0, 2.5))
    return np.clip(np.round(picture), 0, 255).astype(np.uint8), text


def _lateral_chest(rng: np.random.Generator, shape_hw: tuple[int, int]) -> np.ndarray:
    """A chest from the side, (H, W) float32: trunk, lungs between sternum and spine, heart in front, diaphragm."""
    h, w = shape_hw
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    x, y = x / w, y / h
    y = y + rng.uniform(-0.07, 0.07)
    x = 0.5 + (x - 0.5 + rng.uniform(-0.06, 0.06)) * rng.uniform(0.85, 1.2)
    lean, deep, heart = 0.08 * rng.normal(), rng.uniform(0.26, 0.37), rng.uniform(0.09, 0.16)
    trunk = ((np.abs(x - 0.5 - lean * (y - 0.5)) / 0.38) ** 4 + (np.abs(y - 0.6) / 0.62) ** 6 < 1) * 120.0
    lungs = (((x - 0.47) / 0.25) ** 2 + ((y - 0.47) / deep) ** 2 < 1) & (y < 0.72 - 0.12 * (x - 0.45))
    picture = trunk - 75.0 * lungs
    picture += 45.0 * (((x - 0.36) / heart) ** 2 + ((y - 0.56) / 0.13) ** 2 < 1)
    spine = np.abs(x - 0.74 - 0.06 * np.sin(2.5 * y)) < 0.055
    picture += spine * (60.0 + 25.0 * (np.sin(2 * np.pi * y / 0.055) > -0.6)) * (trunk > 0)
    picture += 40.0 * (np.abs(x - 0.19 - 0.05 * y) < 0.012) * (y > 0.22) * (y < 0.6)
    return cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 0.006 * h)


def _slice_ct(rng: np.random.Generator) -> np.ndarray:
    """An axial slice through the chest, (256, 256) int16 of stored values, intercept -1024."""
    y, x = (np.mgrid[0:256, 0:256].astype(np.float32) - 128) / 128
    values = np.full((256, 256), -1000.0, np.float32)
    values[(x / 0.85) ** 2 + (y / 0.6) ** 2 < 1] = 40
    for side in (-1, 1):
        values[((x - side * 0.42) / 0.3) ** 2 + (y / 0.42) ** 2 < 1] = -850
    values[(x / 0.1) ** 2 + ((y - 0.42) / 0.1) ** 2 < 1] = 500
    values[((x - 0.12) / 0.25) ** 2 + ((y + 0.1) / 0.25) ** 2 < 1] = 50
    return np.round(values + rng.normal(0, 15, values.shape) + 1024).astype(np.int16)


def _slice_mr(rng: np.random.Generator) -> np.ndarray:
    """An axial slice through a head, (256, 256) uint16 of 12 bits."""
    y, x = (np.mgrid[0:256, 0:256].astype(np.float32) - 128) / 128
    radius = np.hypot(x / 0.68, y / 0.85)
    values = 900.0 * (radius < 1) - 700.0 * ((radius > 0.86) & (radius < 0.93)) + 250.0 * (radius < 0.7)
    values[(np.abs(np.abs(x) - 0.12) < 0.06) & (np.abs(y) < 0.25)] = 250
    folded = cv2.GaussianBlur(rng.normal(0, 1, (256, 256)).astype(np.float32), (0, 0), 4)
    return np.clip(values + 900 * folded * (radius < 0.85) + np.abs(rng.normal(0, 12, (256, 256))), 0, 4095).astype(np.uint16)


def _sector_us(rng: np.random.Generator) -> np.ndarray:
    """A sector of an ultrasound probe with speckle and a small coloured scale, (480, 640, 3) RGB."""
    y, x = np.mgrid[0:480, 0:640].astype(np.float32)
    radius, angle = np.hypot(x - 320, y + 40), np.arctan2(x - 320, y + 40)
    sector = (np.abs(angle) < 0.65) & (radius > 70) & (radius < 480)
    speckle = cv2.GaussianBlur(rng.rayleigh(1.0, (480, 640)).astype(np.float32), (0, 0), 1.5)
    tissue = 70 * speckle * (1 + 0.5 * np.sin(radius / 40)) * sector
    tissue[((x - 340) / 60) ** 2 + ((y - 240) / 40) ** 2 < 1] *= 0.1
    picture = np.repeat(np.clip(tissue, 0, 255).astype(np.uint8)[..., None], 3, 2)
    picture[60:200, 610:622] = np.linspace((230, 60, 20), (20, 60, 230), 140)[:, None].astype(np.uint8)
    return picture
