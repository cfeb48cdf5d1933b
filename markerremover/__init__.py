"""De-identify radiographs: burned-in annotations are blacked out, isolated laterality markers are retained.

    from markerremover import MarkerRemover
    remover = MarkerRemover()
    result = remover.clean("chest.dcm")
    result.array, result.status, result.decisions

Modules are imported on first use, so that `import markerremover` is fast.
"""

from importlib import import_module as _import_module

__version__ = "0.2.0"

_HOMES = {
    "AnnotationError": "errors",
    "Decision": "records",
    "Detections": "records",
    "HeldError": "errors",
    "InferenceError": "errors",
    "MarkerRemover": "remover",
    "MarkerRemoverError": "errors",
    "ParityError": "errors",
    "Policy": "records",
    "ReadError": "errors",
    "Reading": "records",
    "RefusedError": "errors",
    "Result": "remover",
    "RunOptions": "options",
    "SiteProfile": "site_profile",
    "UsageError": "errors",
    "WeightsError": "errors",
    "Window": "library.grey_scale",
    "WriteError": "errors",
    "remove": "run.batch",
    "synthesize": "synthesis",
}

__all__ = [
    "AnnotationError",
    "Decision",
    "Detections",
    "HeldError",
    "InferenceError",
    "MarkerRemover",
    "MarkerRemoverError",
    "ParityError",
    "Policy",
    "ReadError",
    "Reading",
    "RefusedError",
    "Result",
    "RunOptions",
    "SiteProfile",
    "UsageError",
    "WeightsError",
    "Window",
    "WriteError",
    "__version__",
    "remove",
    "synthesize",
]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
