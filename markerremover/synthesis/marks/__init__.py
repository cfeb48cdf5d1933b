"""Drawn burned-in annotations and laterality markers: lead markers, console text, plates, fonts and what they say."""
