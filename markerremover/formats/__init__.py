"""Image files read into stored pixels and display views, and written back: PNG, JPEG and TIFF here, DICOM in `dicom`."""
