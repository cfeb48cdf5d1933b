"""The side of the body: of a burned-in laterality marker, and of a DICOM header."""
