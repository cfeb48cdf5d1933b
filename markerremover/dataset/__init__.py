"""A folder of released results as a data set for training: PNG files, tables, a split by patient and a datasheet.

Only files that a run released, whose bytes are those that it wrote, are read; every other one is refused with a reason.
"""
