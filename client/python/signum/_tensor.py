"""Tensors of a lease, and which of them make up a weight."""

from __future__ import annotations

import ctypes
import dataclasses
from typing import TYPE_CHECKING, Any, Optional, Tuple

from signum._capsule import make_capsule
from signum._library import DEVICE_CPU, DEVICE_CUDA, DLPACK_BITS, DLPACK_VERSIONED, check, library

if TYPE_CHECKING:
    from signum._node import _Handle

_PARTS = ("whole", "sign", "mask", "rows", "values", "scale", "row_scale", "col_scale", "lora_a", "lora_b", "file")
_LAYOUTS = ("dense", "row-lsb", "bits-lsb")


def device_name(kind: int, index: int) -> str:
    return "cpu" if kind == DEVICE_CPU else f"cuda:{index}"


class Tensor:
    """One tensor of a delta file, where the node holds it. Nothing is copied.

    On a CUDA device only what computes there reads it (``torch.from_dlpack``), and ``device`` says which. Else
    ``numpy.from_dlpack(tensor)`` and ``torch.from_dlpack(tensor)`` give arrays over the same memory. Each holds the
    lease's generation until it is collected, also after ``lease.release()``.

    The memory is read-only. numpy 2.1 and newer is told so (DLPack 1.0) and older numpy makes every such array
    read-only; torch has no read-only tensors: writing to one ends the process.

    Attributes:
        name: as in the file, ``"model.norm.weight"``.
        dtype: of its elements, as safetensors names it, ``"BF16"``.
        shape: row-major.
        nbytes: how many bytes.
        layout: ``"dense"``; ``"row-lsb"`` where bit j of byte i of a row is column 8i + j; ``"bits-lsb"`` where bits
            follow without gaps, least significant first (signs of ``sign1-sparse``).
        part: what it is of its weight: ``"sign"``, ``"row_scale"``, ``"whole"``...; ``"file"`` for ``signum.*``.
        weight: the weight's name, or ``""``.
        plane: of signs and scales; 0 is the first.
    """

    __slots__ = ("_handle", "_index", "_bits", "name", "dtype", "shape", "nbytes", "layout", "part", "weight", "plane",
                 "_device")

    def __init__(self, handle: _Handle, index: int, dtype: str, info: Any, bits: bool = False):
        self._handle, self._index, self._bits = handle, index, bits
        self.name: str = info.name.decode()
        self.dtype = dtype
        self.shape: Tuple[int, ...] = tuple(info.shape[: info.rank])
        self.nbytes: int = info.bytes
        self.layout: str = _LAYOUTS[info.layout]
        self.part: str = _PARTS[info.part]
        self.weight: str = info.weight.decode()
        self.plane: int = info.plane
        self._device = (info.device_kind, info.device_id)

    def __repr__(self) -> str:
        return f"signum.Tensor({self.name!r}, {self.dtype}, {list(self.shape)})"

    @property
    def bits(self) -> Tensor:
        """The same memory as unsigned integers where numpy lacks the type: BF16 as uint16."""
        if self.dtype != "BF16":
            return self
        out = object.__new__(Tensor)
        for slot in Tensor.__slots__:
            setattr(out, slot, getattr(self, slot))
        out.dtype, out._bits = "U16", True
        return out

    def numpy(self):
        """A read-only numpy array over the same memory; BF16 as uint16, F8 as uint8. BufferError on a device."""
        if self._device[0] != DEVICE_CPU:
            raise BufferError(f"{self.name} is on {self.device}, numpy reads the CPU's memory: torch.from_dlpack(tensor)")
        import numpy

        return numpy.from_dlpack(self.bits)

    def __dlpack__(self, *, stream: Any = None, max_version: Optional[Tuple[int, int]] = None,
                   dl_device: Optional[Tuple[int, int]] = None, copy: Optional[bool] = None):
        """A DLPack capsule that holds the lease. Raises BufferError for what it can't give.

        On a CUDA device the consumer's ``stream`` waits until the memory may be read, without a wait here: a
        cudaStream_t as a number, 1 or None for the legacy default stream, 2 for the thread's own, -1 for none.
        """
        if stream is not None and self._device[0] == DEVICE_CPU:
            raise BufferError("memory of the CPU has no stream")
        if stream is not None and (stream == 0 or stream < -1):
            raise BufferError(f"{stream} is no stream: see DLPack's __dlpack__")
        if copy:
            raise BufferError("a tensor of a delta is shown, not copied")
        if dl_device is not None and tuple(dl_device) != self._device:
            raise BufferError(f"the tensor is on device {self._device}, not on {tuple(dl_device)}")
        flags = DLPACK_BITS if self._bits else 0
        if max_version is not None and max_version[0] >= 1:
            flags |= DLPACK_VERSIONED
        managed = ctypes.c_void_p()
        with self._handle.use() as lease:  # ValueError where it is released
            if self._device[0] == DEVICE_CUDA and stream != -1:
                check(library.signum_lease_wait(lease, 1 if stream is None else stream))
            check(library.signum_lease_dlpack(lease, self._index, flags, managed))
        return make_capsule(managed.value, flags)

    @property
    def device(self) -> str:
        """``"cpu"`` or ``"cuda:N"``."""
        return device_name(*self._device)

    def __dlpack_device__(self) -> Tuple[int, int]:
        return self._device


@dataclasses.dataclass(frozen=True)
class Plane:
    """Signs and scales of one plane; what a weight does not have is None."""

    sign: Tensor
    scale: Optional[Tensor]
    row_scale: Optional[Tensor]
    col_scale: Optional[Tensor]


@dataclasses.dataclass(frozen=True)
class Weight:
    """A weight of the fine-tune and the tensors that it is made of: FORMAT.md, "Parts".

    ``codec`` is ``"same"``, ``"sign1"``, ``"sign1-sparse"``, ``"rows"``, ``"raw"`` or ``"lowrank"``.
    """

    name: str
    codec: str
    planes: Tuple[Plane, ...] = ()
    whole: Optional[Tensor] = None
    mask: Optional[Tensor] = None
    rows: Optional[Tensor] = None
    values: Optional[Tensor] = None
    lora_a: Optional[Tensor] = None
    lora_b: Optional[Tensor] = None
    scale: Optional[Tensor] = None  # of lowrank
