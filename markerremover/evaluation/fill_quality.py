"""Agreement of filled pixels (`--style fill`) with the real ones, where the same picture without annotations is available:
PSNR and SSIM, by scikit-image, in the filled areas and in the seam around them.

SSIM is that of Wang et al., IEEE Transactions on Image Processing 2004;13(4):600-612, with its window: Gaussian, sigma 1.5, 11 pixels wide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
