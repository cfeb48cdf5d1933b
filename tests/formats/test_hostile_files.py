"""Files and names made to hurt: each costs bounded time and memory, ends with a row that says why, and puts nothing under OUT."""

from __future__ import annotations

import io
import os
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import fakes
import pydicom
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate
from pydicom.pixels import compress
from test_dicom import header, random_stored, save

from markerremover.audit import manifest_files
from markerremover.formats import png
from markerremover.formats.dicom.parsing import MAX_DEPTH, MAX_INFLATED_BYTES
from markerremover.formats.tiff_source import assemble

EXTRA_BYTES = 1 << 30  # memory that a run may take beyond what it has once everything is imported
SECONDS, SECONDS_A_FILE = 3000, 600  # for all of them and for one: what takes so long hangs; on an idle machine all take 20
CHILD = """
import resource, sys
sys.path.insert(0, {tests!r})
import fakes
from markerremover.audit import manifest_files
from markerremover.cli import main
from markerremover.run import batch, one_file, workers
batch.open_cleaner = lambda policy, **options: fakes.cleaner()
with open("/proc/self/statm") as file:
    limit = int(file.read().split()[0]) * resource.getpagesize() + {extra}
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.exit(main.main(["remove", {inputs!r}, "-o", {out!r}, "--keep", "none", "--workers", "1", "--time-limit", "0"]))
"""
limited = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux to limit memory")


def run(folder: Path) -> tuple[int, dict[str, dict], str]:
    """The command line over folder/in with the fake localizer and little memory: exit code, rows, what it printed."""
    here = Path(__file__).parents[1]
    script = CHILD.format(tests=str(here), extra=EXTRA_BYTES, inputs=str(folder / "in"), out=str(folder / "out"))
    done = subprocess.run([sys.executable, "-c", script], cwd=here.parent, capture_output=True, timeout=SECONDS)
    rows = manifest_files.read_manifest(folder / "out-audit" / manifest_files.MANIFEST)
    return done.returncode, {row["relative"]: row for row in rows}, (done.stdout + done.stderr).decode(errors="replace")


# -- bombs and lies ------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def zeros(size: int) -> bytes:
    """A raw deflate stream of that many zeros, in no time: one piece over and over."""
    squeeze, piece = zlib.compressobj(9, wbits=-15), 1 << 24
    once = squeeze.compress(bytes(piece)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    rest = zlib.compressobj(9, wbits=-15)
    return once * (size // piece) + rest.compress(bytes(size % piece)) + rest.flush()


def png_of(width: int, height: int, stream: bytes, depth: int = 8, colour: int = 0) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return png.MAGIC + head + chunk(b"IDAT", stream) + chunk(b"IEND", b"")


def png_bomb() -> bytes:
    """Every pixel is there: 400 million of 16 bits in four channels, 3.2 GB."""
    size = 20000 * 160001
    return png_of(20000, 20000, b"\x78\x01" + zeros(size) + struct.pack(">I", size % 65521 << 16 | 1), 16, 6)


def jpeg_of(width: int, height: int) -> bytes:
    data = bytearray(fakes.jpeg(fakes.radiograph(0)))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def tiff_of(width: int, height: int, compression: int, part: bytes, **more) -> bytes:
    tags = {256: ("I", (width,)), 257: ("I", (height,)), 258: ("H", (8,)), 259: ("H", (compression,)), 262: ("H", (1,)), 277: ("H", (1,)), 278: ("I", (height,))}
    return assemble("<", tags, (part,))


def tiff_loop() -> bytes:
    """The next directory is the first one."""
    data = bytearray(tiff_of(8, 8, 1, bytes(64)))
    start = struct.unpack_from("<I", data, 4)[0]
    struct.pack_into("<I", data, start + 2 + 12 * struct.unpack_from("<H", data, start)[0], start)
    return bytes(data)


def tiff_chain(count: int) -> bytes:
    """Many empty directories, each naming the next."""
    return b"II*\0" + struct.pack("<I", 8) + b"".join(struct.pack("<HI", 0, 8 + 6 * (i + 1) if i + 1 < count else 0) for i in range(count))


def dicom_bytes(tmp_path: Path, **elements) -> bytes:
    """A good file with elements replaced."""
    dataset = pydicom.dcmread(save(tmp_path, random_stored()))
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def deflated_bomb(tmp_path: Path) -> bytes:
    """A dataset that inflates to more than is allowed: LUT Data of zeros, which nothing would throw away."""
    dataset = header(uid.DeflatedExplicitVRLittleEndian)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    data = buffer.getvalue()
    end = 144 + int.from_bytes(data[140:144], "little")
    return data[:end] + zeros(2 * MAX_INFLATED_BYTES)


def with_frame(syntax, frame: bytes, rows: int = 32, columns: int = 32) -> bytes:
    """An 8-bit file of one compressed frame."""
    dataset = header(syntax, Rows=rows, Columns=columns, SamplesPerPixel=1, BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0)
    dataset.PhotometricInterpretation, dataset.PixelData = "MONOCHROME2", encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def j2k_of(width: int, height: int) -> bytes:
    """A codestream whose header declares another size than its data has."""
    dataset = header(uid.ExplicitVRLittleEndian, Rows=33, Columns=37, SamplesPerPixel=1, BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0)
    dataset.PhotometricInterpretation = "MONOCHROME2"
    compress(dataset, uid.JPEG2000Lossless, random_stored(8)[0], generate_instance_uid=False)
    data = bytearray(next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)))
    at = data.index(b"\xff\x51")
    for place, size in ((6, width), (10, height), (22, width), (26, height)):
        struct.pack_into(">I", data, at + place, size)
    return bytes(data)


def nested(depth: int, *, defined: bool) -> bytes:
    """Sequences within sequences, ahead of the pixels."""
    inner = b""
    for _ in range(depth):
        if defined:
            item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(inner)) + inner
            inner = b"\x40\x00\x75\x02SQ\0\0" + struct.pack("<I", len(item)) + item
    if not defined:
        head = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
        inner = head * depth + b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * depth
    return inner


def with_elements(tmp_path: Path, elements: bytes) -> bytes:
    """A good file with raw elements put in before its pixels."""
    data = dicom_bytes(tmp_path)
    at = data.index(b"\xe0\x7f\x10\x00")
    return data[:at] + elements + data[at:]


HOSTILE = {
    "png that is there": (lambda t: png_bomb(), "too large|MemoryError"),
    "png that is not there": (lambda t: png_of(19999, 19999, zlib.compress(bytes(999)), 16, 6), "cannot hold"),
    "png of no height": (lambda t: png_of(1 << 30, 1, zlib.compress(bytes(999))), "allowed are"),
    "jpeg that is not there": (lambda t: jpeg_of(65000, 6000), "too short"),
    "jpeg beyond the limit": (lambda t: jpeg_of(65535, 65535), "allowed are"),
    "tiff deflate that is not there": (lambda t: tiff_of(20000, 19999, 8, zlib.compress(bytes(99))), "damaged"),
    "tiff lzw that is not there": (lambda t: tiff_of(20000, 19999, 5, b"\x80\x0b\x60\x50\x22\x0c\x0c\x85\x01"), "damaged"),
    "tiff packbits that is not there": (lambda t: tiff_of(20000, 19999, 32773, b"\x81\0" * 50), "damaged"),
    "tiff of many directories": (lambda t: tiff_chain(60000), "pages|damaged"),
    "dicom that inflates": (deflated_bomb, "inflates to more"),
    "dicom rows": (lambda t: dicom_bytes(t, Rows=65535, Columns=65535), "allowed are"),
    "dicom frames": (lambda t: dicom_bytes(t, NumberOfFrames=2_000_000_000), "allowed are"),
    "dicom more frames than a number holds": (lambda t: dicom_bytes(t, NumberOfFrames="9" * 40), "allowed are|cannot be parsed"),
    "dicom jpeg of another size": (lambda t: with_frame(uid.JPEGBaseline8Bit, jpeg_of(65000, 6000)), "another size"),
    "dicom jpeg 2000 of another size": (lambda t: with_frame(uid.JPEG2000Lossless, j2k_of(60000, 60000)), "another size"),
    "dicom rle that is not there": (lambda t: with_frame(uid.RLELossless, struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\0" * 9, 20000, 19999), "truncated"),
    "dicom nested, undefined length": (lambda t: with_elements(t, nested(2000, defined=False)), "too deeply"),
    "dicom nested, defined length": (lambda t: with_elements(t, nested(2000, defined=True)), "too deeply"),
    "dicom nested a little too deep": (lambda t: with_elements(t, nested(MAX_DEPTH + 1, defined=True)), "too deeply"),
    "dicom length beyond the file": (lambda t: with_elements(t, b"\x08\x00\x00\x30UT\0\0\xf0\xff\xff\xff"), "no pixel data"),
}


HARMLESS = {
    "tiff in a circle": lambda t: tiff_loop(),
    "tiff with a bomb behind its pixels": lambda t: tiff_of(8, 9, 8, b"\x78\x01" + zeros(1 << 31)),
    "dicom sequences as deep as allowed": lambda t: with_elements(t, nested(MAX_DEPTH, defined=True)),
    "dicom sequences as deep, undefined length": lambda t: with_elements(t, nested(MAX_DEPTH, defined=False)),
    "dicom of many items": lambda t: with_elements(t, items(3000)),
    "png": lambda t: fakes.png(fakes.radiograph(0)),
}


def items(count: int) -> bytes:
    """A sequence of many small items."""
    item = b"\xfe\xff\x00\xe0\x10\0\0\0" + b"\x08\x00\x00\x01SH\x08\0QUIXMORE"
    return b"\x40\x00\x75\x02SQ\0\0" + struct.pack("<I", len(item) * count) + item * count


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """One run over all of them: (exit code, rows, what it printed, files under OUT)."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, make in {**{name: make for name, (make, _) in HOSTILE.items()}, **HARMLESS}.items():
        fakes.put(folder / "in" / name, make(folder))
    return *run(folder), fakes.files(folder / "out")


@limited
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_fails_with_its_reason(hostile, name):
    code, rows, printed, outputs = hostile
    assert code == 1 and name in rows, printed
    row, words = rows[name], HOSTILE[name][1].split("|")
    assert row["status"] in ("held", "failed") and any(word in row["reason"] for word in words), row
    assert not row["reason"].startswith("unexpected") and name not in outputs
    assert sum(row["timings_ms"].values()) < 1000 * SECONDS_A_FILE, row


@limited
@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_hostile_is_cleaned(hostile, name):
    _, rows, printed, outputs = hostile
    assert rows[name]["status"] in ("cleaned", "unchanged") and len(outputs[name]) < 100_000, (rows.get(name), printed)


# -- names ---------------------------------------------------------------------------------------------------------------

NAMES = [b"line\nbreak.png", b"bell\x07\x1b[31m.png", b"caf\xe9.png", b"..png", b"...", b"-rf", b" ", b"~", b"a\\b.png", b"$(touch x).png",
         b"%s%n.png", b"x" * 251 + b".png", "\u202egnp.x".encode(), b"CON.png", b"\xff\xfe", b"tab\there"]  # fmt: skip


def test_no_name_breaks_a_run_or_leads_out_of_it(clean, inputs, out, tmp_path):
    for i, name in enumerate(NAMES):
        (Path(os.fsdecode(os.path.join(os.fsencode(inputs), name)))).write_bytes(fakes.png(fakes.radiograph(90 + i)))
    before = set(tmp_path.iterdir())
    summary, rows = clean()
    assert summary["counts"]["cleaned"] == len(NAMES) + 4 == len(rows)
    assert {os.fsencode(name) for name in os.listdir(out)} == {*NAMES, b"a", b"b"}
    assert set(tmp_path.iterdir()) - before == {out, tmp_path / "out-audit"}
    page = (tmp_path / "out-audit" / manifest_files.PAGE).read_text(encoding="utf-8")
    manifest = (tmp_path / "out-audit" / manifest_files.MANIFEST).read_bytes()
    assert manifest.isascii() and manifest.count(b"\n") == len(rows) and "\x1b" not in page and "\x07" not in page


@pytest.mark.parametrize("size, words", [(4095, "too long"), (4100, "not a regular file")], ids=["below OUT", "already in the input"])
def test_a_path_that_is_too_long_is_a_failed_row(clean, inputs, out, size, words):
    here = os.open(inputs, os.O_RDONLY)
    try:
        part, depth = "d" * 200, (4000 - len(str(inputs))) // 201  # 4095 is what a path may have; under OUT it is one longer
        for _ in range(depth):
            os.mkdir(part, dir_fd=here)
            below = os.open(part, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        rest = size - 1 - len(str(inputs)) - 201 * depth
        with open(os.open("f" * max(1, rest), os.O_WRONLY | os.O_CREAT, dir_fd=here), "wb") as file:
            file.write(fakes.png(fakes.radiograph(0)))
    finally:
        os.close(here)
    summary, rows = clean()
    bad = [row for row in rows.values() if len(row["relative"]) > 1000]
    assert len(bad) == 1 and bad[0]["status"] == "failed" and words in bad[0]["reason"] and summary["counts"]["cleaned"] == 4
    assert len(fakes.files(out)) == 4


def test_what_is_no_regular_file_is_a_failed_row_and_never_opened(clean, inputs, out, monkeypatch):
    monkeypatch.chdir(inputs)  # the path of a socket is short
    listening = socket.socket(socket.AF_UNIX)
    listening.bind("socket.dcm")
    os.mkfifo("pipe.dcm")
    expected = {"socket.dcm", "pipe.dcm"}
    if os.geteuid() == 0:
        try:
            os.mknod("zero.dcm", 0o020600, os.makedev(1, 5))
            expected.add("zero.dcm")
        except PermissionError:
            pass
    try:
        _, rows = clean()
    finally:
        listening.close()
    bad = {name for name, row in rows.items() if (row["status"], row["reason"]) == ("failed", "not a regular file")}
    assert bad == expected and len(fakes.files(out)) == 4


def test_an_input_that_is_no_regular_file_is_a_failed_row(clean, tmp_path, out):
    os.mkfifo(tmp_path / "pipe")
    _, rows = clean(sources=[tmp_path / "pipe"])
    assert rows["pipe"]["status"] == "failed" and fakes.files(out) == {}


def test_ten_thousand_files_that_are_no_images_all_have_a_row(clean, tmp_path, out):
    many = tmp_path / "many"
    many.mkdir()
    for i in range(10_000):
        (many / f"{i}.txt").write_bytes(b"x")
    summary, rows = clean(sources=[many])
    assert summary["counts"]["failed"] == len(rows) == 10_000 and all(row["reason"] for row in rows.values())
    assert fakes.files(out) == {}


def test_a_link_put_in_the_place_of_out_during_a_run_leads_nowhere(clean, inputs, out, monkeypatch):
    from dataclasses import replace

    from markerremover.formats import images

    before, real, seen = fakes.files(inputs), images.write, []

    def swaps(*args, **options):
        if not seen:
            out.rename(out.with_name("moved"))
            out.symlink_to(inputs)
        seen.append(1)
        return real(*args, **options)

    monkeypatch.setattr(images, "write", swaps)
    summary, rows = clean(replace(fakes.NO_KEEP, overwrite=True))
    assert fakes.files(inputs) == before and {row["status"] for row in rows.values()} == {"failed"}
    assert {row["reason"] for row in rows.values()} == {"the output folder was replaced by a symbolic link"}
