"""The recipes of fine-tuning, with every default in one place."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError


@dataclass(frozen=True)
class Recipe:
    """The settings of a training.

    epochs: highest number.  repeat: windows (or passes of a whole image) per epoch and training image.
    batch, optimizer, lr0, lrf, cosine, momentum, weight_decay: as in `train_localizer.fit`.
    freeze: number of first layers that are not trained; 9 are the backbone without its last layer.
    patience: stop after this many epochs without gain on held-back images; 0 never stops and holds no images back.
    window: side of a training window, network pixels; 0 trains on whole images.
    image_size: longer side of whole images, network pixels; None takes that of the base weights' card.
    drawn: drawn films of each half per training image, see `site.drawing`; 0 draws none.
    drawn_share: share of windows from drawn films and from films of other sites; without any, all windows are from the training images.
    mixed: whether labelled films of other sites are learnt from too, in the same share.
    blend: share of the tuned weights in the result, the rest is of the base weights (Wortsman et al. 2022): a few images
        teach a site's annotations, but others are forgotten. None determines it, see `site.changes`.

    Raises:
        UsageError: a value is out of range.
    """

    name: str = "fast"
    epochs: int = 10
    repeat: int = 10
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
    drawn: int = 3
    drawn_share: float = 0.4
    mixed: bool = False
    blend: float | None = None

    def __post_init__(self) -> None:
        for name, lower_limit in (("epochs", 1), ("repeat", 1), ("batch", 1), ("freeze", 0), ("patience", 0), ("drawn", 0)):
            if getattr(self, name) < lower_limit:
                raise UsageError(f"{name} is {getattr(self, name)}, allowed is {lower_limit} or more")
        for name in ("lr0", "lrf", "blend"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}, allowed is above 0, up to 1")
        if not 0 <= self.drawn_share <= 0.9:
            raise UsageError(f"drawn_share is {self.drawn_share}, allowed is 0 to 0.9")
        if (self.drawn or self.mixed) and not self.window:
            raise UsageError(f"drawn is {self.drawn}, allowed is 0 without windows, and no films of other sites: whole images are of the site alone")

    def epoch_passes(self, images: int) -> int:
        """Number of windows (or passes of a whole image) in an epoch of some training images."""
        return round(self.repeat * images / (1 - self.drawn_share * (self.drawn > 0 or self.mixed)))


#: "published" is the recipe of Khosravi et al. 2023, without its flips and without validating on its training images.
RECIPES = {
    "fast": Recipe(),
    "published": Recipe(
        "published", epochs=50, repeat=50, batch=8, optimizer="SGD", lr0=0.005, lrf=0.005, cosine=False, momentum=0.937,
        weight_decay=5e-4, freeze=9, patience=0, window=0, image_size=512, drawn=0, blend=1.0,
    ),
}
