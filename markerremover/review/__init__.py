"""Looking at the results of a run, correcting them, and proving how often they are right.

    queue     which files first, and why          sampling  a random sample and the statement about it
    session   what was decided, saved at once     pictures  what the page shows of a file
    server    the page and what it may ask for    redo      `apply`: the corrected files cleaned again
    labels    corrections as LabelMe files        cli       the subcommands
"""
