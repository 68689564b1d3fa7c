"""PyCapsules over managed tensors of DLPack, without a C extension."""

import ctypes

from signum._library import DLPACK_VERSIONED, library

_NAMES = {0: b"dltensor", DLPACK_VERSIONED: b"dltensor_versioned"}

_new = ctypes.pythonapi.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p]
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]


@ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
def _drop(capsule):
    """Frees what nobody took; a consumer renames the capsule and runs the deleter itself."""
    for version, name in _NAMES.items():
        if _is_valid(capsule, name):
            library.signum_dlpack_free(_pointer(capsule, name), version)


# A capsule may die after this module at the interpreter's end: these stay.
for _kept in (_drop, *_NAMES.values()):
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_kept))


def make_capsule(managed: int, flags: int):
    """A capsule that owns `managed`, as signum_lease_dlpack with these flags made it."""
    name = _NAMES[flags & DLPACK_VERSIONED]
    return _new(managed, name, ctypes.cast(_drop, ctypes.c_void_p))
