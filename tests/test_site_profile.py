import hashlib
import pickle

import pytest

from markerremover import site_profile
from markerremover.errors import UsageError
from markerremover.options import RunOptions
from markerremover.records import DEFAULT_KEEP, Policy
from markerremover.site_profile import SiteProfile

TEXT = 'weights = "own.onnx"\nthreshold = 0.3\n\n[keep]\nD = "right"\ni = "left"\n'


@pytest.fixture
def path(tmp_path):
    (tmp_path / "site.toml").write_text(TEXT)
    return tmp_path / "site.toml"


def test_a_profile_is_read_with_weights_beside_the_file_and_signs_in_upper_case(path):
    profile = site_profile.read(path)
    assert profile.weights == path.parent / "own.onnx" and profile.threshold == 0.3
    assert profile.keep == {"D": "right", "I": "left"} and profile.sha256 == hashlib.sha256(TEXT.encode()).hexdigest()
    assert profile.policy() == Policy(keep=("D", "I"), threshold=0.3)


def test_an_absolute_path_stays(tmp_path):
    (tmp_path / "deep").mkdir()
    file = tmp_path / "deep" / "site.toml"
    file.write_text(f"weights = '{tmp_path / 'w.onnx'}'\n")
    assert site_profile.read(file).weights == tmp_path / "w.onnx"


def test_what_is_left_out_is_the_default_and_an_empty_table_keeps_nothing(path):
    path.write_text("")
    assert site_profile.read(path).policy() == Policy() and site_profile.read(path).weights is None and tuple(site_profile.read(path).keep) == DEFAULT_KEEP
    path.write_text("[keep]\n")
    assert site_profile.read(path).policy() == Policy(keep=())


@pytest.mark.parametrize(
    "text, message",
    [("treshold = 0.3", "unknown key 'treshold', allowed are weights, threshold, keep"), ("threshold = 0", "allowed is between 0 and 1"),
     ("threshold = '0.3'", "allowed is between 0 and 1"), ("threshold = true", "allowed is between 0 and 1"), ("threshold = nan", "allowed is between 0 and 1"),
     ("weights = 3", "allowed is the path"), ("weights = ''", "allowed is the path"), ("keep = 'D,I'", "allowed is a table"),
     ("[keep]\nD = 'rechts'", "keep.D is 'rechts', allowed are left and right"), ("[keep]\nD = true", "keep.D is True"),
     ("[keep]\n'D*' = 'left'", "allowed are letters and digits"), ("[keep]\nd = 'left'\nD = 'left'", "'D' twice"), ("weights = ", "not a TOML file")],
)
def test_anything_else_is_an_error_that_names_the_file_the_value_and_what_is_allowed(path, text, message):
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        site_profile.read(path)
    assert message in str(caught.value) and str(path) in str(caught.value)


def test_bytes_that_are_no_text_and_a_missing_file_are_errors(path):
    for data in (b"\xff\xfe\0", b"keep\xe9", b"PK\x03\x04"):
        path.write_bytes(data)
        with pytest.raises(UsageError, match="not a TOML file"):
            site_profile.read(path)
    with pytest.raises(UsageError, match="cannot be read"):
        site_profile.read(path.with_name("no.toml"))


def test_what_is_written_reads_back(tmp_path):
    profile = SiteProfile(tmp_path / 'a"b\\c.onnx', 0.25, {"D": "right", "É": "left"})
    site_profile.write(tmp_path / "site.toml", profile)
    again = site_profile.read(tmp_path / "site.toml")
    assert (again.weights, again.threshold, again.keep) == (profile.weights, profile.threshold, profile.keep)
    assert str(tmp_path) not in (tmp_path / "site.toml").read_text()
    site_profile.write(tmp_path / "site.toml", SiteProfile(keep={}))
    assert site_profile.read(tmp_path / "site.toml").policy() == Policy(keep=())


@pytest.mark.parametrize("text, message", [("X", "X=left or X=right"), ("D,d", "twice"), ("D=up", "allowed are"), ("D,", "letters and digits"), ("L*=left", "letters")])
def test_signs_need_a_meaning(text, message):
    with pytest.raises(UsageError, match=message):
        site_profile.parse_markers(text)
    assert site_profile.parse_markers("D, x = RIGHT") == {"D": "right", "X": "right"}


def test_options_take_the_site_where_nothing_else_is_said_and_travel_to_worker_processes(path):
    profile = site_profile.read(path)
    options = pickle.loads(pickle.dumps(RunOptions(site=profile)))
    assert options.policy == profile.policy() and options.weights == profile.weights and options.site == profile
    explicit = RunOptions(policy=Policy(keep=()), weights=path, site=profile)
    assert explicit.policy.keep == () and explicit.weights == path
    assert RunOptions().policy == Policy() and RunOptions().weights is None
    assert options.settings_sha256() == RunOptions(policy=profile.policy()).settings_sha256() != RunOptions().settings_sha256()


def test_a_folder_stands_for_the_profile_in_it_and_weights_below_are_named_from_there(tmp_path):
    weights = tmp_path / "weights" / "0001" / "w.onnx"
    site_profile.write(tmp_path / "site.toml", SiteProfile(weights, keep={}))
    assert 'weights = "weights/0001/w.onnx"' in (tmp_path / "site.toml").read_text() and [p.name for p in tmp_path.iterdir()] == ["site.toml"]
    assert site_profile.read(tmp_path) == site_profile.read(tmp_path / "site.toml") and site_profile.read(tmp_path).weights == weights
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="site.toml: site profile cannot be read"):
        site_profile.read(tmp_path / "empty")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_editors_may_save_it_with_a_byte_order_mark_or_in_utf_16(path, encoding):
    path.write_text('threshold = 0.3\r\n[keep]\r\nD = " Right"\r\n', encoding=encoding)
    assert (site_profile.read(path).threshold, site_profile.read(path).keep) == (0.3, {"D": "right"})
