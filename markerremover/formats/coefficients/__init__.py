"""JPEG redacted in its own coefficients: only the blocks that a removed area touches are rewritten."""

KEPT, ENCODED_AGAIN, DECOMPRESSED = "kept", "encoded again", "decompressed"
"""What became of a JPEG's coefficients; of the first, those of the blocks that no removed area touches."""
