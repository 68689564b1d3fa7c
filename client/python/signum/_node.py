"""A node in this process, and leases of what it holds."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import pathlib
import threading
import time
from types import MappingProxyType
from typing import Any, Dict, Iterable, Iterator, Mapping, Optional, Union

from signum._library import (LeaseInfo, NodeOptions, TensorInfo, UnavailableError, WeightInfo, check, encode, library,
                             take_string)
from signum._tensor import Plane, Tensor, Weight, device_name

Path = Union[str, "os.PathLike[str]"]


class _Handle:
    """A handle of the library that one thread may give back while others use it."""

    def __init__(self, pointer: ctypes.c_void_p, give_back: Any, what: str):
        self._pointer: Optional[int] = pointer.value
        self._give_back, self._what = give_back, what
        self._users, self._lock = 0, threading.Condition()

    @contextlib.contextmanager
    def use(self) -> Iterator[int]:
        with self._lock:
            if self._pointer is None:
                raise ValueError(f"the {self._what}")
            pointer = self._pointer
            self._users += 1
        try:
            yield pointer
        finally:
            with self._lock:
                self._users -= 1
                self._lock.notify_all()

    def take(self) -> Optional[int]:
        """The pointer, now the caller's, once nobody uses it; None where it is gone."""
        with self._lock:
            pointer, self._pointer = self._pointer, None
            self._lock.wait_for(lambda: self._users == 0)
        return pointer

    def put_back(self, pointer: int) -> None:
        with self._lock:
            self._pointer = pointer

    def close(self) -> None:
        pointer = self.take()
        if pointer is not None:
            self._give_back(pointer)

    def __del__(self) -> None:
        self.close()


class Lease:
    """The right to read one generation of a model: it stays in memory, unchanged, as long as the lease.

    A context manager. Released by ``release()``, at the end of the ``with`` block, or when it and its tensors are
    collected; arrays made of its tensors hold the generation beyond that.

    Attributes:
        tenant, model: whose.
        version: of the model; digest: of the delta file (``"sha256:..."``), which names the generation.
        nbytes: of the delta file.
        base, base_digest: what it is a delta of.
        device: where its tensors are: "cpu" or "cuda:N".
        ready_event: on a device the cudaEvent_t, a number, after which they may be read; DLPack waits for it by itself.
    """

    def __init__(self, pointer: ctypes.c_void_p):
        self._handle = _Handle(pointer, library.signum_lease_release, "lease is released")
        info = LeaseInfo()
        with self._handle.use() as lease:
            check(library.signum_lease_describe(lease, info))
        self.tenant: str = info.tenant.decode()
        self.model: str = info.model.decode()
        self.version: int = info.version
        self.digest: str = info.digest.decode()
        self.nbytes: int = info.bytes
        self.base: str = info.base.decode()
        self.base_digest: str = info.base_digest.decode()
        self.device: str = device_name(info.device_kind, info.device_id)
        self.ready_event: Optional[int] = info.ready_event
        self._counts = (info.tensor_count, info.weight_count)

    def __repr__(self) -> str:
        return f"signum.Lease({self.tenant}/{self.model}@{self.version})"

    @functools.cached_property
    def _tensors(self) -> list:
        out = []
        with self._handle.use() as lease:
            for index in range(self._counts[0]):
                info = TensorInfo()
                check(library.signum_lease_tensor(lease, index, info))
                out.append(Tensor(self._handle, index, library.signum_dtype_name(info.dtype).decode(), info))
        return out

    @functools.cached_property
    def tensors(self) -> Mapping[str, Tensor]:
        """The tensors of the delta file by name, in the order of their data."""
        return MappingProxyType({tensor.name: tensor for tensor in self._tensors})

    @functools.cached_property
    def weights(self) -> Mapping[str, Weight]:
        """Every weight of the fine-tune by name, those equal to the base's included."""
        with self._handle.use() as lease:
            weights = [self._weight(lease, index) for index in range(self._counts[1])]
        return MappingProxyType({weight.name: weight for weight in weights})

    def _weight(self, lease: int, index: int) -> Weight:
        info = WeightInfo()
        check(library.signum_lease_weight(lease, index, info))

        def at(tensor: int) -> Optional[Tensor]:
            return self._tensors[tensor] if tensor >= 0 else None

        planes = tuple(Plane(self._tensors[info.sign[p]], at(info.scale[p]), at(info.row_scale[p]),
                             at(info.col_scale[p])) for p in range(info.planes))
        codec = library.signum_codec_name(info.codec).decode()
        return Weight(info.name.decode(), codec, planes, at(info.whole), at(info.mask), at(info.rows), at(info.values),
                      at(info.lora_a), at(info.lora_b), at(info.scale[0]) if codec == "lowrank" else None)

    def release(self, after: Any = None) -> None:
        """Gives the lease back; again does nothing.

        Args:
            after: on a device, an event that was recorded after the work that reads the tensors: a ``torch.cuda.Event``, or
                a cudaEvent_t as a number. The memory stays until it has passed; nothing here waits for that.
        """
        if after is None:
            return self._handle.close()
        pointer = self._handle.take()
        if pointer is None:
            return
        try:
            check(library.signum_lease_release_after(pointer, getattr(after, "cuda_event", after)))
        except BaseException:
            self._handle.put_back(pointer)
            raise

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: Any) -> None:
        self.release()


def _default_cache(name: str) -> pathlib.Path:
    caches = os.environ.get("XDG_CACHE_HOME", "")
    root = pathlib.Path(caches) if caches.startswith("/") else pathlib.Path.home() / ".cache"
    return root / "signum" / name


class Node:
    """Follows a registry for its tenants and keeps their live deltas verified in memory.

    A context manager. Closing it leaves leases good.

    Args:
        registry: its URL, or a cache's before it.
        tenants: whose live models to hold.
        token: of role node; None: the environment's SIGNUM_TOKEN, if any.
        cache: folder of deltas on disk, this node's alone; None: ``signum/NAME`` in the user's cache.
        memory: bytes for deltas; 0: half of the machine's.
        wait: seconds until everything that is live must be resident or refused, else UnavailableError is raised;
            0: don't wait.
        name: to report as; None: the host's.
        trust_key: the only key (base64) that manifests may be signed with; None: the registry's, pinned on first use.
        ca_file: PEM certificates to trust instead of the system's.
        cache_bytes: bound of the cache; 0: none.
        fetch_window: seconds over which the fetch after a change is spread.
        device: where deltas are used: "cpu", "cuda:N", or "auto", the first device there is or else the CPU.
            ``memory`` is then what the host holds of them on their way and as copies that come back.
        device_memory: bytes of a device's memory for deltas; 0: half of it.
    """

    def __init__(self, registry: str, tenants: Iterable[str], *, token: Optional[str] = None,
                 cache: Optional[Path] = None, memory: int = 0, wait: float = 60.0, name: Optional[str] = None,
                 trust_key: Optional[str] = None, ca_file: Optional[Path] = None, cache_bytes: int = 0,
                 fetch_window: float = 0.0, device: str = "cpu", device_memory: int = 0):
        if isinstance(tenants, str):
            raise TypeError("tenants is a list of names, not one name")
        names = [encode(tenant) for tenant in tenants]
        cache = cache if cache is not None else _default_cache(name or "node")
        options = NodeOptions(
            registry_url=encode(registry), token=encode(token or os.environ.get("SIGNUM_TOKEN")),
            tenants=(ctypes.c_char_p * len(names))(*names), tenant_count=len(names), cache_directory=encode(cache),
            cache_bytes=cache_bytes, memory_bytes=memory, device=encode(device), name=encode(name),
            trust_key=encode(trust_key), ca_file=encode(ca_file), fetch_window_seconds=fetch_window,
            device_memory_bytes=device_memory)
        pointer = ctypes.c_void_p()
        check(library.signum_node_open(options, pointer))
        self._handle = _Handle(pointer, library.signum_node_close, "node is closed")
        if wait:
            try:
                self.wait_ready(wait)
            except BaseException:
                self.close()
                raise

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Waits until everything that was live at the start is resident or refused. UnavailableError."""
        deadline = time.monotonic() + timeout
        while True:  # in short waits, so that Ctrl-C is heard
            left = deadline - time.monotonic()
            try:
                with self._handle.use() as node:
                    check(library.signum_node_wait_ready(node, max(0.0, min(left, 0.2))))
                return
            except UnavailableError:
                if left <= 0:
                    raise

    def acquire(self, model: str) -> Lease:
        """A lease of what is live now of "tenant/model". NotFoundError where it is not resident."""
        pointer = ctypes.c_void_p()
        with self._handle.use() as node:
            check(library.signum_lease_acquire(node, encode(model), pointer))
        return Lease(pointer)

    def residency(self) -> Dict[str, Any]:
        """What is resident, what is retiring under leases, what is pending and why."""
        text = ctypes.c_void_p()
        with self._handle.use() as node:
            check(library.signum_node_residency(node, text))
        return json.loads(take_string(text))

    def close(self) -> None:
        """Ends the node's threads; again does nothing."""
        self._handle.close()

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
