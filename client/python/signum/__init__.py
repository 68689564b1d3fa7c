"""Deltas of a Signum registry in this process.

``pull`` fetches and verifies a version, ``Node`` keeps what is live in memory, ``Node.acquire`` gives a ``Lease`` whose
tensors any library of arrays reads without a copy (DLPack). ``signum.torch.apply`` puts a lease on a torch model.
"""

import ctypes
import json
import os
from typing import Any, Dict, List, Optional

from signum._library import (ConflictError, CorruptError, DeniedError, Error, ExhaustedError, InvalidError,
                             NotFoundError, PullOptions, UnavailableError, UnusableError, check, encode, library,
                             take_string)
from signum._node import Lease, Node, Path
from signum._tensor import Plane, Tensor, Weight
from signum._version import VERSION as __version__

__all__ = ["ConflictError", "CorruptError", "DeniedError", "Error", "ExhaustedError", "InvalidError", "Lease", "Node",
           "NotFoundError", "Plane", "Tensor", "UnavailableError", "UnusableError", "Weight", "__version__", "pull"]


def pull(registry: str, model: str, dest: Path, *, token: Optional[str] = None, as_: str = "delta",
         fidelity: str = "onebit", trust_key: Optional[str] = None,
         ca_file: Optional[Path] = None) -> List[Dict[str, Any]]:
    """Fetches "tenant/model[@version]" (the live version by default) into the folder ``dest``, verified.

    Args:
        token: None: the environment's SIGNUM_TOKEN, if any.
        as_: "delta": ``dest/<model>.safetensors`` and its signed manifest; "checkpoint": the files of the fine-tune.
        fidelity: of a checkpoint: "onebit" (base + delta) or "exact" (the upload).

    Returns:
        one entry a model: ``{"tenant", "model", "version", "files": [{"path", "size", "sha256"}]}``.
    """
    options = PullOptions(registry_url=encode(registry), token=encode(token or os.environ.get("SIGNUM_TOKEN")),
                          model=encode(model), directory=encode(dest), as_=encode(as_), fidelity=encode(fidelity),
                          trust_key=encode(trust_key), ca_file=encode(ca_file))
    files = ctypes.c_void_p()
    check(library.signum_pull(options, files))
    return json.loads(take_string(files))
