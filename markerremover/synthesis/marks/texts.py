"""Texts of annotations. Each split has its own names, hospitals and initials; none of one occurs in the other.

Laterality markers and positions (L, PORTABLE, SUPINE …) are the language of radiographs and are shared; everything that could
identify a person or a place is invented.
"""

from __future__ import annotations

import numpy as np

SPLITS = ("train", "eval")

LATERALITY_LETTERS = (("L", 0.35), ("R", 0.35), ("D", 0.075), ("I", 0.05), ("G", 0.025), ("E", 0.04), ("H", 0.03),
                      ("V", 0.03), ("P", 0.025), ("S", 0.025))
OTHER_LETTERS = "KKKKBBFFTTUUJJACMNOQWXYZ1234567890"  # characters drawn like a laterality marker that are none
ALONE = " alone"  # end of the text of an element that is one of `OTHER_LETTERS`
LATERALITY_WORDS = ("LEFT", "RIGHT", "LEFT", "RIGHT", "LT", "RT", "DER", "IZQ", "DROITE", "GAUCHE", "LINKS", "RECHTS")

POSITIONS = (
    "PORTABLE", "PORTABLE", "AP", "AP", "PA", "LAT", "LATERAL", "SUPINE", "ERECT", "SEMI-ERECT", "SEMI ERECT", "UPRIGHT",
    "SITTING", "WEIGHT BEARING", "WB", "STANDING", "MOBILE", "AP PORTABLE", "AP ERECT", "AP SUPINE", "PORT", "X-TABLE LAT",
    "OBLIQUE", "INSPIRATION", "EXPIRATION", "DECUBITUS", "FROG LEG", "INT ROT", "EXT ROT", "ICU", "BED", "STAT", "SKYLINE",
    "SENTADO", "SEMI-SENTADO", "PORTATIL", "DECUB", "BIPEDESTACION", "SUPINO", "DE PIE", "CARGA", "EN CARGA", "URGENCIAS",
    "DEBOUT", "COUCHE", "ASSIS", "AU LIT", "FACE", "PROFIL", "EN CHARGE", "LIEGEND", "STEHEND", "SITZEND", "BETTAUFNAHME",
    "SEITLICH", "IN PIEDI", "SUPINO LETTO", "ORTOSTASI", "LIGGENDE", "STAENDE", "EM PE", "LEITO", "A-P", "P-A", "TRAUMA",
    "POST OP", "NWB", "NON WEIGHT BEARING", "VENTRAL", "DORSAL", "PLANTAR", "AXIAL", "TUNNEL", "SUNRISE", "NEUTRAL",
)
DEVICES = ("kV", "mAs", "kVp", "EI", "DI", "SID", "S", "EXI", "REX", "DAP", "Zoom", "W", "L", "Ex", "Se", "Im")

FAMILY = {
    "train": ("SMITH", "GARCIA", "MUELLER", "MARTIN", "ROSSI", "NOVAK", "JANSEN", "KOWALSKI", "DUBOIS", "SILVA", "OKAFOR", "TANAKA",
              "HASSAN", "LINDGREN", "HUGHES", "PEREZ", "WEBER", "MOREAU", "BIANCHI", "PATEL", "NGUYEN", "LEE", "CHEN", "IVANOVA",
              "ANDERSEN", "COSTA", "YILMAZ", "SUAREZ", "O'BRIEN", "VAN DIJK", "ROMERO", "BAKER"),
    "eval": ("THOMPSON", "LOPEZ", "SCHNEIDER", "BERNARD", "FERRARI", "HORVAT", "VISSER", "WISNIEWSKI", "LAURENT", "OLIVEIRA", "ADEYEMI",
             "SUZUKI", "RAHMAN", "BERGSTROM", "WRIGHT", "DIAZ"),
}
GIVEN = {
    "train": ("JOHN", "MARIA", "ANNA", "PETER", "LUCA", "EVA", "PAUL", "SOFIA", "OMAR", "YUKI", "MARK", "JULIA", "CARLOS", "EMMA",
              "PIERRE", "HANS", "MEI", "IVAN", "NINA", "JOSE", "LINDA", "ROBERT"),
    "eval": ("DAVID", "CLARA", "HENRY", "LAURA", "MATEO", "INGRID", "GEORGE", "AISHA", "KENJI", "CLAIRE", "TOMAS", "ELENA"),
}
HOSPITAL = {
    "train": ("GENERAL HOSPITAL", "ST MARY MEDICAL CENTER", "CITY CLINIC", "HOSPITAL SAN JOSE", "CHU DU NORD", "KLINIKUM WEST",
              "OSPEDALE CENTRALE", "COUNTY X-RAY", "LAKESIDE IMAGING", "VALLEY RADIOLOGY", "HOSP. CLINICO", "UZ CAMPUS", "MEMORIAL HEALTH",
              "NORTHSIDE ER", "CENTRO MEDICO SUR"),
    "eval": ("RIVERBEND INFIRMARY", "SANTA LUCIA", "POLICLINICO EST", "STADTSPITAL", "HARBOUR VIEW RADIOGRAPHY", "HOPITAL DES LILAS",
             "PINE HILL DIAGNOSTICS", "SANATORIO NORTE"),
}
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_FIRST_LETTERS = {"train": "ABCDEGHJLMNOS", "eval": "FIKPQRTUVWXYZ"}  # first letters of initials, by split
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def choice(rng: np.random.Generator, items):
    """An item of a sequence, with equal probabilities."""
    return items[int(rng.integers(len(items)))]


def laterality(rng: np.random.Generator) -> str:
    """Text of a laterality marker: 7 % words, otherwise letters in the shares of `LATERALITY_LETTERS`."""
    if rng.random() < 0.07:
        return choice(rng, LATERALITY_WORDS)
    letters, weights = zip(*LATERALITY_LETTERS)
    return str(rng.choice(letters, p=np.array(weights) / sum(weights)))


def initials(rng: np.random.Generator, split: str) -> str:
    """One to three letters, sometimes with a digit; the first letter tells the split."""
    n = int(rng.choice((1, 2, 3), p=(0.12, 0.5, 0.38)))
    text = choice(rng, _FIRST_LETTERS[split]) + "".join(choice(rng, _LETTERS) for _ in range(n - 1))
    if rng.random() < 0.12:
        text += str(rng.integers(1, 10))
    return text


def date(rng: np.random.Generator) -> str:
    """A date as DICOM writes it, YYYYMMDD."""
    return f"{rng.integers(1935, 2025)}{rng.integers(1, 13):02d}{rng.integers(1, 29):02d}"


def time(rng: np.random.Generator) -> str:
    """A time as DICOM writes it, HHMMSS."""
    return f"{rng.integers(0, 24):02d}{rng.integers(0, 60):02d}{rng.integers(0, 60):02d}"


def printed_date(rng: np.random.Generator, day: str) -> str:
    """YYYYMMDD in one of the ways that consoles print it."""
    y, m, d = day[:4], day[4:6], day[6:]
    return choice(rng, (f"{d}/{m}/{y}", f"{y}-{m}-{d}", f"{d}.{m}.{y}", f"{int(d)}-{MONTHS[int(m) - 1]}-{y}",
                        f"{int(m)}/{int(d)}/{y[2:]}", day, f"{d}-{m}-{y[2:]}"))


def printed_time(rng: np.random.Generator, clock: str) -> str:
    """HHMMSS in one of the ways that consoles print it."""
    h, m, s = clock[:2], clock[2:4], clock[4:]
    return choice(rng, (f"{h}:{m}", f"{h}:{m}:{s}", f"{int(h) % 12 or 12}:{m} {'AM' if int(h) < 12 else 'PM'}", f"{h}h{m}"))


def identity(rng: np.random.Generator, split: str) -> dict[str, str]:
    """An invented patient by DICOM keyword."""
    return {
        "PatientName": f"{choice(rng, FAMILY[split])}^{choice(rng, GIVEN[split])}",
        "PatientID": choice(rng, ("", "MRN", "P", "H")) + str(rng.integers(10_000, 99_999_999)),
        "PatientBirthDate": date(rng),
        "PatientSex": choice(rng, "MF"),
        "StudyDate": date(rng),
        "StudyTime": time(rng),
        "AccessionNumber": choice(rng, ("A", "CR", "DX", "")) + str(rng.integers(100_000, 9_999_999)),
        "InstitutionName": choice(rng, HOSPITAL[split]),
    }


def header_line(rng: np.random.Generator, split: str, patient: dict[str, str]) -> str:
    """One line of a console's header about the patient, or of exposure data."""
    family, given = patient["PatientName"].split("^")
    kind = rng.random()
    if kind < 0.2:
        text = choice(rng, (f"{family}, {given}", f"{family} {given}", f"{given} {family}", f"{family}^{given}",
                            f"Name: {family}, {given[0]}."))
    elif kind < 0.33:
        text = choice(rng, (patient["PatientID"], f"ID: {patient['PatientID']}", f"MRN {patient['PatientID']}",
                            f"Acc {patient['AccessionNumber']}", f"#{patient['AccessionNumber']}"))
    elif kind < 0.5:
        born, day, clock = printed_date(rng, patient["PatientBirthDate"]), printed_date(rng, patient["StudyDate"]), printed_time(rng, patient["StudyTime"])
        text = choice(rng, (day, f"DOB: {born}", f"{day} {clock}", born, f"Date {day}"))
    elif kind < 0.57:
        text = printed_time(rng, patient["StudyTime"])
    elif kind < 0.67:
        text = patient["InstitutionName"]
    elif kind < 0.82:
        text = exposure(rng)
    elif kind < 0.88:
        text = choice(rng, (patient["PatientSex"], f"{patient['PatientSex']} {int(rng.integers(1, 95)):03d}Y",
                            f"{int(rng.integers(1, 95))}Y {patient['PatientSex']}", f"Sex: {patient['PatientSex']}"))
    else:
        text = choice(rng, POSITIONS)
    return text.title() if rng.random() < 0.2 else text


def exposure(rng: np.random.Generator) -> str:
    """Exposure or viewer numbers such as `kV 70` or `W 2048 L 1024`."""
    pairs = []
    for _ in range(int(rng.integers(1, 3))):
        number = choice(rng, (str(rng.integers(1, 4000)), f"{rng.uniform(0, 100):.1f}"))
        pairs.append(choice(rng, DEVICES) + choice(rng, (" ", ":", ": ", "=")) + number)
    return choice(rng, (" ".join(pairs), " ".join(pairs), f"{rng.integers(50, 130)}kV", f"{rng.uniform(0.5, 20):.1f} mAs",
                        f"{rng.integers(50, 130)} kVp {rng.uniform(1, 20):.1f} mAs",
                        f"Img {rng.integers(1, 9)}/{rng.integers(1, 9)}", f"{rng.integers(1, 999)}"))


def loose_text(rng: np.random.Generator, split: str) -> str:
    """Text of an isolated `marker`: usually a position, else initials, a number, a code, a time or a date."""
    kind = rng.random()
    if kind < 0.55:
        return choice(rng, POSITIONS)
    if kind < 0.7:
        return initials(rng, split)
    if kind < 0.8:
        return str(rng.integers(0, 100))
    if kind < 0.88:
        return choice(rng, ("BOX", "U", "ROOM ", "RM", "#", "BED ", "No ", "T")) + str(rng.integers(1, 40))
    if kind < 0.94:
        return choice(rng, (printed_time(rng, time(rng)), printed_date(rng, date(rng))))
    return choice(rng, ("*", "+", "?", "X", "1", "2", "3", "4", "A", "B", "C", "M", "O", "D1", "II"))
