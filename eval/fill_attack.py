"""Whether a fill, or a hole, tells what was under it: a network is trained to read digits that were removed, from what was left and filled.

    python eval/fill_attack.py [--train 1000] [--test 500] [--epochs 6] [-o eval/results/fill-attack.json]

Each sample is a patch of a drawn film with a number of six digits in a fixed place and type, bright or dark, with a soft edge and grain; half of the
ways store it as JPEG, whose blocks smear print beyond its edge. Its box, found exactly and widened as the localizer's are, is removed as a run removes
it (`word_holes`, `inpaint`), and the network says each of the six digits. Type, size and place are always the same, so this is far easier than for
anybody who does not know them. What is removed:

    box      the whole box, black           mask     the words' rectangles, black
    fill     the same rectangles, filled    leaky    the control: a fill with 3 % of what was there

A share of right digits above chance (a tenth), beyond its interval, is a leak. Intervals are exact 99 % ones, over the patches' digits; the control
has to win, or else the attack shows nothing. The first and the last digit are counted apart: where a box or a rectangle ends tells how wide they are. Needs torch (extra `train`); about a minute of one core for each.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.stats import binomtest

from markerremover import boxes
from markerremover.records import Decision, Policy
from markerremover.redaction import inpaint, word_holes
from markerremover.synthesis.marks.fonts import FONT_ROOT

DIGITS, HEIGHT_PX, SHAPE = 6, 22, (72, 144)  # digits of a number, size of the type and (rows, columns) of a patch, pixels
GLYPH_PX, GLYPH_ROWS = 28, 56  # columns and rows that the network sees around a digit, pixels
QUALITY = (75, 92)  # of JPEG, drawn at random between
LEAK = 0.03  # share of the original in the leaky fill
WAYS = ("fill", "leaky", "box", "mask")


def ground(rng: np.random.Generator) -> np.ndarray:
    """(H, W) float32: soft tissue with an edge or two, 40 to 160 of 255, and grain."""
    rows, columns = SHAPE
    coarse = rng.uniform(40, 160, (rows // 24 + 1, columns // 24 + 1)).astype(np.float32)
    soft = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC)
    return np.clip(soft, 30, 170) + rng.normal(0, rng.uniform(0.5, 3), SHAPE).astype(np.float32)


def marked(rng: np.random.Generator, *, jpeg: bool) -> tuple[np.ndarray, np.ndarray, str]:
    """A film with a number: (H, W) uint8, the number's tight box xyxy, and its digits."""
    text = "".join(map(str, rng.integers(0, 10, DIGITS)))
    ink = Image.new("L", SHAPE[::-1])
    font = ImageFont.truetype(str(FONT_ROOT / "train" / "DejaVuSansMono.ttf"), HEIGHT_PX)
    ImageDraw.Draw(ink).text((SHAPE[1] // 2, SHAPE[0] // 2), text, fill=255, font=font, anchor="mm")
    share = cv2.GaussianBlur(np.asarray(ink, np.float32) / 255, (0, 0), rng.uniform(0.3, 1.0))
    picture = ground(rng)
    level = rng.uniform(215, 250) if rng.random() < 0.8 else rng.uniform(0, 12)
    film = np.clip(np.rint(picture * (1 - share) + level * share), 0, 255).astype(np.uint8)
    if jpeg:
        film = cv2.imdecode(cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*QUALITY))])[1], cv2.IMREAD_GRAYSCALE)
    ys, xs = np.nonzero(share > 0.25)
    return film, np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]), text


def removed(film: np.ndarray, box: np.ndarray, way: str) -> np.ndarray:
    """(H, W) uint8: the film with its number removed in one of `WAYS`."""
    policy = Policy(keep=())
    x1, y1, x2, y2 = boxes.widen(box.reshape(1, 4).astype(float), policy.margin, policy.margin_px, film.shape)[0].tolist()
    decision = Decision(frame=0, xyxy=(x1, y1, x2, y2), action="remove", reason="x", score=1.0)
    mask = np.zeros(film.shape, bool)
    if way == "box":
        mask[y1:y2, x1:x2] = True
    else:
        mask[y1:y2, x1:x2] = word_holes.hole_in([film], decision).mask
    black = np.where(mask, np.uint8(0), film)
    if way in ("box", "mask"):
        return black
    filled = inpaint.filled(black[None], mask[None], mask[None], np.zeros((1, *SHAPE), bool))[0]
    return filled if way == "fill" else np.where(mask, np.rint((1 - LEAK) * filled + LEAK * film), filled).astype(np.uint8)


def samples(count: int, seed: int, way: str, *, jpeg: bool) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2, H, W) float32 and (N, DIGITS) int64: what the attacker sees, as it is and with its fine detail enlarged, and the digits."""
    rng = np.random.default_rng(seed)
    pictures, digits = np.empty((count, 2, *SHAPE), np.float32), np.empty((count, DIGITS), np.int64)
    for index in range(count):
        film, box, text = marked(rng, jpeg=jpeg)
        shown = removed(film, box, way).astype(np.float32)
        detail = shown - cv2.GaussianBlur(shown, (0, 0), 4)
        pictures[index] = shown / 128 - 1, np.clip(detail / 4, -3, 3)
        digits[index] = list(map(int, text))
    return pictures, digits


def glyphs(pictures: np.ndarray, digits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N * DIGITS, 2, rows, GLYPH_PX) and (N * DIGITS,): the places of the digits, each with its surroundings."""
    advance = ImageFont.truetype(str(FONT_ROOT / "train" / "DejaVuSansMono.ttf"), HEIGHT_PX).getlength("0")
    lefts = [round(SHAPE[1] / 2 + (place - DIGITS / 2 + 0.5) * advance - GLYPH_PX / 2) for place in range(DIGITS)]
    rows = slice(SHAPE[0] // 2 - GLYPH_ROWS // 2, SHAPE[0] // 2 + GLYPH_ROWS // 2)
    parts = np.stack([pictures[:, :, rows, left : left + GLYPH_PX] for left in lefts], axis=1)
    return parts.reshape(-1, *parts.shape[2:]), digits.reshape(-1)


def attack(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], epochs: int) -> np.ndarray:
    """(N, DIGITS) bool: which digits of the test a network says rightly that was trained on `train`; both of `glyphs`."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers: list[nn.Module] = []
    channels = 2
    for width, stride in ((16, 2), (32, 2), (32, 1)):
        layers += [nn.Conv2d(channels, width, 3, stride, 1), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    network = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(channels * (GLYPH_ROWS // 4) * (GLYPH_PX // 4), 10))
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.02)
    pictures, digits = map(torch.from_numpy, train)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=epochs * (len(pictures) // 128))
    order = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for batch in torch.randperm(len(pictures), generator=order)[: len(pictures) // 128 * 128].split(128):
            loss = nn.functional.cross_entropy(network(pictures[batch]), digits[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        said = torch.cat([network(part).argmax(1) for part in torch.from_numpy(test[0]).split(512)])
    return (said == torch.from_numpy(test[1])).numpy().reshape(-1, DIGITS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=1000, help="patches to learn from, of each way")
    parser.add_argument("--test", type=int, default=500, help="patches to read")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--only", metavar="WAY", action="append", choices=WAYS, help="only this way; what the file has of others stays")
    parser.add_argument("--stored", action="append", choices=("JPEG", "lossless"), help="only films stored so")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.json")
    args = parser.parse_args()
    import torch

    torch.set_num_threads(args.threads)
    document = json.loads(args.output.read_text(encoding="utf-8")) if args.output and args.output.exists() else {}
    earlier = document.get("ways", [])
    found: list[dict[str, object]] = []
    for stored in args.stored or ("JPEG", "lossless"):
        for way in args.only or WAYS:
            start = time.perf_counter()
            train, test = (glyphs(*samples(count, seed, way, jpeg=stored == "JPEG")) for count, seed in ((args.train, 1), (args.test, 2)))
            right = attack(train, test, args.epochs)
            for which, part in (("inner", right[:, 1:-1]), ("outer", right[:, [0, -1]])):
                low, high = binomtest(int(part.sum()), part.size).proportion_ci(0.99)
                found.append({"stored": stored, "removed": way, "digits": which, "k": int(part.sum()), "n": part.size, "value": round(float(part.mean()), 4),
                              "low99": round(low, 4), "high99": round(high, 4)})
                print(f"{stored}, {way}: {100 * part.mean():.1f} % ({100 * low:.1f}-{100 * high:.1f}) of {which} digits right, {time.perf_counter() - start:.0f} s", flush=True)
            if args.output:  # after each, so that a run that is ended has something
                others = [w for w in earlier if not any((w["stored"], w["removed"]) == (f["stored"], f["removed"]) for f in found)]
                document = {"digits": DIGITS, "chance": 0.1, "train": args.train, "test": args.test, "epochs": args.epochs, "ways": [*others, *found]}
                args.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
