"""One radiograph in memory: which boxes are removed or retained, the redacted pixels in each style, and the check of the result."""
