"""Writes the golden files of the project's own dtypes from their definitions (pip install numpy).

    python3 kernels/kernels/tests/data/make_own_golden.py

NAME.read.bin:  blocks, then their values as f32; the blocks of f8_e4m3 have every code.
NAME.write.bin: f32 values, then the bytes they are rounded to.
All little-endian. The generator is seeded, so the files do not change from run to run.
"""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
F16, F32 = np.dtype("<f2"), np.dtype("<f4")


def nibbles(data):
    """The codes of 16 bytes: first the low nibbles, then the high ones."""
    return np.concatenate([data & 15, data >> 4], axis=-1)


def packed_nibbles(codes):
    return codes[..., :16] | codes[..., 16:] << 4


def affine_values(blocks, bits):
    """f16 scale and offset, then codes of 64 values; of 8 bits code 128 is the offset."""
    scale, offset = blocks[:, :4].copy().view(F16).astype(F32).T
    codes = blocks[:, 4:]
    if bits == 4:
        codes = nibbles(codes.reshape(-1, 2, 16)).reshape(-1, 64)
    zero = 128 if bits == 8 else 0
    return scale[:, None] * (codes.astype(F32) - zero) + offset[:, None]


def int4_values(blocks):
    """f16 scale, whole zero, padding, then codes of 32 values; zeros are positive."""
    scale = blocks[:, :2].copy().view(F16).astype(F32)
    return scale * (nibbles(blocks[:, 4:]).astype(F32) - blocks[:, 2:3]) + F32.type(0)


def e4m3(code):
    sign = -1.0 if code & 128 else 1.0
    exponent, mantissa = code >> 3 & 15, code & 7
    if exponent == 15 and mantissa == 7:
        return float("nan")
    return sign * (mantissa * 2.0**-9 if exponent == 0 else (8 + mantissa) * 2.0 ** (exponent - 10))


E4M3 = np.array([e4m3(code) for code in range(256)])


def f8_values(blocks):
    """f32 scale, then codes of 32 values."""
    return blocks[:, :4].copy().view(F32) * E4M3[blocks[:, 4:]].astype(F32)


def affine_blocks(values, bits):
    """The rule of affine_quantize of MLX, with f16 scales and offsets."""
    last, zero = (1 << bits) - 1, F32.type(128 if bits == 8 else 0)
    least, greatest = values.min(1), values.max(1)
    step = np.maximum((greatest - least) / F32.type(last), F32.type(1e-7))
    low = np.abs(least) > np.abs(greatest)
    step, edge = np.where(low, step, -step), np.where(low, least, greatest)
    count = np.rint(edge / step)
    at_zero = count == 0
    step = np.where(at_zero, step, edge / np.where(at_zero, 1, count)).astype(F16).astype(F32)
    offset = (np.where(at_zero, 0, edge) + zero * step).astype(F16).astype(F32)
    codes = np.rint((values - offset[:, None]) / step[:, None] + zero).clip(0, last)
    codes = codes.astype(np.uint8)
    if bits == 4:
        codes = packed_nibbles(codes.reshape(-1, 2, 32)).reshape(-1, 32)
    front = np.stack([step, offset], axis=1).astype(F16).view(np.uint8)
    return np.concatenate([front, codes], axis=1)


def f8_blocks(values):
    """The nearest codes of all, ties to the even one."""
    most = np.abs(values).max(1, keepdims=True)
    inverse = np.where(most > 0, F32.type(448) / np.where(most > 0, most, 1), 0).astype(F32)
    sizes = np.abs(values * inverse).astype(np.float64)
    distances = np.abs(sizes[..., None] - E4M3[:127])
    near = distances == distances.min(-1, keepdims=True)
    even = near & (np.arange(127) % 2 == 0)
    codes = np.where(even.any(-1), even.argmax(-1), near.argmax(-1)).astype(np.uint8)
    codes |= np.signbit(values).astype(np.uint8) << 7
    scale = (most / F32.type(448)).astype(F32)
    return np.concatenate([scale.view(np.uint8), codes], axis=1)


def write(name, kind, first, second) -> None:
    data = np.ascontiguousarray(first).tobytes() + np.ascontiguousarray(second).tobytes()
    (HERE / f"{name}.{kind}.bin").write_bytes(data)


def main() -> None:
    random = np.random.default_rng(7)
    for name, bits in [("afq4", 4), ("afq8", 8), ("hqq4", 4), ("hqq8", 8)]:
        front = random.normal(0, 0.1, (4, 2)).astype(F16).view(np.uint8)
        codes = random.integers(0, 256, (4, 8 * bits), dtype=np.uint8)
        blocks = np.concatenate([front, codes], axis=1)
        write(name, "read", blocks, affine_values(blocks, bits).astype(F32))
    blocks = random.integers(0, 256, (6, 20), dtype=np.uint8)
    blocks[:, :2] = random.normal(0, 0.1, (6, 1)).astype(F16).view(np.uint8)
    blocks[:, 2] = [0, 1, 7, 8, 15, 16]
    write("int4", "read", blocks, int4_values(blocks))
    scale = random.normal(0, 0.1, (8, 1)).astype(F32).view(np.uint8)
    blocks = np.concatenate([scale, np.arange(256, dtype=np.uint8).reshape(8, 32)], axis=1)
    write("f8_e4m3", "read", blocks, f8_values(blocks))

    values = random.normal(0, 1, (5, 64)).astype(F32)
    values[1] *= F32.type(1e-3)
    values[2] = 0
    values[3] = np.abs(values[3])
    values[4] = F32.type(0.7)
    write("afq4", "write", values, affine_blocks(values, 4))
    write("afq8", "write", values, affine_blocks(values, 8))
    values = random.normal(0, 1, (6, 32)).astype(F32)
    values[1] *= F32.type(1e-20)
    values[2] = 0
    # Halfway between codes with the even one below and above, and codes themselves; the last value
    # makes the scale 1.
    values[3] = (E4M3[0:127:4] + E4M3[1:127:4]) / 2
    values[4] = -(E4M3[1:127:4] + E4M3[2:127:4]) / 2
    values[5] = E4M3[95:127]
    values[3:, 31] = [448, -448, 448]
    write("f8_e4m3", "write", values, f8_blocks(values))


main()
