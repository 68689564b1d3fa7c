"""Modules that answer as the fine-tune's would, over the base's own module, whose weight they share."""

import torch
from torch.nn import functional


class _OverBase(torch.nn.Module):
    def __init__(self, base: torch.nn.Module, codec):
        super().__init__()
        self.base = base
        self.codec = codec

    @property
    def weight(self) -> torch.Tensor:
        """The base's: what asks for a dtype or device of the layer gets the right one."""
        return self.base.weight


class DeltaLinear(_OverBase):
    """x W_base^T + x delta^T + bias. The delta's product is float32, and is never formed as a matrix."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.codec.linear(x, functional.linear(x, self.base.weight))
        if self.base.bias is not None:
            out = out + self.base.bias.to(torch.float32)
        return out.to(x.dtype)


class RebuiltLinear(_OverBase):
    """The same with the weight rebuilt for the product and dropped after it: the checkpoint's bits, at its price."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.codec.values(self.base.weight).to(self.base.weight.dtype)
        return functional.linear(x, weight, self.base.bias)


class DeltaEmbedding(_OverBase):
    """Rows of the fine-tune's table, rebuilt for the tokens at hand: bit for bit the checkpoint's."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        values = self.codec.values(self.base.weight, tokens.flatten())
        return values.to(self.base.weight.dtype).reshape(*tokens.shape, -1)
