"""Checks rebuilt weights against W = bf16(base + s_row * s_col * sign), with nothing of Signum and nothing
but Python's standard library.

usage: check_formula.py BASE.safetensors DELTA REBUILT.safetensors
"""

import array
import json
import struct
import sys


def read(path):
    """{name: (header entry, bytes)} of a safetensors file."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    begin = 8 + length
    return {name: (entry, data[begin + entry["data_offsets"][0]:begin + entry["data_offsets"][1]])
            for name, entry in header.items()}


def floats(data):
    return array.array("f", data)


def widened(data):
    """bfloat16 bytes as floats."""
    halves = array.array("H", data)
    return floats(array.array("I", (h << 16 for h in halves)).tobytes())


def narrowed(values):
    """Floats as bfloat16, to nearest, ties to even."""
    words = array.array("I", array.array("f", values).tobytes())
    return array.array("H", ((w + 0x7FFF + ((w >> 16) & 1)) >> 16 for w in words))


def expected(base, row_scales, column_scales, signs, columns):
    """The weights of one matrix; array("f") rounds each step to float32."""
    row_bytes = (columns + 7) // 8
    for n, row_scale in enumerate(row_scales):
        scales = array.array("f", (row_scale * s for s in column_scales))
        packed = signs[n * row_bytes:(n + 1) * row_bytes]
        row = base[n * columns:(n + 1) * columns]
        yield from (row[k] + (scales[k] if packed[k >> 3] >> (k & 7) & 1 else -scales[k]) for k in range(columns))


def main(base_path, delta_path, rebuilt_path):
    base, delta, rebuilt = read(base_path), read(delta_path), read(rebuilt_path)
    names = sorted(n for n in rebuilt if f"{n}.scale.col" in delta and f"{n}.mask" not in delta)[:7]
    checked = 0
    for name in names:
        columns = base[name][0]["shape"][1]
        want = narrowed(expected(widened(base[name][1]), floats(delta[f"{name}.scale.row"][1]),
                                 floats(delta[f"{name}.scale.col"][1]), delta[f"{name}.sign"][1], columns))
        got = array.array("H", rebuilt[name][1])
        if want != got:
            at = next(i for i, (a, b) in enumerate(zip(want, got)) if a != b)
            sys.exit(f"{name}[{at // columns}, {at % columns}]: {got[at]:#06x}, by the formula {want[at]:#06x}")
        checked += len(got)
    if not checked:
        sys.exit("no sign1 weight with row and column scales to check")
    print(f"   yes: {checked} weights of {len(names)} matrices, bit for bit")


if __name__ == "__main__":
    main(*sys.argv[1:])
