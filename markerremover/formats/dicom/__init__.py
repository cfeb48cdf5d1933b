"""DICOM files: parsing, transfer syntaxes and encapsulated frames, pixel data, windows and look-up tables, and writing."""
