"""Groups of phrases, and their expansion in keep lists, the command line and site profiles."""

import pickle
from types import SimpleNamespace

import pytest

from markerremover import site_profile
from markerremover.cli import arguments, remove
from markerremover.errors import UsageError
from markerremover.keep_lists import groups, phrases
from markerremover.options import RunOptions
from markerremover.records import DEFAULT_KEEP, Policy

WANTED = {
    "laterality": "L R LEFT RIGHT LINKS GAUCHE DESTRA IZQUIERDA DIREITA", "projection": "AP PA LAT LATERAL OBL AXIAL SEITLICH PROFIL OBLIQUA PERFIL",
    "position": "ERECT UPRIGHT SUPINE SEMI-ERECT PORTABLE DECUBITUS STEHEND LIEGEND BETTAUFNAHME DEBOUT COUCHE ASSIS ORTOSTATISMO DECUBITO",
    "time": "SCOUT NATIV TARDIF",
}


def keys(name):
    return set(map(phrases.key, groups.shipped()[name]))


def test_the_shipped_groups_hold_the_words_of_six_languages_and_no_numbers_but_of_units():
    assert set(groups.shipped()) == set(WANTED)
    for name, words in WANTED.items():
        assert set(words.split()) <= keys(name)
    assert {"EN PIE", "IN PIEDI", "EM PE"} <= keys("position") and {"# MIN", "# H", "POST EVAC"} <= keys("time")
    every = [word for words in groups.shipped().values() for word in words]
    assert len(set(every)) == len(every), "one group for each phrase"
    assert not any(char.isdigit() for word in every for char in word)
    assert {word for word in every if "#" in word} <= set(groups.shipped()["time"])
    assert not any(word.lower() in WANTED for word in every), "a name is the group"
    assert {word for word in every if len(word) == 1} == {"L", "R"}


def test_lists_expand_in_their_order_and_the_default_is_as_it_was():
    assert Policy().keep == DEFAULT_KEEP and Policy(keep=(" l", "R", "l", "")).keep == ("L", "R")
    assert Policy(keep=("AP  erect", "Laterality", "LEFT")).keep == ("AP ERECT", *groups.shipped()["laterality"])
    policy = Policy(keep=("position", "10 min"))
    assert Policy(keep=policy.keep) == policy and pickle.loads(pickle.dumps(policy)) == policy
    assert groups.markers(Policy(keep=("laterality", "AP", "D")).keep) == (*groups.shipped()["laterality"], "D")
    assert groups.phrases_of(Policy(keep=("laterality", "AP", "D")).keep) == ("AP",) and not groups.phrases_of(DEFAULT_KEEP)


@pytest.mark.parametrize("item", ["@projections", "@", "positions", "lateralty", "10", "AP.", "AP/LAT"])
def test_unknown_groups_slips_and_numbers_are_errors(item):
    with pytest.raises(UsageError):
        groups.expanded([item], strict=True)


def test_a_phrase_is_no_slip():
    assert groups.expanded(["lateral", "time-out"], strict=True) == ("LATERAL", "TIME-OUT")


def test_settings_change_with_the_content_of_a_group():
    own = groups.joined({"time": ("EARLY",)})
    one, other = (RunOptions(policy=Policy(keep=groups.expanded(["time"], known)), headers="keep").settings_sha256() for known in (None, own))
    assert one != other
    assert RunOptions(policy=Policy(keep=groups.shipped()["time"]), headers="keep").settings_sha256() == one


def test_a_file_of_groups_extends_and_adds(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('position = ["at bed"]\nicu = ["ICU 3"]\n', encoding="utf-8")
    known = groups.joined(groups.read(path))
    assert groups.expanded(["icu"], known) == ("ICU 3",) and groups.expanded(["position"], known) == (*groups.shipped()["position"], "AT BED")
    args = SimpleNamespace(keep=arguments.keep_items("icu,AP"), keep_groups=path)
    assert remove._keep(args, None) == ("ICU 3", "AP")
    with pytest.raises(UsageError, match="needs --keep"):
        remove._keep(SimpleNamespace(keep=None, keep_groups=path), None)
    with pytest.raises(UsageError, match="no group '@icu'"):
        remove._keep(SimpleNamespace(keep=("@icu",), keep_groups=None), None)


@pytest.mark.parametrize(
    "text", ['icu = "ICU"', "icu = []", "icu = [3]", 'icu = ["10"]', 'icu = ["A*"]', 'none = ["X RAY"]', '"a b" = ["X RAY"]', "icu = ", 'icu = ["TIME"]', 'icu = ["ICU"]'])
def test_other_files_of_groups_are_errors(tmp_path, text):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match="icu|none|a b|TOML"):
        groups.joined(groups.read(path))


def test_a_site_profile_has_phrases_and_groups_and_is_written_as_read(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text('phrases = ["bed", "Semi - Erect"]\n[keep]\nD = "right"\n[groups]\nbed = ["at bed"]\n')
    profile = site_profile.read(path)
    assert profile.policy().keep == ("D", "AT BED", "SEMI-ERECT")
    site_profile.write(tmp_path / "again.toml", profile)
    assert site_profile.read(tmp_path / "again.toml").policy() == profile.policy()
    assert remove._keep(SimpleNamespace(keep=("bed",), keep_groups=None), profile) == ("AT BED",)


@pytest.mark.parametrize("text", ['phrases = "AP"', "phrases = [1]", 'phrases = ["@bed"]', 'phrases = ["10"]', "groups = 3", "[groups]\nbed = 'AT BED'", "[groups]\nbed = ['1']"])
def test_other_phrases_of_a_site_profile_are_errors_that_name_the_file(tmp_path, text):
    path = tmp_path / "site.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"site\.toml"):
        site_profile.read(path)
