"""One vocabulary for texts, paths and print: every spelling of a day, a number, a name and a UID, and what only looks like one."""

from __future__ import annotations

import doctest

import pytest
from fakes import telling

from markerremover.headers import days, identifiers, naming, spelling, telltales, terms

UID = "1.2.826.0.1.3680043.8.498.19128271683572850495441045084448808146"


def in_text(told, text):
    return identifiers.in_text(told, terms.vocabulary())(text)


@pytest.mark.parametrize("module", [days, identifiers, naming, spelling, terms], ids=lambda module: module.__name__)
def test_what_the_examples_of_a_module_say_is_so(module):
    assert doctest.testmod(module).failed == 0


BIRTH = [
    "geb. 12.03.1961", "DOB 1961-03-12", "12031961", "19610312", "03/12/1961", "1961.12.03", "1961 03 12", "1961_3_12", "12-03-1961", "12/3/1961", "3/12/61",
    "geb.12.3.61", "610312", "120361", "031261", "3121961", "19610312101500", "19610312T1015", "19610312_101500", "12.03.1961 10:15", "(12.03.61)",
    "12. März 1961", "12. Maerz 61", "12.Mrz.61", "12. März '61", "12 mars 1961", "12 de marzo de 1961", "12 marzo 1961", "12º de março de 1961",
    "12 maart 1961", "12 mrt 1961", "12 marca 1961", "12. marts 1961", "12 maaliskuu 1961", "12. března 1961", "12 martie 1961", "1961. március 12.", "12 марта 1961",
    "March 12th, 1961", "the 12th of March 1961", "12-MAR-61", "12MAR1961", "DOB12Mar1961x", "mar121961", "1961 Mar 12", "12 III 1961", "12.III.61",
    "1961年3月12日", "S36.03.12", "昭和36年3月12日",
]


@pytest.mark.parametrize("text", BIRTH)
def test_a_day_of_birth_is_found_in_every_spelling_in_texts_and_paths_and_print(text):
    born = telling(births=("19610312",))
    assert in_text(born, text) and identifiers.in_path(born)(text.replace("/", "-") + ".dcm")
    assert telltales.tells(text.split(), born)


@pytest.mark.parametrize("text", [
    "12.03.1962", "13.03.1961", "1961", "12.3.", "03/61", "610313", "Version 6.1.03", "1.2.840.10008.1.2.1", "612", "kVp 120 mAs 3.61", "April 12 1961", "",
])
def test_another_day_and_parts_of_the_day_are_not(text):
    born = telling(births=("19610312",))
    assert not in_text(born, text) and not identifiers.in_path(born)(text)


def test_other_days_of_the_header_count_in_texts_and_paths_but_not_in_print():
    told = telling(days=("20190505",))
    assert in_text(told, "5 May 2019") and identifiers.in_path(told)("2019-05-05")
    assert not telltales.tells(["05.05.2019"], told)


@pytest.mark.parametrize("number, text", [
    ("4711981", text) for text in ("ID 47-11-981", "47.11.981", "47/11/981", "4 711 981", "PAT 004711981", "ID4711981", "x4711981y", "4711981_2", "MRN:4711981")
] + [
    ("00088776655", "88776655"), ("88776655", "00088776655"), ("PAT-0047119", "47119"), ("PAT-0047119", "pat 47119"), ("47119", "ID0047119"),
    ("HX-99812", "hx_99.812"), ("HX-99812", "99812"), ("1234", "ID1234"), ("1234", "01234"), ("12", "Pat. 12"), ("12", "MRN:012"), ("12", "PatID_12"),
    ("ABCD", "abcd"),
])  # fmt: skip
def test_a_number_is_found_with_other_separators_zeros_and_prefixes(number, text):
    assert in_text(telling(numbers=(number,)), text)


@pytest.mark.parametrize("number, text", [
    ("4711981", "4711982"), ("4711981", "4711 or 981"), ("1234", "12345"), ("1234", "12.34"), ("12", "12 kV"), ("12", "grid 12:1"), ("12", "120"), ("12", "W12"),
    ("12", "12x15"), ("HX-99812", "HX 9981"), ("HX-99812", "998123"), ("7", "ID 17"), ("1", "1"),
])  # fmt: skip
def test_another_number_and_a_short_one_that_nothing_announces_are_not(number, text):
    assert not in_text(telling(numbers=(number,)), text)


@pytest.mark.parametrize("path, told", [("12.dcm", True), ("012", True), ("ID12", True), ("IM0012.dcm", False), ("120.dcm", False), ("series12", False), ("12_1.dcm", False)])
def test_a_short_number_is_found_in_a_path_where_it_is_all_of_a_part(path, told):
    assert identifiers.in_path(telling(numbers=("12",)))(path) is told


NAMES = {
    "MÜLLER^JÖRG": ["Hand Muller", "Mueller", "müller", "MU\u0308LLER", "JOERG", "MÃ¼ller", "MÃœLLER", "M%C3%BCller", "Muellers", "j_muller"],
    "Mueller^Joerg": ["Müller", "Muller", "jörg"],
    "STRAUß^EVA": ["Strauss", "STRAUSS", "strauß"],
    "ØSTERGÅRD^ÅSE": ["Ostergard", "Oestergaard", "Aase"],
    "ŁUKASIEWICZ^ŻANETA": ["Lukasiewicz", "zaneta"],
    "SMYTHE-JOHANSSON^ANNEKE": ["Smythe chest", "JOHANSSON", "SmytheJohansson", "smythe_johansson"],
    "O'BRIEN^PAT": ["OBrien chest", "O Brien", "O’Brien", "Brien"],
    "OBRIEN^PAT": ["O'Brien"],
    "DOE_JOHN": ["John Doe", "JDoe", "doej", "DoeJohn", "johndoe01"],
    "DOE, JOHN": ["John", "doe"],
    "PETROV/IVAN": ["Petrov"],
    "DE LA CRUZ^MARIA": ["Cruz", "delacruz", "M. de la Cruz"],
    "VAN DER BERG^J": ["vanderBerg", "Berg"],
    "SMITH^JOHN": ["smithjohn", "jsmith", "J.Smith", "smithj_2", "SMITHS", "JohnSmithChest", "xsmithx", "smi-th"],
    "LEE^KIM": ["jLee", "LEE_KIM", "leekim", "KLee"],
    "LI^WU": ["Li chest", "WU, LI", "LiWu", "liwu", "wu_li"],
    "HAND^MICHAEL": ["M. Hand", "Hand, M", "HandMichael"],
    "李^明": ["李明", "患者李明", "明李", "李 明"],
    "Kim^Minjun=金^民俊=김^민준": ["김민준님", "MinJun", "金民俊"],
    "山田^太郎=ヤマダ^タロウ": ["山田太郎様", "やまだ", "ﾔﾏﾀﾞ"],
    "Иванов^Пётр": ["ИВАНОВ", "Петр"],
    "ROSSI4711^A": ["4711"],
}


@pytest.mark.parametrize("name, text", [(name, text) for name, texts in NAMES.items() for text in texts])
def test_a_name_is_found_in_other_spellings_in_texts_and_paths(name, text):
    told = telling(name)
    assert in_text(told, text) and identifiers.in_path(told)(f"{text}.dcm")


@pytest.mark.parametrize("name, text", [
    ("LI^WU", "clinical line"), ("LI^WU", "Lifting of a limb"), ("AN^OR", "hand, anterior, oral"), ("AN^OR", "ORGAN"), ("MARK^A", "lead markers"), ("MARK^A", "Marker"),
    ("DENT^ARTHUR", "Identification"), ("O'BRIEN^PAT", "Spatial pattern"), ("DE LA CRUZ^MARIA", "abdomen de face"), ("VAN DER BERG^J", "der Thorax van"),
    ("LEE^KIM", "sleeve"), ("HAND^MICHAEL", "Hand AP"), ("CHEST", "Chest PA"), ("TEST^PATIENT", "test patient"), ("李^明", "明日"), ("Ли^Ван", "лист"),
    ("SMITH^JOHN^^Dr.", "Dr. on duty"), ("A^B", "a b"), ("SMITH^JOHN", "smit"), ("", "anything"),
])  # fmt: skip
def test_words_that_hold_a_short_or_ordinary_name_by_chance_are_not_names(name, text):
    assert not in_text(telling(name), text)


@pytest.mark.parametrize("text", [
    f"https://pacs.example/studies/{UID}/instances/1", f"urn:oid:{UID}", UID.replace(".", "_"), f"{UID}.1", UID.rpartition(".")[2], UID.replace(".", ""),
])
def test_an_own_uid_is_found_within_longer_texts(text):
    assert in_text(telling(uids=(UID,)), text) and identifiers.in_path(telling(uids=(UID,)))(text.rpartition("/")[2] if "instances" not in text else UID)


def test_the_root_of_a_uid_is_not_one():
    assert not in_text(telling(uids=(UID,)), "1.2.826.0.1.3680043.8.498")


@pytest.mark.parametrize("value, told", [
    ("PRIMARY", False), ("MONOCHROME2", False), ("INVERSE", False), ("MARY", True), ("SMITH_HAND", True), ("113101", False), ("1131", True), ("4711-981", True),
])
def test_coded_values_are_compared_as_wholes_and_by_words(value, told):
    assert identifiers.as_whole(telling("SMITH^MARY", "ROME^VERS", numbers=("1131", "4711981")))(value) is told


def test_an_address_is_found_without_its_punctuation():
    told = telling(texts=("Main Street 5, Springfield", "+49 711 12345"))
    assert in_text(told, "main street 5 springfield") and in_text(told, "tel. +49-711-12345") and not in_text(told, "Main Street")


def test_an_identifier_does_not_show_what_it_holds():
    assert "SMITH" not in repr(telling("SMITH^JOHN"))
