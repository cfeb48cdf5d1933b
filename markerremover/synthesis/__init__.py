"""Synthetic radiographs with burned-in annotations and exact ground truth, for training, demos and tests."""

from .folder import synthesize
from .generate import SyntheticRadiograph, radiograph

__all__ = ["SyntheticRadiograph", "radiograph", "synthesize"]
