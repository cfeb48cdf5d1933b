"""Identifiers outside the pixels: DICOM headers by the Basic Application Level Confidentiality Profile, and names, numbers and dates
recognised in headers, paths and print.
"""
