"""Days as people write them: every order and separator, month names of European languages, two-digit years. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from datetime import date

from .spelling import alike, plain

__all__ = ["Day", "days_in", "in_print", "keys"]

Day = tuple[int, int, int]
"""Year, month, day; a year below 100 is one of two digits."""
YEARS = (1850, 2150)  # of four digits
SHORTEST_MONTH = 3  # letters that a month's name is cut to at least
_MONTHS = (  # English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Swedish, Danish, Norwegian, Finnish, Czech, Romanian,
    # Hungarian, Turkish, Russian; Slavic months also in the case that they have in a date
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
_HALVES = re.compile(r"(?<!\d)(?:(\d{4}) (\d\d)(\d\d)|(\d\d)(\d\d) (\d{4}))(?!\d)")  # of the year, and of month and day
_RUN = re.compile(r"\d{6,}")
_ERA = re.compile(rf"(?<![^\W\d_])({'|'.join(sorted(_ERAS, key=len, reverse=True))}) ?(\d{{1,2}}) (\d{{1,2}}) (\d{{1,2}})(?!\d)")
_FULL = ((0, 4, 6), (4, 2, 0), (4, 0, 2), (0, 6, 4))  # where year, month and day stand in eight digits
_SHORT = ((0, 2, 4), (4, 2, 0), (4, 0, 2))  # and in six


def keys(day: date) -> tuple[Day, Day]:
    """What `days_in` may find of a day: with its whole year, and with two digits of it."""
    return (day.year, day.month, day.day), (day.year % 100, day.month, day.day)


def days_in(text: str) -> set[Day]:
    """Every day that a text can be read as, in whatever order: far more than it means, to be compared with days that are known.

    >>> (1961, 3, 12) in days_in("geb. 12th of March, 1961"), (61, 3, 12) in days_in("12-III-61"), (1961, 3, 12) in days_in("19610312101500")
    (True, True, True)
    """
    if not any(char.isdigit() for char in text):
        return set()
    return set(_valid(_read(_spaced(text), _named())))


def in_print(words: tuple[str, ...] | list[str]) -> set[Day]:
    """`days_in` words of print, in which letters and digits that look alike may be taken for each other."""
    text = " ".join(words)
    return days_in(text) | set(_valid(_read(" ".join(filter(None, map(alike, re.split(r"[\W_]+", text)))), _named(True))))


def _spaced(text: str) -> str:
    """Plain, with one blank for whatever is no letter or digit, and for the words of year, month and day in Han and Hangul."""
    return re.sub(r"(?<=\d)\s*[年月日년월일]|[\W_]+", " ", plain(text)).strip()


def _read(text: str, named: tuple[dict[str, frozenset[int]], tuple[re.Pattern[str], ...]]) -> Iterator[Day]:
    months, (day_first, month_first, year_first) = named
    for a, b, c in (found.groups() for found in _TRIPLE.finditer(text)):
        yield from _orders(a, b, c)
    for a, b, c in (tuple(filter(None, found.groups())) for found in _HALVES.finditer(text)):
        yield from _orders(a, b, c)
    for digits in _RUN.findall(text):
        yield from _run(digits)
    for found in _ERA.finditer(text):
        yield _ERAS[found[1]] + int(found[2]), int(found[3]), int(found[4])
    for pattern, (year, month, day) in ((day_first, (3, 2, 1)), (month_first, (3, 1, 2)), (year_first, (1, 2, 3))):
        for found in pattern.finditer(text):
            yield from ((int(found[year]), number, int(found[day])) for number in months[found[month]])


def _orders(a: str, b: str, c: str) -> Iterator[Day]:
    """Three numbers: the year first or last, in two digits or four, day and month either way."""
    first, middle, last = int(a), int(b), int(c)
    if len(a) > 1 and len(c) != 4:
        yield from ((first, middle, last), (first, last, middle))
    if len(c) > 1 and len(a) != 4:
        yield from ((last, middle, first), (last, first, middle))


def _run(digits: str) -> Iterator[Day]:
    """Six digits or more: a day by itself, or with more digits around, such as those of a time."""
    for start in range(len(digits) - 7):
        eight = digits[start : start + 8]
        yield from ((int(eight[y : y + 4]), int(eight[m : m + 2]), int(eight[d : d + 2])) for y, m, d in _FULL)
    if len(digits) in (6, 12):  # the latter with a time
        yield from ((int(digits[y : y + 2]), int(digits[m : m + 2]), int(digits[d : d + 2])) for y, m, d in _SHORT)
    if len(digits) in (6, 7):  # without leading zeros
        for rest, year in ((digits[:-4], digits[-4:]), (digits[4:], digits[:4])):
            for cut in range(1, len(rest)):
                yield from ((int(year), int(rest[:cut]), int(rest[cut:])), (int(year), int(rest[cut:]), int(rest[:cut])))


def _valid(found: Iterator[Day]) -> Iterator[Day]:
    return ((y, m, d) for y, m, d in found if 1 <= m <= 12 and 1 <= d <= 31 and (y < 100 or YEARS[0] <= y <= YEARS[1]))


@functools.cache
def _named(looks: bool = False) -> tuple[dict[str, frozenset[int]], tuple[re.Pattern[str], ...]]:
    """Names of months, also cut short, with their numbers, and patterns of days with a month by name; `looks`: as of `alike`."""
    found: dict[str, set[int]] = {}
    for number, (names, roman) in enumerate(zip(_MONTHS, _ROMAN), 1):
        for name in names.split():
            for spelt in {plain(name), plain(name.replace("ä", "ae").replace("ü", "ue"))}:
                for short in (spelt[:end] for end in range(SHORTEST_MONTH, len(spelt) + 1) if spelt.isascii() or not looks):
                    found.setdefault(alike(short) if looks else short, set()).add(number)
        if not looks:
            found.setdefault(roman, set()).add(number)
    name = "(" + "|".join(sorted(found, key=len, reverse=True)) + ")"
    before, after = ("", "") if looks else (r"(?<![^\W\d_])", r"(?![^\W\d_])")
    year = r"(\d{4}|\d{2})(?!\d)"
    return {name: frozenset(numbers) for name, numbers in found.items()}, tuple(map(re.compile, (
        rf"(?<!\d)(\d{{1,2}}) ?{_AFTER_DAY} ?{_OF}{name}{after} ?{_OF}{year}",
        rf"{before}{name} ?{_OF}(\d{{1,2}}) ?{_AFTER_DAY} ?{year}",
        rf"(?<!\d)(\d{{4}}|\d{{2}}) ?{name} ?(\d{{1,2}})(?!\d)",
    )))
