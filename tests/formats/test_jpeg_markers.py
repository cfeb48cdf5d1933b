"""A JPEG stream is walked to the end of its image, and what is broken is told by its place."""

import pytest

from markerremover.formats import jpeg_markers

SOI, EOI = b"\xff\xd8", b"\xff\xd9"


def test_every_segment_comes_with_its_body_and_its_coded_data():
    scan = b"\xff\xda\x00\x03\x01" + b"\x12\xff\x00\xff\xd3\x34"  # a stuffed byte and a restart are data
    data = SOI + b"\xff\xff\xfe\x00\x04ab" + scan + EOI + b"behind"
    assert list(jpeg_markers.walk(data)) == [
        (0xFE, b"ab", b"", 9), (jpeg_markers.SOS, b"\x01", scan[5:], 20), (jpeg_markers.EOI, b"", b"", 22)]


def test_in_jpeg_ls_a_byte_behind_ff_begins_with_a_zero_bit():
    data = SOI + b"\xff\xda\x00\x02" + b"\xff\x7f" + EOI
    assert [segment[2] for segment in jpeg_markers.walk(data, jpeg_markers.LS_SCAN_END)] == [b"\xff\x7f", b""]


@pytest.mark.parametrize("data, error, at", [
    (SOI, jpeg_markers.NoEndError, 2), (SOI + b"\xff\xfe\x00\x09a", jpeg_markers.NoEndError, 2), (SOI + b"\xff\xfe\x00\x01a", jpeg_markers.NoEndError, 2),
    (SOI + b"\xff\xda\x00\x02abc", jpeg_markers.NoEndError, 9), (SOI + b"abc", jpeg_markers.NoSegmentError, 2), (SOI + SOI, jpeg_markers.NoSegmentError, 2),
], ids=["nothing", "a cut segment", "a length of one", "a scan without end", "no marker", "a second picture"])
def test_what_is_broken_is_told_by_its_place(data, error, at):
    with pytest.raises(error) as caught:
        list(jpeg_markers.walk(data))
    assert caught.value.offset == at
