"""Annotations that a user describes: texts, places, sizes, fonts and styles in a TOML or JSON file, drawn on films."""
