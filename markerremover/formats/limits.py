"""How much a file may claim to hold."""

MAX_PIXELS = 400_000_000
"""Most pixels, over all frames, that a file may declare; more is taken for a decompression bomb."""
