"""How much a file may claim to hold."""

MAX_PIXELS = 400_000_000
"""Maximum number of pixels, over all frames, that a file may declare; above it a file counts as a decompression bomb."""
