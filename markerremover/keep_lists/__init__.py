"""What may be retained besides laterality markers: phrases, and groups of them in six languages."""
