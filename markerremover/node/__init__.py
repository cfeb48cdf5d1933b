"""A DICOM node: receives objects, cleans them as `remove` does, and sends on only what was verified.

    records     settings of the node, states of an object, what the status page shows
    index       the durable list of all objects (SQLite)
    engine      everything together: `Engine.accept`, `run`, `stop`
    incoming    how objects come in, within the limits
    spool       the folders, and how an object gets in and out of them durably
    cleaning    workers that clean one object after the other
    quarantine  held and failed objects as the audit of a run, for `review` and `apply`
    sending     deliveries with retry and back-off
    destinations    Storage SCP, DICOMweb, folder
    queue       what an operator asks of the objects: clean again, send again, give up, drop a destination
    tables      the tables of the index
    listening   the DICOM services: Verification and Storage SCP
"""
