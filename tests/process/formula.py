"""What a delta file means, written again from format.md with numpy: the oracle for our rebuilds."""

import json
import struct

import numpy as np

WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1}


def parse(data):
    """{name: (dtype, shape, bytes)} and metadata of safetensors bytes."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__", {})
    body = memoryview(data)[8 + length:]
    tensors = {}
    for name, info in header.items():
        begin, end = info["data_offsets"]
        tensors[name] = (info["dtype"], info["shape"], bytes(body[begin:end]))
    return tensors, metadata


def serialize(tensors, metadata=None):
    """Safetensors bytes of {name: (dtype, shape, bytes)}."""
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    if metadata:
        header["__metadata__"] = metadata
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(t[2] for t in tensors.values())


def widen(tensor):
    """A tensor's values as float32, in its shape."""
    dtype, shape, data = tensor
    if dtype == "BF16":
        values = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        values = np.frombuffer(data, {"F16": "<f2", "F32": "<f4", "F64": "<f8"}[dtype])
    return values.astype(np.float32).reshape(shape)


def narrow(values, dtype):
    """float32 to the bytes of `dtype`, to nearest, ties to even."""
    if dtype == "F32":
        return values.astype("<f4").tobytes()
    if dtype == "F16":
        return values.astype("<f2").tobytes()
    assert dtype == "BF16"
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded >> np.uint32(16)).astype("<u2").tobytes()


def unpack(data, rows, columns):
    """Bits [rows, columns] of packed rows, bit j of byte i being column 8i + j."""
    packed = np.frombuffer(data, np.uint8).reshape(rows, -1)
    return np.unpackbits(packed, axis=1, bitorder="little")[:, :columns].astype(bool)


class Delta:
    """The parts of a delta file and the weights they stand for."""

    def __init__(self, data):
        self.parts, self.metadata = parse(data)

    def codec(self, name):
        declared = self.metadata.get(f"codec.{name}")
        if declared:
            return declared
        if f"{name}.mask" in self.parts:
            return "sign1-sparse"
        if f"{name}.rows" in self.parts:
            return "rows"
        if f"{name}.lora_a" in self.parts:
            return "lowrank"
        if f"{name}.sign" in self.parts:
            return "sign1"
        return "raw" if name in self.parts else "same"

    def floats(self, name):
        return np.frombuffer(self.parts[name][2], "<f4")

    def planes(self, name):
        """What further planes' parts end with: "", ".1" and so on, as many as there are."""
        return [end for end in ["", *(f".{n}" for n in range(1, 8))] if f"{name}.sign{end}" in self.parts]

    def scales(self, name, rows, columns, end=""):
        """float32 [rows, columns]: s_row * s_col, rounded once."""
        if f"{name}.scale{end}" in self.parts:
            return np.full((rows, columns), self.floats(f"{name}.scale{end}")[0], np.float32)
        scale = self.floats(f"{name}.scale.row{end}")[:, None]
        if f"{name}.scale.col{end}" in self.parts:
            scale = scale * self.floats(f"{name}.scale.col{end}")[None, :]
        return np.broadcast_to(scale, (rows, columns)).astype(np.float32)

    def signs(self, name, rows, columns):
        """Booleans [rows, columns] of a sign1 tensor: true where the weight grew."""
        return unpack(self.parts[f"{name}.sign"][2], rows, columns)

    def rebuild(self, name, base, fine_dtype):
        """The bytes of the tensor that the delta stands for; `base` is the base's or None."""
        codec = self.codec(name)
        if codec == "raw":
            return self.parts[name][2]
        if codec == "same":
            return base[2]
        return getattr(self, "_" + codec.replace("-", "_"))(name, base, fine_dtype)

    def _sign1(self, name, base, dtype):
        values = widen(base)
        for end in self.planes(name):
            bits = unpack(self.parts[f"{name}.sign{end}"][2], *values.shape)
            scale = self.scales(name, *values.shape, end)
            values = np.where(bits, values + scale, values - scale)
        return narrow(values, dtype)

    def _sign1_sparse(self, name, base, dtype):
        values = widen(base)
        changed = unpack(self.parts[f"{name}.mask"][2], *values.shape)
        for end in self.planes(name):
            grew = np.zeros_like(changed)
            grew[changed] = unpack(self.parts[f"{name}.sign{end}"][2], 1, int(changed.sum()))[0]
            scale = self.scales(name, *values.shape, end)
            moved = np.where(grew, values + scale, values - scale)
            values = np.where(changed, moved, values)
        return narrow(values, dtype)

    def _lowrank(self, name, base, dtype):
        values = widen(base)
        a, b = widen(self.parts[f"{name}.lora_a"]), widen(self.parts[f"{name}.lora_b"])
        scale = self.floats(f"{name}.scale")[0] if f"{name}.scale" in self.parts else np.float32(1)
        product = np.zeros_like(values)
        for row, column in zip(a, b.T):
            product += column[:, None] * row[None, :]
        return narrow(values + scale * product, dtype)

    def _rows(self, name, base, dtype):
        values = widen(base)
        rows = np.frombuffer(self.parts[f"{name}.rows"][2], "<i4")
        width = values.shape[1] * WIDTHS[dtype]
        out = np.zeros((max(len(values), rows[-1] + 1), width), np.uint8)
        out[:len(values)] = np.frombuffer(narrow(values, dtype), np.uint8).reshape(-1, width)
        signed = 0
        if f"{name}.sign" in self.parts:
            signed = len(self.floats(f"{name}.scale.row"))
            moved = values[rows[:signed]]
            for end in self.planes(name):
                scale = self.floats(f"{name}.scale.row{end}")[:, None]
                bits = unpack(self.parts[f"{name}.sign{end}"][2], signed, values.shape[1])
                moved = np.where(bits, moved + scale, moved - scale)
            out[rows[:signed]] = np.frombuffer(narrow(moved, dtype), np.uint8).reshape(-1, width)
        if f"{name}.values" in self.parts:
            exact = self.parts[f"{name}.values"][2]
            out[rows[signed:]] = np.frombuffer(exact, np.uint8).reshape(-1, width)
        return out.tobytes()
