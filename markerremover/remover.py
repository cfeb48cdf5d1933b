"""The library: load once, clean paths, arrays and datasets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from .detection.localizer import joined, unite
from .errors import HeldError, MarkerRemoverError, UsageError
from .formats import images
from .laterality import burned_in
from .library import saving
from .library.grey_scale import Window
from .library.sources import Source, SupportsArray, Taken, WindowLike, as_array, is_dataset, restored, taken
from .records import Decision, Detections, Policy, Radiograph, locked
from .redaction.cleaning import Cleaned, Cleaner, clean_radiograph, open_cleaner
from .run.one_file import method
from .scope import modality
from .site_profile import SiteProfile
from .site_profile import read as read_site
from .triage import judge, with_markers

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["MarkerRemover", "Result", "Window"]

Progress = Callable[[int, int], object]
"""Called as progress(done, total) after each source."""


@dataclass(frozen=True)
class _Origin:
    """What a result was made of: its radiograph and the stored values without annotations (None for an array), and the program and weights."""

    radiograph: Radiograph | None
    stored: np.ndarray | None
    stacked: bool
    method: str


@dataclass(frozen=True)
class Result:
    """One cleaned radiograph, or a stack of them.

    array: new, read-only pixels with the input's shape and dtype. From a path or dataset: the stored values, (H, W) or (H, W, C), or with
        several frames (F, H, W) or (F, H, W, C).
    decisions: every box with its action and reason, xyxy in source pixels, maxima exclusive; of a stack, `frame` is the picture's index.
    detections: of the localizer, one record per frame, of a stack per picture.
    status: "cleaned" if pixels were removed, else "unchanged".
    styles: for each decision its style, "box", "mask" or "fill", and "" or the reason why it differs from the policy's; () where
        that is "box".
    made_up: number of synthetic pixels, filled from their surroundings.
    laterality: the burned-in side, and whether the header agrees; None of a stack, and where no laterality marker is read, since the policy has none.
    modality: of the header, where it is one of DICOM's terms, else "".
    outside_validation: whether it is something that the weights were not validated on.
    recognizable: "" or the reason why a person may be recognised in the picture.
    mask: (H, W) bool, or (F, H, W) with several frames or for a stack, read-only: every pixel whose original was removed.
    quality: flags of the picture, of `triage.FLAGS`; () where nothing is wrong with it.
    """

    array: np.ndarray
    decisions: tuple[Decision, ...]
    detections: tuple[Detections, ...]
    status: str
    styles: tuple[tuple[str, str], ...] = ()
    made_up: int = 0
    laterality: burned_in.Laterality | None = None
    modality: str = ""
    outside_validation: bool = False
    recognizable: str = ""
    quality: tuple[str, ...] = ()
    mask: np.ndarray = field(kw_only=True)
    _origin: _Origin = field(kw_only=True, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "array", locked(self.array))
        object.__setattr__(self, "mask", locked(self.mask))

    @property
    def dataset(self) -> Dataset | None:
        """Of a DICOM file or dataset: a new pydicom dataset with the removed pixels; None for other sources.

        Its header keeps the patient's data, so it is not de-identified; that its pixels were cleaned is all that it states anew. Overlays, icons
        and the like are gone, and changed pixels have a new SOP Instance UID, as with `markerremover remove --headers keep`.

        Raises:
            WriteError: it does not read back as it was made.
        """
        radiograph, stored = self._origin.radiograph, self._origin.stored
        if radiograph is None or stored is None or radiograph.format != "DICOM":
            return None
        from .formats.dicom.datasets import cleaned_dataset

        touched = images.is_touched(radiograph, stored, self._mask_by_frame)
        return cleaned_dataset(
            radiograph, stored, touched=touched, method=self._origin.method, synthetic=self.made_up, removed=self._mask_by_frame)

    @property
    def _mask_by_frame(self) -> np.ndarray:
        """`mask` as (F, H, W)."""
        return self.mask.reshape(-1, *self.mask.shape[-2:])

    def save(self, path: Path | str, *, overwrite: bool = False, key: bytes | Path | str | None = None) -> Path:
        """Write the result, read it back and compare it, and only then put it in its place.

        From a file: a file of the same format without metadata that may identify the patient, as `markerremover remove` writes it. From an
        array: PNG (one picture, uint8 or uint16) or TIFF (any dtype; a stack as pages), by the suffix. From a DICOM file or dataset: only
        with `key`; the header is then cleaned by the basic profile, as `markerremover remove --key` does it.

        Args:
            path: of the new file; folders are created.
            overwrite: whether a file there is replaced; never the one that was read.
            key: secret key of pseudonyms and UIDs for a DICOM header: 32 bytes, or the file of one in hexadecimal (`openssl rand -hex 32`).

        Returns:
            `path`.

        Raises:
            UsageError: a file is there; the suffix does not fit; a DICOM source without a key.
            WriteError: it cannot be written or does not read back as written; nothing is left of it.
        """
        target, origin = Path(path), self._origin
        if origin.radiograph is None or origin.stored is None:
            if key is not None:
                raise UsageError(f"{target}: a key is for DICOM headers, the source is an array")
            saving.save_array(target, self.array, stacked=origin.stacked, overwrite=overwrite)
        else:
            removed = self._mask_by_frame
            saving.save_file(
                target, origin.radiograph, origin.stored, removed=removed, touched=images.is_touched(origin.radiograph, origin.stored, removed),
                made_up=self.made_up, method=origin.method, key=key, overwrite=overwrite)
        return target


class MarkerRemover:
    """Removes burned-in annotations from radiographs. Calls are independent of each other; use one object per thread.

    A process started by "spawn" or "forkserver", or forked, loads networks and OCR engine itself when it receives or first uses the object;
    on a GPU a forked process is refused with a `UsageError`.
    """

    def __init__(
        self, weights: Path | str | None = None, policy: Policy | None = None, device: str = "auto", *,
        site: SiteProfile | Path | str | None = None, cleaner: Cleaner | None = None,
    ) -> None:
        """Load the localizer and the OCR engine.

        Args:
            weights: an ONNX, OpenVINO or TensorRT model with its card beside it, or the `.pt` or `.json` beside an ONNX one;
                the site's by default, or else the shipped one.
            policy: what to retain, and margins of removed boxes; the site's by default.
            device: "auto", "cpu", "openvino", "onnxruntime", "cuda" or "tensorrt".
            site: a site profile, or the path of its TOML file; `weights` and `policy` override it.
            cleaner: used instead of loading anything; weights, policy and device are then ignored.

        Raises:
            WeightsError: weights or card missing or damaged.  UsageError: no OCR engine (unless `policy.keep` is empty), or
            an invalid site profile.
        """
        self._opened_with: tuple[Path | None, Policy, str] | None = None
        profile = read_site(site) if isinstance(site, (str, Path)) else site or SiteProfile()
        self._meanings, self._allowed = burned_in.all_meanings(profile.keep), profile.allow_modality
        if cleaner is None:
            model = Path(weights) if weights else profile.weights
            rules = profile.policy() if policy is None else policy
            self._opened_with = model, rules, device
            cleaner = open_cleaner(rules, weights=model, device=device)
        self.cleaner = cleaner

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickling: another process loads the same networks itself.

        Raises:
            UsageError: the object was made with `cleaner`.
        """
        if self._opened_with is None:
            raise UsageError("a MarkerRemover that was made with `cleaner` cannot be sent to another process: make one there")
        return MarkerRemover, self._opened_with, {"_meanings": self._meanings, "_allowed": self._allowed}

    def detect(self, source: Source, *, window: WindowLike | None = None) -> tuple[Detections, ...]:
        """What the localizer finds in a radiograph. Nothing is decided, removed or written, and the argument is not changed.

        Args:
            source, window: as for `clean`.

        Returns:
            As `Result.detections`: one record per frame, of a stack per picture; boxes in source pixels with scores and classes.

        Raises:
            As `clean`.
        """
        detector, threshold = self.cleaner.detector, self.cleaner.policy.threshold
        return tuple(
            joined(unite([detector(view[index], threshold) for view in radiograph.views]))
            for radiograph in taken(source, window).radiographs for index in range(len(radiograph.display)))

    def clean(self, source: Source, *, window: WindowLike | None = None, allow_modality: Collection[str] = ()) -> Result:
        """Clean one radiograph, or a stack of them. Nothing is written, and the argument is not changed.

        A stack (N, H, W) or (N, H, W, 3) gives one result, stacked like the input, but each of its pictures is a radiograph of its own: it is
        looked at and decided without the others. One that is held holds the stack; `clean_many` gives one result for each. An array (H, W, 3)
        is always colour; one whose last axis is 1, 2 or 4 long is refused, since it may be colour with transparency.

        Args:
            source: path of a DICOM, PNG, JPEG or TIFF file; a pydicom Dataset with its Pixel Data; or an array or stack in which bright is
                dense, as numpy array or anything that numpy makes an array of (torch tensors on the CPU, Pillow images, DLPack):
                (H, W) grey or (H, W, 3) RGB of uint8 or uint16 with 0 as black; or grey int16, float16, float32 or float64 with `window`.
            window: which values of a grey array show as black and as white, `(low, high)` or `Window.of_center(center, width)`. Removed
                pixels get `low`, in uint8, uint16 and int16 rounded down and within the dtype.
            allow_modality: what is cleaned though the weights were not validated on it, beside what the site allows: DICOM's terms such as "CT",
                "photo" for colour photographs, "all".

        Raises:
            ReadError: the file or dataset cannot be read.
            UsageError: another kind of object, shape or dtype, `window` is missing, or an unknown modality.
            HeldError: the result cannot be trusted, or the weights were not validated on such a file; the message gives the reason.
        """
        given = taken(source, window)
        allowed, results, scopes = (*modality.checked_modalities(allow_modality), *self._allowed), [], []
        for radiograph in given.radiographs:
            scopes.append(images.scope(radiograph))
            try:
                modality.check(scopes[-1], allowed)
            except HeldError as error:
                raise HeldError(f"{radiograph.path}: {error}") from None
            cleaned = clean_radiograph(radiograph, self.cleaner)
            if cleaned.doubt:
                raise HeldError(f"{radiograph.path}: {cleaned.doubt}")
            results.append(cleaned)
        side = self._side(given, results) if self.cleaner.policy.readable else None
        return replace(
            _result(given, results, method(self.cleaner.detector)), laterality=side, modality=scopes[0].modality,
            outside_validation=any(scope.outside for scope in scopes), recognizable=next((scope.recognizable for scope in scopes if scope.recognizable), ""),
            quality=_quality(given, results))

    def _side(self, given: Taken, results: list[Cleaned]) -> burned_in.Laterality | None:
        """The burned-in side of a radiograph; None of a stack, whose pictures may be of different sides."""
        if given.stacked:
            return None
        radiograph = given.radiographs[0]
        return burned_in.side(results[0].decisions, radiograph.shape_hw, self._meanings, images.header_sides(radiograph))

    @overload
    def clean_many(
        self, sources: Iterable[Source] | np.ndarray | SupportsArray, *, window: WindowLike | None = ..., allow_modality: Collection[str] = ...,
        progress: Progress | None = ...,
        errors: Literal["raise"] = ...,
    ) -> list[Result]: ...

    @overload
    def clean_many(
        self, sources: Iterable[Source] | np.ndarray | SupportsArray, *, window: WindowLike | None = ..., allow_modality: Collection[str] = ...,
        progress: Progress | None = ...,
        errors: Literal["return"],
    ) -> list[Result | MarkerRemoverError]: ...

    def clean_many(
        self, sources: Iterable[Source] | np.ndarray | SupportsArray, *, window: WindowLike | None = None, allow_modality: Collection[str] = (),
        progress: Progress | None = None,
        errors: str = "raise",
    ) -> list[Any]:
        """Clean several radiographs, one after the other, each without the others. For folders of files there is `remove`.

        Args:
            sources: an iterable of sources as for `clean`; or a stack (N, H, W) or (N, H, W, 3) as one array.
            window: of every array among them.  allow_modality: as for `clean`.
            progress: called as progress(done, total) after each source, also after one that failed.
            errors: "raise" ends at the first source that cannot be cleaned; "return" puts its error in the place of its result.

        Returns:
            One `Result` for each source, in order; all of them are in memory at once.

        Raises:
            UsageError: `sources` is a single source, or `errors` another word.  Others as `clean`.
        """
        if errors not in ("raise", "return"):
            raise UsageError(f"errors is {errors!r}, allowed are 'raise' and 'return'")
        each = _several(sources)
        results: list[Result | MarkerRemoverError] = []
        for done, source in enumerate(each, 1):
            own_window = None if isinstance(source, (str, PathLike)) or is_dataset(source) else window
            try:
                results.append(self.clean(source, window=own_window, allow_modality=allow_modality))
            except MarkerRemoverError as error:
                if errors == "raise":
                    raise
                results.append(error)
            if progress is not None:
                progress(done, len(each))
        return results


def _several(sources: Any) -> list[Any]:
    """The sources that a caller gave together."""
    if isinstance(sources, (str, PathLike)) or is_dataset(sources):
        raise UsageError("clean_many takes several sources, this is one: put it in a list; for a folder there is `remove`")
    if not isinstance(sources, np.ndarray) and not hasattr(sources, "__array__") and not hasattr(sources, "__dlpack__"):
        if not isinstance(sources, Iterable):
            raise UsageError(f"sources is a {type(sources).__name__}, allowed are an iterable of sources and a stack")
        return list(sources)
    stack = as_array(sources)
    if stack.ndim == 4 and stack.shape[-1] == 3 or stack.ndim == 3 and stack.shape[-1] > 4:
        return list(stack)
    raise UsageError(f"array has shape {stack.shape}, allowed are stacks (N, H, W) and (N, H, W, 3); put a single picture in a list")


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    """Arrays one after the other along the first axis; the array itself if it is the only one."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _result(given: Taken, results: list[Cleaned], program: str) -> Result:
    """One result of the results for one source."""
    arrays = [cleaned.stored for cleaned in results]
    if given.levels is not None and given.array is not None:
        originals = given.array if given.stacked else given.array[None]
        arrays = [
            restored(cleaned.stored[0], cleaned.removed[0], original, own)[None]
            for cleaned, original, own in zip(results, originals, given.levels)]
    pixels, mask = _joined(arrays), _joined([cleaned.removed for cleaned in results])
    changed = any(not np.array_equal(cleaned.stored, radiograph.stored) for cleaned, radiograph in zip(results, given.radiographs))
    decisions = tuple(
        replace(d, frame=index) if given.stacked else d for index, cleaned in enumerate(results) for d in cleaned.decisions)
    single = len(pixels) == 1 and not given.stacked
    status = "cleaned" if changed or any(d.action == "remove" for d in decisions) else "unchanged"
    from_array = given.array is not None
    origin = _Origin(None if from_array else given.radiographs[0], None if from_array else results[0].stored, given.stacked, program)
    return Result(
        pixels[0] if single else pixels, decisions, tuple(d for cleaned in results for d in cleaned.detections), status,
        tuple(style for cleaned in results for style in cleaned.styles), sum(cleaned.made_up for cleaned in results),
        mask=mask[0] if single else mask, _origin=origin)


def _quality(given: Taken, results: list[Cleaned]) -> tuple[str, ...]:
    """The flags of a radiograph, or those that all pictures of a stack have."""
    found = [with_markers(judge(r), cleaned.decisions, r.shape_hw[1]) for r, cleaned in zip(given.radiographs, results)]
    return tuple(flag for flag in found[0] if all(flag in flags for flags in found))
