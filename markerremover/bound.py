"""ONNX Runtime with its input bound once (IOBinding): pictures are put into one buffer, which on a GPU is page-locked, so that the copy to
the card runs at full speed, and which is copied into the same memory of the card each time.

The code is the same on the CPU, where the buffer itself is what the network reads. On a GPU it has not been run yet.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any, Sequence

import numpy as np

from .unconnected import import_onnxruntime

LEVELS = (np.arange(256, dtype=np.float32) / np.float32(255)).astype(np.float32)  # a grey level as the network sees it
CUDA_RUNTIMES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so")  # ONNX Runtime has loaded one of them


class BoundRun:
    """A network of ONNX Runtime as `batching.Run`, for pictures of any side.

    Attributes:
        pinned: whether the buffers are page-locked; None until the first call, and on the CPU, where there is nothing to copy.
    """

    def __init__(self, session: Any, batch: int, device: str = "cpu") -> None:
        """
        Args:
            session: an `onnxruntime.InferenceSession` that takes (N, 3, S, S) float32.
            batch: most pictures a call.
            device: "cpu" or "cuda", where the session runs. On the latter a short batch is filled up to 1, 2, 4 ... pictures: a new
                shape costs it more than a picture computed for nothing.
        """
        self._session, self._batch, self._device = session, batch, device
        self._name = session.get_inputs()[0].name
        self._lock = threading.Lock()  # the buffers are shared
        self._buffers: dict[int, np.ndarray] = {}
        self._bound: dict[tuple[int, int], tuple[Any, Any, np.ndarray]] = {}
        self.pinned: bool | None = None

    def __call__(self, pictures: np.ndarray) -> Sequence[np.ndarray]:
        count, side = pictures.shape[:2]
        shown = count if self._device == "cpu" else min(self._batch, 1 << (count - 1).bit_length())
        with self._lock:
            binding, value, part = self._binding(side, shown)
            part[:count] = LEVELS[pictures][:, None]
            if self._device != "cpu":
                value.update_inplace(part)
            self._session.run_with_iobinding(binding)
            return list(np.array(binding.copy_outputs_to_cpu()[0][:count]))

    def _binding(self, side: int, count: int) -> tuple[Any, Any, np.ndarray]:
        """The binding for so many pictures of a side, its input, and the part of the side's buffer that goes into it."""
        if side not in self._buffers:
            self._buffers[side] = np.zeros((self._batch, 3, side, side), np.float32)
            if self._device != "cpu":
                self.pinned = pin(self._buffers[side])
        if (side, count) not in self._bound:
            part, OrtValue = self._buffers[side][:count], import_onnxruntime().OrtValue
            value = OrtValue.ortvalue_from_numpy(part) if self._device == "cpu" else OrtValue.ortvalue_from_numpy(part, self._device, 0)
            binding = self._session.io_binding()
            binding.bind_ortvalue_input(self._name, value)
            binding.bind_output(self._session.get_outputs()[0].name, self._device)
            self._bound[side, count] = binding, value, part
        return self._bound[side, count]


def pin(array: np.ndarray) -> bool:
    """Page-lock an array for as long as the process lives, so that CUDA copies it without a buffer of its own; False where CUDA's
    runtime library is not there or refuses, which costs speed and nothing else."""
    for name in CUDA_RUNTIMES:
        try:
            runtime = ctypes.CDLL(name)
        except OSError:
            continue
        return runtime.cudaHostRegister(ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes), ctypes.c_uint(0)) == 0
    return False
