"""Days in the spellings of free text: every order and separator, month names of European languages, two-digit years. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from datetime import date

from .spelling import alike, plain

__all__ = ["Day", "days_in", "in_print", "keys"]

Day = tuple[int, int, int]
"""Year, month, day; a year below 100 is one of two digits."""
YEARS = (1850, 2150)  # accepted range of four-digit years
SHORTEST_MONTH = 3  # smallest number of letters of an abbreviated month
_MONTHS = (  # English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Swedish, Danish, Norwegian, Finnish, Czech, Romanian,
    # Hungarian, Turkish, Russian; Slavic months also in their genitive, as in dates
    "january январь января januar jänner janvier enero gennaio janeiro januari styczeń stycznia tammikuu leden ledna ianuarie január ocak",
    "february февраль февраля februar feber février febrero febbraio fevereiro februari luty lutego helmikuu únor února februarie február şubat",
    "march март марта märz mrz mars marts marzo março maart mrt marzec marca maaliskuu březen března martie március mart",
    "april апрель апреля avril abril aprile kwiecień kwietnia huhtikuu duben dubna aprilie április nisan avr abr",
    "may май мая mai mayo maggio maio mei maj maja toukokuu květen května május mayıs mag",
    "june июнь июня juni juin junio giugno junho czerwiec czerwca kesäkuu červen června iunie június haziran giu",
    "july июль июля juli juillet julio luglio julho lipiec lipca heinäkuu červenec července iulie július temmuz lug",
    "august август августа août agosto augustus sierpień sierpnia augusti elokuu srpen srpna augusztus ağustos ago aou",
    "september сентябрь сентября septembre septiembre setiembre settembre setembro wrzesień września syyskuu září septembrie szeptember eylül sept set sett",
    "october октябрь октября oktober octobre octubre ottobre outubro październik października lokakuu říjen října octombrie október ekim okt ott out",
    "november ноябрь ноября novembre noviembre novembro listopad listopada marraskuu noiembrie kasım",
    "december декабрь декабря dezember desember décembre diciembre dicembre dezembro grudzień grudnia joulukuu prosinec prosince decembrie aralık dez des dic",
)
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii")
_ERAS = {"meiji": 1867, "m": 1867, "明治": 1867, "taisho": 1911, "t": 1911, "大正": 1911, "showa": 1925, "s": 1925, "昭和": 1925,
         "heisei": 1988, "h": 1988, "平成": 1988, "reiwa": 2018, "r": 2018, "令和": 2018}  # fmt: skip
"""Japanese eras and the year before their first."""
_AFTER_DAY, _OF = r"(?:st|nd|rd|th|er|eme|ste|de|o|a|e)?", r"(?:(?:de|del|of|d|di|den|the) )?"
_TRIPLE = re.compile(r"(?<!\d)(?=(\d{4}|\d{1,2}) (\d{1,2}) (\d{4}|\d{1,2})(?!\d))")
_HALVES = re.compile(r"(?<!\d)(?:(\d{4}) (\d\d)(\d\d)|(\d\d)(\d\d) (\d{4}))(?!\d)")  # year apart from month and day, which are written together
_RUN = re.compile(r"\d{6,}")
_ERA = re.compile(rf"(?<![^\W\d_])({'|'.join(sorted(_ERAS, key=len, reverse=True))}) ?(\d{{1,2}}) (\d{{1,2}}) (\d{{1,2}})(?!\d)")
_FULL = ((0, 4, 6), (4, 2, 0), (4, 0, 2), (0, 6, 4))  # offsets of year, month and day in eight digits
_SHORT = ((0, 2, 4), (4, 2, 0), (4, 0, 2))  # the same in six digits


def keys(day: date) -> tuple[Day, Day]:
    """The forms in which `days_in` may find a day: with its whole year, and with the last two digits."""
    return (day.year, day.month, day.day), (day.year % 100, day.month, day.day)


def days_in(text: str) -> set[Day]:
    """Every day that a text can be read as, in any order. That is many more than it means; it is meant for comparison with known days.

    >>> (1961, 3, 12) in days_in("geb. 12th of March, 1961"), (61, 3, 12) in days_in("12-III-61"), (1961, 3, 12) in days_in("19610312101500")
    (True, True, True)
    """
    if not any(char.isdigit() for char in text):
        return set()
    return set(_valid(_read(_spaced(text), _month_names())))


def in_print(words: Sequence[str]) -> set[Day]:
    """`days_in` words that OCR read, where letters and digits of similar shape may be confused."""
    text = " ".join(words)
    return days_in(text) | set(_valid(_read(" ".join(filter(None, map(alike, re.split(r"[\W_]+", text)))), _month_names(True))))


def _spaced(text: str) -> str:
    """Plain text with one blank for any run of characters that are no letters or digits, and for the words of year, month and day in Han and Hangul."""
    return re.sub(r"(?<=\d)\s*[年月日년월일]|[\W_]+", " ", plain(text)).strip()


def _read(text: str, month_names: tuple[dict[str, frozenset[int]], tuple[re.Pattern[str], ...]]) -> Iterator[Day]:
    months, (day_first, month_first, year_first) = month_names
    for a, b, c in (match.groups() for match in _TRIPLE.finditer(text)):
        yield from _orders(a, b, c)
    for a, b, c in (tuple(filter(None, match.groups())) for match in _HALVES.finditer(text)):
        yield from _orders(a, b, c)
    for digits in _RUN.findall(text):
        yield from _run(digits)
    for match in _ERA.finditer(text):
        yield _ERAS[match[1]] + int(match[2]), int(match[3]), int(match[4])
    for pattern, (year, month, day) in ((day_first, (3, 2, 1)), (month_first, (3, 1, 2)), (year_first, (1, 2, 3))):
        for match in pattern.finditer(text):
            yield from ((int(match[year]), number, int(match[day])) for number in months[match[month]])


def _orders(a: str, b: str, c: str) -> Iterator[Day]:
    """The days that three numbers may be: year first or last, with two digits or four, day and month in either order."""
    first, middle, last = int(a), int(b), int(c)
    if len(a) > 1 and len(c) != 4:
        yield from ((first, middle, last), (first, last, middle))
    if len(c) > 1 and len(a) != 4:
        yield from ((last, middle, first), (last, first, middle))


def _run(digits: str) -> Iterator[Day]:
    """The days in six digits or more: a day alone, or with digits around it, such as those of a time."""
    for start in range(len(digits) - 7):
        eight = digits[start : start + 8]
        yield from ((int(eight[y : y + 4]), int(eight[m : m + 2]), int(eight[d : d + 2])) for y, m, d in _FULL)
    if len(digits) in (6, 12):  # twelve digits end with a time
        yield from ((int(digits[y : y + 2]), int(digits[m : m + 2]), int(digits[d : d + 2])) for y, m, d in _SHORT)
    if len(digits) in (6, 7):  # without leading zeros
        for rest, year in ((digits[:-4], digits[-4:]), (digits[4:], digits[:4])):
            for cut in range(1, len(rest)):
                yield from ((int(year), int(rest[:cut]), int(rest[cut:])), (int(year), int(rest[cut:]), int(rest[:cut])))


def _valid(days: Iterator[Day]) -> Iterator[Day]:
    return ((y, m, d) for y, m, d in days if 1 <= m <= 12 and 1 <= d <= 31 and (y < 100 or YEARS[0] <= y <= YEARS[1]))


@functools.cache
def _month_names(in_print: bool = False) -> tuple[dict[str, frozenset[int]], tuple[re.Pattern[str], ...]]:
    """Names of months and their abbreviations -> numbers, and patterns of days with a month by name; `in_print`: names as `alike` gives them."""
    numbers_of: dict[str, set[int]] = {}
    for number, (names, roman) in enumerate(zip(_MONTHS, _ROMAN), 1):
        for name in names.split():
            for spelt in {plain(name), plain(name.replace("ä", "ae").replace("ü", "ue"))}:
                for short in (spelt[:end] for end in range(SHORTEST_MONTH, len(spelt) + 1) if spelt.isascii() or not in_print):
                    numbers_of.setdefault(alike(short) if in_print else short, set()).add(number)
        if not in_print:
            numbers_of.setdefault(roman, set()).add(number)
    name = "(" + "|".join(sorted(numbers_of, key=len, reverse=True)) + ")"
    before, after = ("", "") if in_print else (r"(?<![^\W\d_])", r"(?![^\W\d_])")
    year = r"(\d{4}|\d{2})(?!\d)"
    return {name: frozenset(numbers) for name, numbers in numbers_of.items()}, tuple(map(re.compile, (
        rf"(?<!\d)(\d{{1,2}}) ?{_AFTER_DAY} ?{_OF}{name}{after} ?{_OF}{year}",
        rf"{before}{name} ?{_OF}(\d{{1,2}}) ?{_AFTER_DAY} ?{year}",
        rf"(?<!\d)(\d{{4}}|\d{{2}}) ?{name} ?(\d{{1,2}})(?!\d)",
    )))
