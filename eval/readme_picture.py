"""Make docs/before-after.png: one synthetic radiograph and what the shipped weights make of it, side by side.

usage: python eval/readme_picture.py [--seed 9] [--out docs/before-after.png]
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from markerremover import MarkerRemover
from markerremover.synthesis import radiograph


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path("docs/before-after.png"))
    args = parser.parse_args()
    made = radiograph(np.random.default_rng(args.seed), split="eval", body="chest", size=(760, 640), inverted_share=0, unmarked_share=0)
    after = MarkerRemover().clean(made.image).array
    gap = np.full((made.image.shape[0], 12), 255, np.uint8)
    if not cv2.imwrite(str(args.out), np.hstack([made.image, gap, after]), [cv2.IMWRITE_PNG_COMPRESSION, 9]):
        raise OSError(f"{args.out} cannot be written")


if __name__ == "__main__":
    main()
