"""Agreement of filled pixels (`--style fill`) with the real ones, where the same picture without annotations is available:
PSNR and SSIM, by scikit-image, in the filled areas and in the seam around them.

SSIM is that of Wang et al., IEEE Transactions on Image Processing 2004;13(4):600-612, with its window: Gaussian, sigma 1.5, 11 pixels wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UsageError
from ..formats import read_apart
from . import results

SIGMA_PX, REACH_PX = 1.5, 5  # SSIM's window: standard deviation, and half its width without the central pixel


@dataclass(frozen=True)
class FillQuality:
    """Agreement of filled pixels with real ones.

    pixels: number of filled pixels.  psnr_db: over the filled pixels; infinite where all equal the real ones.  ssim: -1 to 1, mean over
    the filled pixels.  seam_ssim: the same over the pixels around them whose window overlaps the fill.
    All are None where nothing is filled, seam_ssim also where all pixels are.
    """

    pixels: int
    psnr_db: float | None = None
    ssim: float | None = None
    seam_ssim: float | None = None


def fill_quality(clean: np.ndarray, filled: np.ndarray, mask: np.ndarray, data_range: float | None = None) -> FillQuality:
    """Compare a picture with filled areas to the same picture without annotations.

    Args:
        clean, filled: (H, W) numbers of one dtype, H and W at least 11; not changed.
        mask: (H, W) bool, the filled pixels.
        data_range: difference between the greatest and the least possible value; by default the range of `clean`.

    Raises:
        ValueError: the shapes differ, the picture is smaller than SSIM's window, or all of `clean` has one value and no range was given.
    """
    if not clean.shape == filled.shape == mask.shape or clean.ndim != 2 or min(clean.shape) < 2 * REACH_PX + 1:
        side = 2 * REACH_PX + 1
        raise ValueError(f"shapes {clean.shape}, {filled.shape} and {mask.shape}: all three must be the same (H, W), {side} or more each way")
    if not mask.any():
        return FillQuality(0)
    from scipy.ndimage import binary_dilation
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    span = float(np.ptp(clean)) if data_range is None else float(data_range)
    if not span > 0:
        raise ValueError(f"the range of values is {span}, it must be above 0")
    real, synthetic = (picture.astype(np.float64) for picture in (clean, filled))
    with np.errstate(divide="ignore"):  # an infinite ratio where all pixels are the real ones
        psnr = float(peak_signal_noise_ratio(real[mask], synthetic[mask], data_range=span))
    _, likeness = structural_similarity(real, synthetic, data_range=span, gaussian_weights=True, sigma=SIGMA_PX, use_sample_covariance=False, full=True)
    seam = binary_dilation(mask, np.ones((3, 3), bool), REACH_PX) & ~mask
    return FillQuality(
        int(mask.sum()), psnr, float(likeness[mask].mean()), float(likeness[seam].mean()) if seam.any() else None)


def of_results(rows: Sequence[results.Row], out: Path, inputs: Path, clean: Path) -> dict[str, Any]:
    """Compare what a run filled with the same images without annotations, as a viewer shows both.

    Args:
        rows: of `evaluate.evaluate`; those without a result are left out.  out, inputs: folders of results and originals.
        clean: folder of images without annotations, each under the path of its original.

    Returns:
        `images` in which something changed; for `filled`, and for `black` (the same pixels blacked out), `pixels`, `psnr_db` over all of them
        (None where all equal the real ones), and `ssim` and `seam_ssim` as of `FillQuality`, means weighted by pixels; 255 greys are the range.

    Raises:
        UsageError: an image is missing in `clean` or has another size; or nothing changed in any image.
        InputError: one cannot be read.
    """
    found: dict[str, list[FillQuality]] = {"filled": [], "black": []}
    for row in rows:
        if not row.result:
            continue
        if not (clean / row.relative).is_file():
            raise UsageError(f"{clean / row.relative}: there is no such file; --clean needs every image without its annotations")
        original = read_apart.read(inputs / row.relative)
        before, after = original.display[0], results.shown_after(original, read_apart.read(out / row.result))
        without = read_apart.read(clean / row.relative)
        if without.stored.shape != original.stored.shape:
            raise UsageError(f"{clean / row.relative}: is {without.stored.shape}, its original {original.stored.shape}")
        real, mask = results.shown_after(original, without), before != after
        if not mask.any():
            continue
        found["filled"].append(fill_quality(real, after, mask, 255))
        found["black"].append(fill_quality(real, np.where(mask, 0, real).astype(real.dtype), mask, 255))
    if not found["filled"]:
        raise UsageError(f"{out}: no pixel of any result differs from its original, so there is no fill to judge")
    return {"images": len(found["filled"]), **{name: _pooled(each) for name, each in found.items()}}


def _pooled(found: Sequence[FillQuality]) -> dict[str, Any]:
    """One quality of all pixels of several images."""
    pixels = np.array([q.pixels for q in found], float)
    error = np.array([0.0 if q.psnr_db == float("inf") else 255**2 / 10 ** (q.psnr_db / 10) for q in found if q.psnr_db is not None])
    mean = float((error * pixels).sum() / pixels.sum())
    seams = [(q.pixels, q.seam_ssim) for q in found if q.seam_ssim is not None]
    return {
        "pixels": int(pixels.sum()),
        "psnr_db": round(float(10 * np.log10(255**2 / mean)), 2) if mean > 0 else None,
        "ssim": round(float(np.average([q.ssim for q in found if q.ssim is not None], weights=pixels)), 4),
        "seam_ssim": round(float(np.average([s for _, s in seams], weights=[n for n, _ in seams])), 4) if seams else None,
    }


def lines(document: dict[str, Any]) -> list[str]:
    """What `of_results` found, one line for each of filled and black pixels."""
    told = []
    for name, what in (("filled", "filled pixels"), ("black", "the same pixels, blacked out")):
        quality = document[name]
        psnr = "equal" if quality["psnr_db"] is None else f"PSNR {quality['psnr_db']:.1f} dB"
        seam = "" if quality["seam_ssim"] is None else f", SSIM {quality['seam_ssim']:.3f} around them"
        told.append(f"{what}: {quality['pixels']} in {document['images']} images, {psnr}, SSIM {quality['ssim']:.3f}{seam}")
    return told
