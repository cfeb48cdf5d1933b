"""How to fine-tune: the recipes, with every default in one place."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError


@dataclass(frozen=True)
class Recipe:
    """How to train.

    epochs: at most.  repeat: windows (or passes of a whole image) an epoch for each training image.
    batch, optimizer, lr0, lrf, cosine, momentum, weight_decay: as in `training.fit`.
    freeze: how many first layers stay as they are; 9 of them are the backbone but for its last layer.
    patience: stop after this many epochs without gain on images apart; 0 never stops and sets no images apart.
    window: side of a training window, network pixels; 0 trains on whole images.
    image_size: longer side of whole images, network pixels; None is what the base weights' card says.
    blend: share of the tuned weights in the result, the rest of those it started from (Wortsman et al. 2022): a few images
        teach a site's markings, and unteach what others looked like. None chooses, see `finetune.SHARES`.
    """

    name: str = "fast"
    epochs: int = 10
    repeat: int = 12
    batch: int = 16
    optimizer: str = "AdamW"
    lr0: float = 5e-4
    lrf: float = 0.05
    cosine: bool = True
    momentum: float = 0.9
    weight_decay: float = 0.01
    freeze: int = 9
    patience: int = 4
    window: int = 320
    image_size: int | None = None
    blend: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("repeat", 1), ("batch", 1), ("freeze", 0), ("patience", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} is {getattr(self, name)}, allowed is {least} or more")
        for name in ("lr0", "lrf", "blend"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}, allowed is above 0, up to 1")


#: "published" is that of Khosravi et al. 2023, but for its flips and for validating on its own training images.
RECIPES = {
    "fast": Recipe(),
    "published": Recipe(
        "published", epochs=50, repeat=50, batch=8, optimizer="SGD", lr0=0.005, lrf=0.005, cosine=False, momentum=0.937,
        weight_decay=5e-4, freeze=9, patience=0, window=0, image_size=512, blend=1.0,
    ),
}
