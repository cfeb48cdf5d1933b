"""`markerremover verify`: a stranger's check of results against their inputs.

Nothing of the program that made the results is used here, only its list of errors: files are read by pydicom, Pillow, OpenCV, tifffile and jpegio
themselves, the manifest is read as plain JSON lines, and what counts as an identifier is written down once more (`tool.importlinter` in
pyproject.toml holds that). Where these libraries read a file wrongly, so does the check; it cannot share a mistake of `formats`, `redaction` or
`headers`.
"""
