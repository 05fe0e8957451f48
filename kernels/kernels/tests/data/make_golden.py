"""Writes the golden files of the kernels tests with the `gguf` package (pip install gguf numpy).

    python3 kernels/kernels/tests/data/make_golden.py

NAME.read.bin:  blocks of random bytes with finite scales, then their values as f32.
NAME.write.bin: f32 values, then the bytes they are rounded to.
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
WRITE = [
    ("f16", TYPE.F16),
    ("bf16", TYPE.BF16),
    ("q4_0", TYPE.Q4_0),
    ("q5_0", TYPE.Q5_0),
    ("q8_0", TYPE.Q8_0),
]


def main() -> None:
    random = np.random.default_rng(7)
    for name, kind, block_bytes, count, scales in READ:
        blocks = random.integers(0, 256, (count, block_bytes), dtype=np.uint8)
        for place in scales:
            scale = random.normal(0, 0.1, count).astype(np.float16)
            blocks[:, place : place + 2] = scale.view(np.uint8).reshape(count, 2)
        values = gguf.quants.dequantize(blocks, kind).astype("<f4")
        (HERE / f"{name}.read.bin").write_bytes(blocks.tobytes() + values.tobytes())
    for name, kind in WRITE:
        values = random.normal(0, 1, (4, 32)).astype("<f4")
        values[1] *= 1e-4
        values[2] = 0
        values[3, 5] = -7
        stored = gguf.quants.quantize(values, kind)
        (HERE / f"{name}.write.bin").write_bytes(values.tobytes() + stored.tobytes())


main()
