"""Texts on training films in addition to those of `texts`: viewers' lines, captions, codes. All of them are invented."""

from __future__ import annotations

import numpy as np

from . import texts
from .texts import choice

MAKERS = ("RADIX", "NOVARAY", "Lumina DR", "KLARA-X", "OPTIMED", "VISIRAD 3", "Dynascan", "AXION", "ProRay", "CR 85-X", "DX-D 300", "FCR")
PARTS = ("Hand", "Wrist", "Knee", "Chest", "Pelvis", "Ankle", "Foot", "Hip", "Elbow", "Shoulder", "C-Spine", "L-Spine", "Femur",
"Tibia/Fibula",
         "Thorax", "Becken", "Genou", "Mano", "Torax", "Cadera", "Rodilla")
VIEWS = ("AP", "PA", "LAT", "OBL", "AP/LAT", "pa", "ap", "a.p.", "seitl.", "lat.", "Lateral", "axial", "Swimmers", "Y view",
         "Skyline")
CAPTION_STARTS = ("Figure", "Fig.", "Image", "Abb.", "Case", "FIGURE", "Plate")
CAPTION_TEXTS = ("radiograph of the {part} showing a fracture", "{view} view of the {part}", "X-ray {part} {view}",
                 "{part}, {view}, day {n}", "preoperative radiograph", "postoperative {view} {part}", "six weeks after surgery",
                 "follow-up at {n} months", "before and after treatment")
PAGES = ("www.{site}.org", "{site}.com", "Courtesy of {site}", "(c) {year} {site}", "© {year} {site}", "Source: {site}",
         "Case {n}{n}41, {site}", "Downloaded from {site} {year}", "For teaching only - {site}", "NOT FOR DIAGNOSTIC USE",
         "Lossy Compression {n}:1", "JPEG 10:1 (lossy)",
         "Page {n} of {n}", "Se: {n} Im: {n}", "{part} {view} {date}", "{hospital} - Radiology Department", "All rights reserved {year}")
SITES = ("radcases", "bonefilms", "xray-atlas", "trauma-notes", "orthopix", "skelbase", "medfolio", "filmroom")
SINGLES = "0123456789" * 3 + "ABCFKMNTUXYZ" + "abcdefx" + "----–*+?!/'.:"


def small(rng: np.random.Generator, patient: dict[str, str]) -> str:
    """A small digital text, such as "CR 0412" or a time."""
    n = int(rng.integers(1, 10_000))
    day, clock = texts.date(rng), texts.time(rng)
    return choice(rng, (f"CR {n}", f"CR{n:04d}", "CR", f"DX {n % 100}", f"CR {texts.printed_time(rng, clock)}", f"{n % 90 + 40} kV",
                        f"EI {n}", f"S={n}",
                        f"S: {n % 1000}", f"L {n % 40 / 10}", texts.printed_time(rng, clock), texts.printed_date(rng, day), f"#{n % 30}",
                        f"Img {n % 9}",
                        f"{n % 60}.{n % 7}", patient["PatientID"], f"{n % 90}Y", f"EXI {n}", f"{n % 12:02d}:{n % 60:02d}", choice(rng, VIEWS),
                        f"{choice(rng, PARTS)} {choice(rng, VIEWS)}"))


def overlay(rng: np.random.Generator, patient: dict[str, str]) -> str:
    """One line of a viewer's overlay."""
    a, b = int(rng.integers(20, 4096)), int(rng.integers(20, 4096))
    day, clock = texts.printed_date(rng, texts.date(rng)), texts.printed_time(rng, texts.time(rng))
    kind = rng.random()
    if kind < 0.22:
        return choice(rng, (f"W: {a} L: {b}", f"W {a} / L {b}", f"WL: {b} WW: {a}", f"WW {a}", f"C {b} W {a}", f"{a}/{b}",
                            f"Window {a} Level {b}"))
    if kind < 0.36:
        return choice(rng, (f"Zoom: {a % 300}%", f"Zoom {a % 40 / 10:.2f}", f"Mag = {a % 300 / 100:.2f}", f"{a % 300} %", "FOV: Full",
                            f"1:{a % 9 + 1}"))
    if kind < 0.52:
        return choice(rng, (f"{a % 80 + 40} kV", f"{b % 300 / 10:.1f} mAs", f"kV: {a % 80 + 40} mAs: {b % 300 / 10:.2f}",
                            f"{a % 80 + 40}kVp {b % 90}mA", f"SID {a % 80 + 100}cm",
                            f"DAP {b % 990 / 100:.2f} dGycm2", f"EI: {a} DI: {b % 50 / 10 - 2:.1f}"))
    if kind < 0.66:
        return choice(rng, (day, clock, f"{day} {clock}", f"{day}, {clock}", f"Acq: {day}", f"{clock} {day}"))
    if kind < 0.76:
        return choice(rng, MAKERS) + choice(rng, ("", "", f" {a % 900}", " CR", " DR"))
    if kind < 0.9:
        return choice(rng, (f"Se: {a % 9} Im: {b % 20}", f"Im: {b % 9}/{a % 9}", f"Series {a % 12}",
                            f"{choice(rng, PARTS)} {choice(rng, VIEWS)}", f"{a} x {b}",
                            f"[{a % 9}]", "Lossy", f"{a % 80}Y {choice(rng, 'MF')}", f"Matrix {a}x{b}", f"Acc: {a}{b}",
                            f"V{a % 9}.{b % 9}"))
    return texts.header_line(rng, "train", patient)


def caption(rng: np.random.Generator, patient: dict[str, str]) -> str:
    """A caption of one line, as under a figure or along a viewer's lower edge."""
    values = {"part": choice(rng, PARTS), "view": choice(rng, VIEWS), "n": int(rng.integers(1, 30)), "site": choice(rng, SITES),
              "year": int(rng.integers(1998, 2025)), "date": texts.printed_date(rng, texts.date(rng)), "hospital": patient["InstitutionName"].title()}
    kind = rng.random()
    if kind < 0.35:
        text = f"{choice(rng, CAPTION_STARTS)} {values['n']}{choice(rng, ('.', ':', '', 'a.', ' -'))} " + choice(rng, CAPTION_TEXTS)
    elif kind < 0.75:
        text = choice(rng, PAGES)
    else:
        text = "  ".join(overlay(rng, patient) for _ in range(int(rng.integers(2, 5)))).replace("{", "").replace("}", "")
    return text.format(**values)


def code(rng: np.random.Generator) -> str:
    """A code of lead or pasted letters for a room or a person, with or without a side, such as "L58", "R A29" or "A95"."""
    n, side, letter = f"{rng.integers(1, 100):02d}", choice(rng, "LR"), choice(rng, "ABCDEFGHKMNPSTX")
    return choice(rng, (f"{side}{n}", f"{side}{n}", f"{side} {letter}{n}", f"{side}{letter}{n}", f"{letter}{n}", f"{letter}{n}",
                        f"{side} {n}", f"{side}{int(n) % 10}", f"{side}-{n}",
                        f"{letter}{letter}{n}", f"{n}{letter}", f"{side}{n}{letter}"))


def written_note(rng: np.random.Generator, patient: dict[str, str]) -> str:
    """A handwritten note on a film."""
    family, given = (name.title() for name in patient["PatientName"].split("^"))
    n = int(rng.integers(1, 90))
    return choice(rng, (family, f"{given} {family}", given, texts.printed_date(rng, texts.date(rng)), f"{n}", f"{n} J", "post op",
                        "pre-op", f"{n} cm", f"{n}°", f"{n} mm", "fx", "ok", "?",
                        "Dr. " + family, f"{family} {n}", "st.p.", "new", "old", f"{n}/{n % 12 + 1}", "10 min", "supine", "erect", "1",
                        "2", "a", "b", "c"))
