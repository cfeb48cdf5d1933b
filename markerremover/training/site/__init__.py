"""What a fine-tuning takes from a site beside its images: the styles of its annotations, films drawn in them, and the choice among its results."""
