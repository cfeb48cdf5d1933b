"""ONNX Runtime with its input bound once (IOBinding): images are written into one buffer. On a GPU the buffer is page-locked, so that it is
copied at full speed, and always into the same device memory.

The code is the same on the CPU, where the network reads the buffer itself. On a GPU it has not been run yet.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..system.telemetry import import_onnxruntime
from .session import room

LEVELS = (np.arange(256, dtype=np.float32) / np.float32(255)).astype(np.float32)  # input value of the network by grey level, 0–1
CUDA_RUNTIMES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so")  # ONNX Runtime has loaded one of them
SHAPES = 10  # maximum number of image shapes for which buffers are kept


class BoundRun:
    """A network of ONNX Runtime as `session.Run`, for images of any shape.

    Attributes:
        pinned: whether the buffers are page-locked; None before the first call, and on the CPU, where nothing is copied.
    """

    def __init__(self, session: Any, batch: int, device: str = "cpu") -> None:
        """
        Args:
            session: an `onnxruntime.InferenceSession` that takes (N, 3, H, W) float32.
            batch: maximum number of images per call; for large images see `session.room`.
            device: "cpu" or "cuda", where the session runs. On the latter a short batch is padded to 1, 2, 4 ... images, since a new
                shape costs more than an unused image.
        """
        self._session, self._batch, self._device = session, batch, device
        self._name = session.get_inputs()[0].name
        self._lock = threading.Lock()  # the buffers are shared
        self._buffers: dict[tuple[int, int], tuple[np.ndarray, dict[int, tuple[Any, Any, np.ndarray]]]] = {}
        self.pinned: bool | None = None

    def __call__(self, pictures: np.ndarray) -> Sequence[np.ndarray]:
        """The network's answers to (N, H, W) uint8 images, N new (4 + classes, anchors) arrays."""
        count, *shape = pictures.shape
        padded_count = count if self._device == "cpu" else min(room(self._batch, *shape), 1 << (count - 1).bit_length())
        with self._lock:
            binding, value, part = self._binding(tuple(shape), padded_count)
            part[:count] = LEVELS[pictures][:, None]
            if self._device != "cpu":
                value.update_inplace(part)
            self._session.run_with_iobinding(binding)
            return list(np.array(binding.copy_outputs_to_cpu()[0][:count]))

    def _binding(self, shape: tuple[int, int], count: int) -> tuple[Any, Any, np.ndarray]:
        """The binding for `count` images of a height and width, its input, and the part of the buffer that is its input."""
        entry = self._buffers[shape] = self._buffers.pop(shape) if shape in self._buffers else self._new(shape)  # most recently used last
        buffer, bound = entry
        if count not in bound:
            part, OrtValue = buffer[:count], import_onnxruntime().OrtValue
            value = OrtValue.ortvalue_from_numpy(part) if self._device == "cpu" else OrtValue.ortvalue_from_numpy(part, self._device, 0)
            binding = self._session.io_binding()
            binding.bind_ortvalue_input(self._name, value)
            binding.bind_output(self._session.get_outputs()[0].name, self._device)
            bound[count] = binding, value, part
        return bound[count]

    def _new(self, shape: tuple[int, int]) -> tuple[np.ndarray, dict]:
        """A buffer for images of a shape; the least recently used one is dropped where there are `SHAPES`."""
        if len(self._buffers) >= SHAPES:
            old, _ = self._buffers.pop(next(iter(self._buffers)))
            if self.pinned:
                unpin(old)
        buffer = np.zeros((room(self._batch, *shape), 3, *shape), np.float32)
        if self._device != "cpu":
            self.pinned = pin(buffer)
        return buffer, {}


def pin(array: np.ndarray) -> bool:
    """Page-lock an array until `unpin`, so that CUDA copies it without an intermediate buffer.

    Returns:
        False if CUDA's runtime library is missing or refuses, which only costs speed.
    """
    runtime = _runtime()
    return bool(runtime) and runtime.cudaHostRegister(ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes), ctypes.c_uint(0)) == 0


def unpin(array: np.ndarray) -> None:
    """Undo `pin`; to be called before the array's memory is freed."""
    if runtime := _runtime():
        runtime.cudaHostUnregister(ctypes.c_void_p(array.ctypes.data))


def _runtime() -> Any:
    """CUDA's runtime library, None if there is none."""
    for name in CUDA_RUNTIMES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None
