"""PyCapsules over managed tensors of DLPack, without a C extension."""

import ctypes

from signum._library import DLPACK_VERSIONED, library

_NAMES = {0: b"dltensor", DLPACK_VERSIONED: b"dltensor_versioned"}

# Functions of our own: the attributes of ctypes.pythonapi are shared with everybody in the process.
_new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi))

# Frees what nobody took; a consumer renames the capsule and runs the deleter itself. No Python function: a consumer drops
# what it refuses while its exception is on its way.
_drop = ctypes.cast(library.signum_dlpack_drop_capsule, ctypes.c_void_p)

# A capsule may die after this module at the interpreter's end: its name stays.
for _kept in _NAMES.values():
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_kept))


def make_capsule(managed: int, flags: int):
    """A capsule that owns `managed`, as signum_lease_dlpack with these flags made it."""
    return _new(managed, _NAMES[flags & DLPACK_VERSIONED], _drop)
