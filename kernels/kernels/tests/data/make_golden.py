"""Writes the golden files of the kernels tests with the `gguf` package (pip install gguf numpy).

    python3 kernels/kernels/tests/data/make_golden.py

NAME.read.bin:  blocks of random bytes with finite scales, then their values as f32.
NAME.write.bin: f32 values, then the bytes they are rounded to.
hashes.txt:     for each block dtype the FNV-1a hash of the values of many blocks made by the
                generator of the tests, so that every grid point occurs.
All little-endian. The generator is seeded, so the files do not change from run to run.
"""

from pathlib import Path

import gguf
import numpy as np

HERE = Path(__file__).parent
TYPE = gguf.GGMLQuantizationType
# Name, bytes per block, blocks, places of the f16 scales in a block.
READ = [
    ("q4_0", TYPE.Q4_0, 18, 6, [0]),
    ("q5_0", TYPE.Q5_0, 22, 6, [0]),
    ("q8_0", TYPE.Q8_0, 34, 6, [0]),
    ("q4_k", TYPE.Q4_K, 144, 2, [0, 2]),
    ("q5_k", TYPE.Q5_K, 176, 2, [0, 2]),
    ("q6_k", TYPE.Q6_K, 210, 2, [208]),
]
# As READ; after the files of WRITE, whose random values would change otherwise.
READ_LATER = [
    ("q4_1", TYPE.Q4_1, 20, 6, [0, 2]),
    ("q5_1", TYPE.Q5_1, 24, 6, [0, 2]),
    ("q2_k", TYPE.Q2_K, 84, 2, [80, 82]),
    ("q3_k", TYPE.Q3_K, 110, 2, [108]),
    ("iq4_nl", TYPE.IQ4_NL, 18, 6, [0]),
    ("iq4_xs", TYPE.IQ4_XS, 136, 2, [0]),
    ("mxfp4", TYPE.MXFP4, 17, 6, []),
    ("tq1_0", TYPE.TQ1_0, 54, 2, [52]),
    ("tq2_0", TYPE.TQ2_0, 66, 2, [64]),
    ("iq2_xxs", TYPE.IQ2_XXS, 66, 2, [0]),
    ("iq2_xs", TYPE.IQ2_XS, 74, 2, [0]),
    ("iq2_s", TYPE.IQ2_S, 82, 2, [0]),
    ("iq3_xxs", TYPE.IQ3_XXS, 98, 2, [0]),
    ("iq3_s", TYPE.IQ3_S, 110, 2, [0]),
    ("iq1_s", TYPE.IQ1_S, 50, 2, [0]),
    # Of the scale of iq1_m only the top quarter is set, with the last multiples.
    ("iq1_m", TYPE.IQ1_M, 56, 2, [54]),
]
WRITE = [
    ("f16", TYPE.F16),
    ("bf16", TYPE.BF16),
    ("q4_0", TYPE.Q4_0),
    ("q5_0", TYPE.Q5_0),
    ("q8_0", TYPE.Q8_0),
]


WORD = (1 << 64) - 1
HASHED_BLOCKS = 1024


def write_read_file(random, name, kind, block_bytes, count, scales) -> None:
    blocks = random.integers(0, 256, (count, block_bytes), dtype=np.uint8)
    for place in scales:
        scale = random.normal(0, 0.1, count).astype(np.float16)
        blocks[:, place : place + 2] = scale.view(np.uint8).reshape(count, 2)
    if name == "mxfp4":
        # Both exponents that have no normal f32, and usual ones.
        blocks[:, 0] = [0, 1, 2, 120, 127, 200]
    values = gguf.quants.dequantize(blocks, kind).astype("<f4")
    (HERE / f"{name}.read.bin").write_bytes(blocks.tobytes() + values.tobytes())


def split_mix(state, count):
    """The lowest bytes of SplitMix64, as the generator of the tests gives them."""
    out = bytearray(count)
    for i in range(count):
        state = (state + 0x9E3779B97F4A7C15) & WORD
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & WORD
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
        out[i] = (z ^ (z >> 31)) & 0xFF
    return out


def hash_of_values(kind, block_bytes, scales) -> int:
    raw = split_mix(1, HASHED_BLOCKS * block_bytes)
    blocks = np.frombuffer(raw, dtype=np.uint8).reshape(HASHED_BLOCKS, block_bytes)
    for place in scales:
        # Without the upper bit of its exponent every f16 is finite.
        blocks[:, place + 1] &= 0xBF
    values = gguf.quants.dequantize(blocks, kind).astype("<f4").reshape(-1)
    hash = 0xCBF29CE484222325
    for word in values.view("<u4").tolist():
        hash = ((hash ^ word) * 0x100000001B3) & WORD
    return hash


def main() -> None:
    random = np.random.default_rng(7)
    for row in READ:
        write_read_file(random, *row)
    for name, kind in WRITE:
        values = random.normal(0, 1, (4, 32)).astype("<f4")
        values[1] *= 1e-4
        values[2] = 0
        values[3, 5] = -7
        stored = gguf.quants.quantize(values, kind)
        (HERE / f"{name}.write.bin").write_bytes(values.tobytes() + stored.tobytes())
    for row in READ_LATER:
        write_read_file(random, *row)
    rows = [
        f"{name} {hash_of_values(kind, block_bytes, scales):016x}\n"
        for name, kind, block_bytes, _, scales in READ + READ_LATER
    ]
    (HERE / "hashes.txt").write_text("".join(rows))


main()
