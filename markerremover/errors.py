"""The exceptions of the package. Everything that it raises on purpose is a `MarkerRemoverError`.

    MarkerRemoverError
    ├── UsageError          the caller asked for something that cannot be done (CLI exit code 2)
    │   └── WeightsError    weights or their card are missing, damaged or do not belong together
    ├── ReadError           a file cannot be read or decoded: it is marked failed
    ├── HeldError           a file was read, but cannot be cleaned safely: it is held
    ├── InferenceError      the process that runs the network for all workers ended or does not answer: failed
    ├── ParityError         an exported model does not find what its source finds, so it was discarded
    ├── RefusedError        a node does not take an object: too large, too many, no room
    ├── WriteError          an output cannot be written or did not read back as written: failed
    └── AnnotationError     a label file is missing, malformed or does not fit its image

Messages name the file, the offending value and what is allowed; they never carry header values or text that was
read from pixels, since either may be a name.
"""


class MarkerRemoverError(Exception):
    """Base of every error that this package raises on purpose."""


class UsageError(MarkerRemoverError):
    """The request itself is wrong: bad option, missing engine, clashing folders."""


class WeightsError(UsageError):
    """Weights or their card are missing, damaged, or do not belong together."""


class ReadError(MarkerRemoverError):
    """A file cannot be read or decoded."""


class HeldError(MarkerRemoverError):
    """A file was read but cannot be cleaned safely, so no image is written for it."""


class RefusedError(MarkerRemoverError):
    """A node does not take an object: it is too large, there are too many, or there is no room."""


class WriteError(MarkerRemoverError):
    """An output cannot be written, or did not read back as it was written."""


class ParityError(MarkerRemoverError):
    """An exported model does not find what its source finds; it was discarded."""


class InferenceError(MarkerRemoverError):
    """The process that runs the network for all workers ended, or does not answer."""


class AnnotationError(MarkerRemoverError):
    """A label file is missing, malformed, or does not fit its image."""
