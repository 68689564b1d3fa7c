"""signum's leases on the emulated device, run by python_test.py in a process that finds it.

usage: device_check.py REGISTRY TOKEN DELTA CACHE MODULE
       DELTA: the file of acme/signs, to compare with; MODULE: the one that the package loads

The device's addresses are the host's, so ctypes reads what is there.
"""

import ctypes
import gc
import pathlib
import sys
import time

import numpy
import signum

from formula import parse

module = ctypes.CDLL(sys.argv[5])
for name in ("SignumEmulatedHeldEvent", "SignumEmulatedStream"):
    getattr(module, name).restype = ctypes.c_void_p
module.SignumEmulatedPass.argtypes = module.SignumEmulatedWaits.argtypes = [ctypes.c_void_p]


class ManagedTensor(ctypes.Structure):
    """DLManagedTensor, as far as its strides."""

    _fields_ = [("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
                ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
                ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64))]


pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi))


def shown(capsule):
    return ManagedTensor.from_address(pointer(capsule, b"dltensor"))


def refuses(error, call, text):
    try:
        call()
    except error as raised:
        assert text in str(raised), raised
        return
    raise AssertionError(f"not refused: {text}")


def used(node):
    return node.residency()["device_memory"]["used"]


def check_tensors(lease, parts):
    assert lease.device == "cuda:0" and lease.ready_event
    assert set(lease.tensors) == set(parts)
    for name, tensor in lease.tensors.items():
        assert tensor.__dlpack_device__() == (2, 0) and tensor.device == "cuda:0"
        capsule = tensor.__dlpack__()
        managed = shown(capsule)
        assert (managed.device_type, managed.device_id) == (2, 0)
        assert tuple(managed.shape[: managed.ndim]) == tensor.shape
        assert ctypes.string_at(managed.data, tensor.nbytes) == parts[name][2], name
    refuses(BufferError, tensor.numpy, "cuda:0")
    refuses((BufferError, RuntimeError), lambda: numpy.from_dlpack(tensor), "evice")


def check_streams(tensor):
    stream = module.SignumEmulatedStream()
    for wait, waits in ((stream, 1), (-1, 1), (stream, 2)):
        tensor.__dlpack__(stream=wait, max_version=(1, 0))
        assert module.SignumEmulatedWaits(stream) == waits
    legacy = module.SignumEmulatedWaits(1)
    tensor.__dlpack__()
    tensor.__dlpack__(stream=1)
    assert module.SignumEmulatedWaits(1) == legacy + 2
    tensor.__dlpack__(stream=2)
    assert module.SignumEmulatedWaits(2) == 1
    for wrong in (0, -2):
        refuses(BufferError, lambda: tensor.__dlpack__(stream=wrong), "no stream")
    refuses(signum.Error, lambda: tensor.__dlpack__(stream=12345), "refuses the stream")


def check_release(node, lease):
    """The generation is closed by nobody but the event, though the node is."""
    refuses(signum.Error, lambda: lease.release(after=id(lease)), "refuses the event")
    tensor = next(iter(lease.tensors.values()))
    managed = shown(tensor.__dlpack__())  # its capsule is gone already, the lease is not
    held = module.SignumEmulatedHeldEvent()
    lease.release(after=held)
    lease.release(after=held)  # again does nothing
    refuses(ValueError, tensor.__dlpack__, "released")
    time.sleep(0.05)
    model, = (m for m in node.residency()["models"] if m["model"] == "signs")
    assert model["leases"] == 1 and managed.data != 0
    module.SignumEmulatedPass(held)
    deadline = time.monotonic() + 60
    while next(m for m in node.residency()["models"] if m["model"] == "signs")["leases"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def main(registry, token, delta, cache, _):
    parts = parse(pathlib.Path(delta).read_bytes())[0]
    with signum.Node(registry, ["acme"], token=token, cache=cache, memory=64 << 20, name="device", device="cuda",
                     device_memory=64 << 20) as node:
        assert used(node) == sum(m["bytes"] for m in node.residency()["models"])
        lease = node.acquire("acme/signs")
        check_tensors(lease, parts)
        check_streams(next(iter(lease.tensors.values())))
        gc.collect()
        check_release(node, lease)
    refuses(signum.Error, lambda: signum.Node(registry, ["acme"], token=token, cache=cache, device="cuda:3"), "no device 3")
    print("checked")


main(*sys.argv[1:])
