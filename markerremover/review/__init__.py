"""Review of a run's results: checking and correcting them, and measuring how often they are right.

    queue     the order of files, with reasons    sampling  a random sample and the statement about it
    session   decisions, saved at once            pictures  the views of a file
    decisions what the page sends, checked        history   what undo takes back
    server    the page and its requests           holding   the places for which a file was held
    apply     cleans the corrected files again
    labels    corrections as LabelMe files        proposals `annotate`: detections as LabelMe files
    gate      access control of the server        connections limits on idle connections
"""
