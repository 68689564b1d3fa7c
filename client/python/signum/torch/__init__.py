"""A lease on a torch model of the base: base + delta while it is applied, the base again afterwards."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Dict, List, Tuple

import torch

from signum._node import Lease
from signum._tensor import Weight
from signum.torch._codecs import CODECS
from signum.torch._modules import DeltaEmbedding, DeltaLinear, RebuiltLinear

__all__ = ["Applied", "apply", "rebuild"]


def rebuild(weight: Weight, base: torch.Tensor) -> torch.Tensor:
    """The fine-tune's weight as the registry rebuilds it, in the dtype of `base`, the base's weight."""
    with torch.no_grad():
        if weight.codec == "same":
            return base
        if weight.codec == "raw":
            return torch.from_dlpack(weight.whole).to(base.device)
        return CODECS[weight.codec](weight, base).values(base).to(base.dtype)


class Applied:
    """What ``apply`` did. ``remove()``, or the end of a ``with`` block, puts the base back."""

    def __init__(self, model: torch.nn.Module, undo: List[Callable[[], None]]):
        self.model = model
        self._undo = undo

    def remove(self) -> None:
        """Puts the base's modules and parameters back; again does nothing."""
        while self._undo:
            self._undo.pop()()

    def __enter__(self) -> torch.nn.Module:
        return self.model

    def __exit__(self, *_: Any) -> None:
        self.remove()


@dataclasses.dataclass
class _Place:
    """Where the parameter `name` is: `module` has it as `attribute`."""

    module: torch.nn.Module
    attribute: str
    name: str

    @property
    def parameter(self) -> torch.nn.Parameter:
        return self.module._parameters[self.attribute]


def _places(model: torch.nn.Module) -> List[_Place]:
    out = []
    for prefix, module in model.named_modules():
        for attribute, parameter in module._parameters.items():
            if parameter is not None:
                out.append(_Place(module, attribute, f"{prefix}.{attribute}" if prefix else attribute))
    return out


def _some(names: List[str]) -> str:
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")


def _targets(model: torch.nn.Module, weights: Dict[str, Weight]) -> List[Tuple[_Place, Weight]]:
    """Each parameter with the weight that stands for it: by name, or that of one it is tied to."""
    named = {place.name: place for place in _places(model)}
    absent = sorted(set(weights) - set(named))
    if absent:
        raise ValueError(f"the model has no {_some(absent)}: it must be the base of the delta, with nothing applied")
    tied = {id(named[name].parameter): weight for name, weight in weights.items()}
    found = {name: weights.get(name) or tied.get(id(place.parameter)) for name, place in named.items()}
    unknown = [name for name, weight in found.items() if weight is None]
    if unknown:
        raise ValueError(f"the delta says nothing of {_some(unknown)}")
    return [(named[name], weight) for name, weight in found.items()]


def _over_base(place: _Place, weight: Weight, mode: str) -> "torch.nn.Module | None":
    """A module over the base's, where its kind has one."""
    module = place.module
    if weight.codec not in CODECS or place.attribute != "weight":
        return None
    kind = type(module)
    if kind is torch.nn.Linear:
        made = RebuiltLinear if mode == "rebuild" else DeltaLinear
    elif kind is torch.nn.Embedding and module.max_norm is None:
        made = DeltaEmbedding
    else:
        return None
    return made(module, CODECS[weight.codec](weight, module.weight)).train(module.training)


def _swap_module(model: torch.nn.Module, old: torch.nn.Module, new: torch.nn.Module) -> Callable[[], None]:
    holders = [(parent, name) for parent in model.modules() for name, child in parent._modules.items() if child is old]
    for parent, name in holders:
        parent._modules[name] = new

    def undo() -> None:
        for parent, name in holders:
            parent._modules[name] = old

    return undo


def _swap_parameter(place: _Place, value: torch.Tensor) -> Callable[[], None]:
    parameters, old = place.module._parameters, place.parameter
    value = value.to(device=old.device, dtype=old.dtype)
    parameters[place.attribute] = torch.nn.Parameter(value, requires_grad=False)

    def undo() -> None:
        parameters[place.attribute] = old

    return undo


def apply(model: torch.nn.Module, lease: Lease, *, mode: str = "product") -> Applied:
    """Turns a model that holds the base into the fine-tune of a lease, in place; the base's weights stay as they are.

    The model must have the base's parameters under the checkpoint's names, as a transformers Llama has. Linear layers
    and embeddings get a module over the base's: several models may share the base's tensors and wear different deltas.
    Parameters of other kinds are swapped for the fine-tune's. On the CPU the delta's tensors are used where the node
    holds them; on another device they are copied there. The generation stays in memory until the result, the model's
    modules and the lease are gone.

    For inference: nothing here has gradients, and while it is applied the names in ``state_dict`` differ.

    Args:
        mode: "product": base product plus 1-bit product, no weight is ever formed; the sum is not rounded to the
            weight's dtype in between. "rebuild": each Linear forms its weight for the moment: slower, and bit for bit
            what the reconstructed checkpoint gives.

    Raises:
        ValueError: names or shapes do not fit; the model is as it was.
    """
    if mode not in ("product", "rebuild"):
        raise ValueError(f"mode is {mode!r}: product or rebuild")
    undo: List[Callable[[], None]] = []
    applied = Applied(model, undo)
    try:
        with torch.no_grad():
            for place, weight in _targets(model, dict(lease.weights)):
                _check_shape(place, weight)
                if weight.codec == "same":
                    continue
                over = _over_base(place, weight, mode)
                if over is not None:
                    undo.append(_swap_module(model, place.module, over))
                else:
                    undo.append(_swap_parameter(place, rebuild(weight, place.parameter)))
    except BaseException:
        applied.remove()
        raise
    return applied


def _check_shape(place: _Place, weight: Weight) -> None:
    """The parts must be of a weight of this shape; only vocabularies may have grown."""
    wanted = tuple(place.parameter.shape)
    if weight.codec == "raw":
        given = weight.whole.shape
        fits = given == wanted or (len(given) == 2 and given[1:] == wanted[1:] and given[0] >= wanted[0])
    elif weight.codec == "lowrank":
        given = (weight.lora_b.shape[0], weight.lora_a.shape[1])
        fits = given == wanted
    elif weight.codec == "same":
        return
    else:
        packed = weight.mask or (weight.planes[0].sign if weight.planes else weight.values)
        columns = wanted[-1] if packed is weight.values else -(-wanted[-1] // 8)
        given = packed.shape
        fits = len(wanted) == 2 and given[1] == columns and (weight.codec == "rows" or given[0] == wanted[0])
    if not fits:
        raise ValueError(f"{place.name} is {list(wanted)} in the model, which the delta's {list(given)} does not fit")
