"""libsignum.so through ctypes: structs and functions as client/capi/signum.h declares them."""

import ctypes
import os
import pathlib
from ctypes import POINTER, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

ABI_VERSION = 1
MAX_PLANES = 8
DLPACK_VERSIONED, DLPACK_BITS = 1, 2
DEVICE_CPU, DEVICE_CUDA = 1, 2


class Error(Exception):
    """A call that failed. `reason` is a stable name ("not_resident"), the text is for people."""

    def __init__(self, message: str, reason: str = ""):
        super().__init__(message)
        self.reason = reason


class InvalidError(Error, ValueError):
    """An argument that could never be right."""


class UnusableError(Error, ValueError):
    """Well formed, but not usable."""


class DeniedError(Error, PermissionError):
    """No or a bad token, or not yours."""


class NotFoundError(Error, LookupError):
    """Unknown, or not resident."""


class ConflictError(Error):
    """The present state forbids it."""


class ExhaustedError(Error, MemoryError):
    """Out of memory, disk or quota."""


class UnavailableError(Error, ConnectionError):
    """The registry is away, or a wait ran out."""


class CorruptError(Error):
    """Bytes that do not match their digest or signature."""


_ERRORS = {1: InvalidError, 2: UnusableError, 3: DeniedError, 4: DeniedError, 5: NotFoundError, 6: ConflictError,
           7: UnusableError, 8: ExhaustedError, 9: UnavailableError, 10: CorruptError}


class _Struct(ctypes.Structure):
    """A struct of the interface: every one begins with its size."""

    def __init__(self, **fields):
        super().__init__(struct_size=ctypes.sizeof(type(self)), **fields)


class NodeOptions(_Struct):
    _fields_ = [("struct_size", c_size_t), ("registry_url", c_char_p), ("token", c_char_p),
                ("tenants", POINTER(c_char_p)), ("tenant_count", c_size_t), ("cache_directory", c_char_p),
                ("cache_bytes", c_uint64), ("memory_bytes", c_uint64), ("device", c_char_p), ("name", c_char_p),
                ("trust_key", c_char_p), ("ca_file", c_char_p), ("fetch_window_seconds", c_double),
                ("device_memory_bytes", c_uint64)]


class LeaseInfo(_Struct):
    _fields_ = [("struct_size", c_size_t), ("tenant", c_char_p), ("model", c_char_p), ("version", c_uint64),
                ("digest", c_char_p), ("bytes", c_uint64), ("base", c_char_p), ("base_digest", c_char_p),
                ("device_kind", c_int32), ("device_id", c_int32), ("ready_event", c_void_p),
                ("tensor_count", c_size_t), ("weight_count", c_size_t)]


class TensorInfo(_Struct):
    _fields_ = [("struct_size", c_size_t), ("name", c_char_p), ("data", c_void_p), ("bytes", c_uint64),
                ("dtype", c_int32), ("rank", c_int32), ("shape", POINTER(c_int64)), ("layout", c_int32),
                ("part", c_int32), ("codec", c_int32), ("plane", c_int32), ("weight", c_char_p),
                ("device_kind", c_int32), ("device_id", c_int32), ("ready_event", c_void_p)]


class WeightInfo(_Struct):
    _fields_ = [("struct_size", c_size_t), ("name", c_char_p), ("codec", c_int32), ("planes", c_int32),
                ("whole", c_int32), ("mask", c_int32), ("rows", c_int32), ("values", c_int32), ("lora_a", c_int32),
                ("lora_b", c_int32), ("sign", c_int32 * MAX_PLANES), ("scale", c_int32 * MAX_PLANES),
                ("row_scale", c_int32 * MAX_PLANES), ("col_scale", c_int32 * MAX_PLANES)]


class PullOptions(_Struct):
    _fields_ = [("struct_size", c_size_t), ("registry_url", c_char_p), ("token", c_char_p), ("model", c_char_p),
                ("directory", c_char_p), ("as_", c_char_p), ("fidelity", c_char_p), ("trust_key", c_char_p),
                ("ca_file", c_char_p)]


# Name: (result, arguments). A result of c_int32 is a status, which `check` looks at.
_FUNCTIONS = {
    "signum_abi_version": (c_uint32, []),
    "signum_version": (c_char_p, []),
    "signum_last_error": (c_char_p, []),
    "signum_last_error_reason": (c_char_p, []),
    "signum_string_free": (None, [c_void_p]),
    "signum_codec_name": (c_char_p, [c_int32]),
    "signum_dtype_name": (c_char_p, [c_int32]),
    "signum_node_open": (c_int32, [POINTER(NodeOptions), POINTER(c_void_p)]),
    "signum_node_wait_ready": (c_int32, [c_void_p, c_double]),
    "signum_node_residency": (c_int32, [c_void_p, POINTER(c_void_p)]),
    "signum_node_close": (None, [c_void_p]),
    "signum_lease_acquire": (c_int32, [c_void_p, c_char_p, POINTER(c_void_p)]),
    "signum_lease_retain": (c_void_p, [c_void_p]),
    "signum_lease_release": (None, [c_void_p]),
    "signum_lease_release_after": (c_int32, [c_void_p, c_void_p]),
    "signum_lease_wait": (c_int32, [c_void_p, c_void_p]),
    "signum_lease_describe": (c_int32, [c_void_p, POINTER(LeaseInfo)]),
    "signum_lease_tensor": (c_int32, [c_void_p, c_size_t, POINTER(TensorInfo)]),
    "signum_lease_weight": (c_int32, [c_void_p, c_size_t, POINTER(WeightInfo)]),
    "signum_lease_dlpack": (c_int32, [c_void_p, c_size_t, c_uint32, POINTER(c_void_p)]),
    "signum_dlpack_drop_capsule": (None, [c_void_p]),
    "signum_dlpack_free": (None, [c_void_p, c_uint32]),
    "signum_pull": (c_int32, [POINTER(PullOptions), POINTER(c_void_p)]),
}


def _load() -> ctypes.CDLL:
    beside = pathlib.Path(__file__).with_name("libsignum.so")
    path = os.environ.get("SIGNUM_LIBRARY") or str(beside)
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(f"libsignum.so can't be loaded ({error}): install the package with pip from Signum's "
                          "source tree, or name the library in SIGNUM_LIBRARY") from error
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    if library.signum_abi_version() != ABI_VERSION:
        raise ImportError(f"{path} has ABI {library.signum_abi_version()}, this package is made for {ABI_VERSION}")
    return library


library = _load()


def check(status: int) -> None:
    """Raises what a status other than 0 stands for, with this thread's last error."""
    if status != 0:
        message = library.signum_last_error().decode(errors="replace")
        raise _ERRORS.get(status, Error)(message, library.signum_last_error_reason().decode())


def encode(text) -> "bytes | None":
    """A str or path as the library takes it; None stays None."""
    if text is None:
        return None
    data = os.fsencode(text)
    if b"\0" in data:
        raise InvalidError(f"{text!r} has a NUL in it", "bad_text")
    return data


def take_string(pointer: c_void_p) -> str:
    """The text of a string that the library made, which is freed."""
    try:
        return ctypes.string_at(pointer.value).decode()
    finally:
        library.signum_string_free(pointer)
