"""Text files of spreadsheets and editors: what is clear is read, the rest is an error of one line."""

import doctest

import pytest

from markerremover.errors import AnnotationError, UsageError
from markerremover.labels import image_names
from markerremover.system import user_text

PLAIN = "image,patient,split\na.png,1,train\nb.png,2,val\n"
ROWS = (("a.png", "1", "train"), ("b.png", "2", "val"))


def test_doctests_hold():
    assert doctest.testmod(user_text).failed == doctest.testmod(image_names).failed == 0


@pytest.mark.parametrize("data", [
    PLAIN.encode(), PLAIN.encode("utf-8-sig"), PLAIN.replace(",", ";").encode(), PLAIN.replace(",", "\t").encode("utf-16"), PLAIN.replace(",", "|").encode(),
    PLAIN.replace("\n", "\r\n").encode(), PLAIN.replace("\n", "\r").encode(), PLAIN.encode("utf-16-be"), PLAIN.encode("utf-16-le"), PLAIN.encode("utf-32"),
    PLAIN.upper().replace("A.PNG", "a.png").replace("B.PNG", "b.png").replace("TRAIN", "train").replace("VAL", "val").encode(),
    ("\n\n" + PLAIN.replace("\n", "\n\n  \n") + ",,\n").encode(), PLAIN.replace(",", " , ").encode(), PLAIN.replace("\n", ",,\n").encode(),
    b"sep=;\n" + PLAIN.replace(",", ";").encode(), b'"image","patient","split"\n"a.png","1","train"\n"b.png","2","val"',
], ids=["plain", "mark", "semicolons", "tabs", "bars", "CRLF", "CR", "UTF-16 BE", "UTF-16 LE", "UTF-32", "capitals", "blank lines", "blanks", "empty columns", "sep=", "quotes"])
def test_a_table_is_read_however_it_was_saved(tmp_path, data):
    (tmp_path / "t.csv").write_bytes(data)
    table = user_text.read_table(tmp_path / "t.csv")
    assert (table.header, table.rows) == (("image", "patient", "split"), ROWS) and table.column("patient") == ("1", "2")


def test_names_with_commas_and_umlauts_survive(tmp_path):
    (tmp_path / "t.csv").write_text('image;patient\n"M\u00fcller, E.png";1\n', encoding="utf-16")
    assert user_text.read_table(tmp_path / "t.csv").rows == (("M\u00fcller, E.png", "1"),)


@pytest.mark.parametrize(("data", "words"), [
    (b"", "is empty"), (b"\n \n", "is empty"), (b"\xff\xfe", "is empty"), (b"image,split\nM\xfcller.png,val\n", "save it as UTF-8"),
    (b"PK\x03\x04....", "Excel workbook"), (b"\xd0\xcf\x11\xe0....", "Excel workbook"), (b"image,split\na.png,val,x\n", "line 2: has 3 cells"),
    (b"image,split\na.png;val\n", "line 2: has 1 cells"), (b"a\0b\0\0c", "zero bytes"),
])
def test_an_unclear_table_is_an_error_of_one_line(tmp_path, data, words):
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(UsageError, match=words) as error:
        user_text.read_table(tmp_path / "t.csv")
    assert "t.csv" in str(error.value) and "\n" not in str(error.value)


def test_a_folder_or_nothing_is_an_error_too(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(UsageError, match="cannot be read"):
            user_text.read_table(path)


@pytest.mark.parametrize("data", [b"", b"{", b'{"a": NaN}', b'{"a": Infinity}', b"[" * 200_000, "{\"a\": \"\u00e9\"}".encode("latin-1")])
def test_what_is_no_json_is_an_error_of_one_line(tmp_path, data):
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(AnnotationError, match="a.json") as error:
        user_text.read_json(tmp_path / "a.json", AnnotationError)
    assert "\n" not in str(error.value)


def test_json_may_have_a_byte_order_mark(tmp_path):
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "a.json").write_text('{"a": "\u00e9"}', encoding=encoding)
        assert user_text.read_json(tmp_path / "a.json") == {"a": "\u00e9"}


IMAGES = ("p1/x.png", "p2/x.png", "p2/y.dcm", "z.PNG", "1.2.840.3", "1.2.840.4")


@pytest.mark.parametrize(("said", "found"), [
    ("p1/x.png", ["p1/x.png"]), ("p1\\x.png", ["p1/x.png"]), ("./p1/X.PNG", ["p1/x.png"]), ("p1/x", ["p1/x.png"]), ("p2/y.png", ["p2/y.dcm"]), ("z.png", ["z.PNG"]),
    ("x.png", []), ("p3/x.png", []), ("1.2.840.3", ["1.2.840.3"]), ("1.2.840.5", []), ("", []),
])
def test_an_image_is_found_by_its_path(said, found):
    assert image_names.ImageNames(IMAGES).find(said) == found


def test_a_path_that_could_be_several_images_gives_them_all():
    assert image_names.ImageNames(["a.png", "a.dcm"]).find("a") == ["a.png", "a.dcm"] and image_names.ImageNames(["a.png", "a.dcm"]).find("a.dcm") == ["a.dcm"]


def test_rows_belong_to_images_by_path_or_by_a_name_that_only_one_has(tmp_path):
    (tmp_path / "t.csv").write_text("File,Site\np1/x.png,north\nz.png,south\nelsewhere.png,west\n")
    assert image_names.column(str(tmp_path / "t.csv"), "site", IMAGES) == {"p1/x.png": "north", "z.PNG": "south"}
    assert image_names.column(str(tmp_path / "t.csv"), "patient", IMAGES, needed=False) == {}
    with pytest.raises(UsageError, match="no column 'patient', only file, site"):
        image_names.column(str(tmp_path / "t.csv"), "patient", IMAGES)
    for text, words in (("image,site\nx.png,north\n", "line 2: x.png could be p1/x.png or p2/x.png"), ("image,site\nz.png,a\nz.png,b\n", "z.png is there twice"),
                        ("image,site,site\nz.png,a,b\n", "two columns 'site'")):
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(UsageError, match=words):
            image_names.column(str(tmp_path / "t.csv"), "site", IMAGES)
