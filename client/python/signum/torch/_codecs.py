"""What each codec adds to a weight of the base, in torch: FORMAT.md, "Parts", is the contract.

Every codec can do three things. ``values`` rebuilds rows of the weight, bit for bit as the registry does.
``linear`` turns the base's product with an input into the fine-tune's without forming the weight. ``out_rows`` is how
many rows the fine-tune's weight has.
"""

from typing import Optional

import torch

_BLOCK = 1 << 24  # elements of signs that are unpacked at a time


def unpack_bits(packed: torch.Tensor, columns: int) -> torch.Tensor:
    """Booleans [R, columns] of packed rows [R, ceil(columns / 8)], bit j of byte i being column 8i + j."""
    shifts = torch.arange(8, dtype=torch.uint8, device=packed.device)
    bits = (packed.unsqueeze(-1) >> shifts) & 1
    return bits.flatten(-2)[..., :columns].to(torch.bool)


def _signs(bits: torch.Tensor) -> torch.Tensor:
    return bits.to(torch.float32) * 2 - 1


def _load(tensor, device) -> Optional[torch.Tensor]:
    return None if tensor is None else torch.from_dlpack(tensor).to(device)


class _Planes:
    """Signs and scales, plane by plane; `columns` is K."""

    def __init__(self, weight, columns: int, device):
        self.columns = columns
        self.signs = [_load(plane.sign, device) for plane in weight.planes]
        self.scales = [_load(plane.scale, device) for plane in weight.planes]
        self.rows = [_load(plane.row_scale, device) for plane in weight.planes]
        self.cols = [_load(plane.col_scale, device) for plane in weight.planes]

    def scale(self, plane: int, index) -> torch.Tensor:
        """float32 that broadcasts to [R, K]: s_row * s_col, rounded once."""
        if self.scales[plane] is not None:
            return self.scales[plane]
        rows = self.rows[plane][index].unsqueeze(1)
        return rows if self.cols[plane] is None else rows * self.cols[plane]

    def product(self, plane: int, signs: torch.Tensor, x: torch.Tensor, index) -> torch.Tensor:
        """x @ (s * signs)^T for the rows of `index`, without forming s * signs."""
        if self.scales[plane] is not None:
            return (x @ signs.T) * self.scales[plane]
        scaled = x if self.cols[plane] is None else x * self.cols[plane]
        return (scaled @ signs.T) * self.rows[plane][index]


class Sign1:
    """sign1, with any number of planes."""

    def __init__(self, weight, base: torch.Tensor):
        self.out_rows, columns = base.shape
        self.planes = _Planes(weight, columns, base.device)

    def _signs(self, plane: int, index) -> torch.Tensor:
        return _signs(unpack_bits(self.planes.signs[plane][index], self.planes.columns))

    def values(self, base: torch.Tensor, index=slice(None)) -> torch.Tensor:
        out = base[index].to(torch.float32)
        for plane in range(len(self.planes.signs)):
            out = out + self._signs(plane, index) * self.planes.scale(plane, index)
        return out

    def linear(self, x: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
        x, out = x.to(torch.float32), product.to(torch.float32, copy=True)
        step = max(1, _BLOCK // self.planes.columns)
        for begin in range(0, self.out_rows, step):
            index = slice(begin, begin + step)
            for plane in range(len(self.planes.signs)):
                out[..., index] += self.planes.product(plane, self._signs(plane, index), x, index)
        return out


class Sign1Sparse(Sign1):
    """sign1-sparse: signs of the changed weights alone, one after another. Where each row's begin is kept."""

    def __init__(self, weight, base: torch.Tensor):
        super().__init__(weight, base)
        self.mask = _load(weight.mask, base.device)
        changed = unpack_bits(self.mask, self.planes.columns).sum(dim=1)
        self.begins = torch.cat([changed.new_zeros(1), changed.cumsum(0)])

    def _signs(self, plane: int, index) -> torch.Tensor:
        """Of a range of rows: +1 and -1, and 0 where the weight is the base's."""
        first, last, _ = index.indices(self.out_rows)
        changed = unpack_bits(self.mask[index], self.planes.columns)
        begin, end = int(self.begins[first]), int(self.begins[last])
        packed = self.planes.signs[plane][begin // 8:(end + 7) // 8]
        bits = unpack_bits(packed.unsqueeze(0), packed.numel() * 8)[0]
        out = torch.zeros(changed.shape, dtype=torch.float32, device=changed.device)
        out[changed] = _signs(bits[begin % 8:begin % 8 + end - begin])
        return out

    def values(self, base: torch.Tensor, index=slice(None)) -> torch.Tensor:
        if not isinstance(index, slice):  # signs lie by rows: take them all, then pick
            return self.values(base)[index]
        changed = unpack_bits(self.mask[index], self.planes.columns)
        before = base[index].to(torch.float32)
        return torch.where(changed, super().values(base, index), before)


class Lowrank:
    """lowrank: scale * B A, added in the order of the rank as the format demands."""

    def __init__(self, weight, base: torch.Tensor):
        self.a = _load(weight.lora_a, base.device).to(torch.float32)
        self.b = _load(weight.lora_b, base.device).to(torch.float32)
        self.scale = _load(weight.scale, base.device)
        self.out_rows = base.shape[0]

    def values(self, base: torch.Tensor, index=slice(None)) -> torch.Tensor:
        rows = self.b[index]
        product = torch.zeros(rows.shape[0], self.a.shape[1], dtype=torch.float32, device=rows.device)
        for r in range(self.a.shape[0]):
            product = product + rows[:, r:r + 1] * self.a[r]
        return base[index].to(torch.float32) + (product if self.scale is None else self.scale * product)

    def linear(self, x: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
        added = (x.to(torch.float32) @ self.a.T) @ self.b.T
        return product.to(torch.float32) + (added if self.scale is None else self.scale * added)


class Rows:
    """rows: some rows changed, the first of them by signs, the rest given whole; others are the base's."""

    def __init__(self, weight, base: torch.Tensor):
        self.base_rows, columns = base.shape
        self.rows = _load(weight.rows, base.device).to(torch.int64)
        self.planes = _Planes(weight, columns, base.device)
        self.signed = self.planes.signs[0].shape[0] if weight.planes else 0
        self.whole = _load(weight.values, base.device)
        self.out_rows = max(self.base_rows, int(self.rows[-1]) + 1)

    def _signs(self, plane: int, index) -> torch.Tensor:
        return _signs(unpack_bits(self.planes.signs[plane][index], self.planes.columns))

    def values(self, base: torch.Tensor, index=slice(None)) -> torch.Tensor:
        if isinstance(index, slice):
            index = torch.arange(self.out_rows, device=base.device)[index]
        out = base[index.clamp(max=self.base_rows - 1)].to(torch.float32)
        place = torch.searchsorted(self.rows, index).clamp(max=len(self.rows) - 1)
        listed = self.rows[place] == index
        signed = listed & (place < self.signed)
        at = place[signed]
        for plane in range(len(self.planes.signs)):
            out[signed] = out[signed] + self._signs(plane, at) * self.planes.scale(plane, at)
        if self.whole is not None:
            given = listed & (place >= self.signed)
            out[given] = self.whole[place[given] - self.signed].to(torch.float32)
        return out

    def linear(self, x: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
        x = x.to(torch.float32)
        out = product.new_zeros((*product.shape[:-1], self.out_rows), dtype=torch.float32)
        out[..., :self.base_rows] = product
        step = max(1, _BLOCK // self.planes.columns)
        for begin in range(0, self.signed, step):
            index = slice(begin, min(begin + step, self.signed))
            for plane in range(len(self.planes.signs)):
                out[..., self.rows[index]] += self.planes.product(plane, self._signs(plane, index), x, index)
        if self.whole is not None:
            out[..., self.rows[self.signed:]] = x @ self.whole.to(torch.float32).T
        return out


CODECS = {"sign1": Sign1, "sign1-sparse": Sign1Sparse, "rows": Rows, "lowrank": Lowrank}
