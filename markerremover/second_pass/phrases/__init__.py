"""Phrases such as AP ERECT: whole lines of print that consist of nothing else are retained."""
