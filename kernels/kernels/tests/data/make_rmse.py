"""Writes rmse.txt: how well llama.cpp writes the block dtypes (pip install llama-cpp-python numpy).

    python3 kernels/kernels/tests/data/make_rmse.py

The values are those of `quantize.rs` of the tests, made by the same generator. A line has a dtype,
its relative root mean square error, and the weighted one when it is written with an importance.
Made with llama-cpp-python 0.3.36.
"""

import ctypes
from pathlib import Path

import gguf
import llama_cpp
import numpy as np

HERE = Path(__file__).parent
TYPE = gguf.GGMLQuantizationType
DTYPES = [
    TYPE.Q4_0, TYPE.Q4_1, TYPE.Q5_0, TYPE.Q5_1, TYPE.Q8_0, TYPE.Q2_K, TYPE.Q3_K, TYPE.Q4_K,
    TYPE.Q5_K, TYPE.Q6_K, TYPE.IQ4_NL, TYPE.IQ4_XS, TYPE.MXFP4, TYPE.TQ1_0, TYPE.TQ2_0,
]  # fmt: skip
ROWS, COLUMNS = 32, 1024
WORD = (1 << 64) - 1


def uniform(seed, count):
    """The floats of the tests' generator, SplitMix64, in -1..1."""
    out = np.empty(count, np.float32)
    for i in range(count):
        seed = (seed + 0x9E3779B97F4A7C15) & WORD
        z = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & WORD
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
        out[i] = np.float32((z ^ (z >> 31)) >> 40) / np.float32(1 << 23) - np.float32(1)
    return out


def near_normal(seed, count):
    four = uniform(seed, 4 * count).reshape(count, 4)
    return (four[:, 0] + four[:, 1]) + (four[:, 2] + four[:, 3])


def error(library, dtype, values, importance):
    stored = np.empty(gguf.quant_shape_to_byte_shape(values.shape, dtype), np.uint8)
    weights = None if importance is None else importance.ctypes.data_as(ctypes.c_void_p)
    library.ggml_quantize_chunk(
        ctypes.c_int(dtype),
        values.ctypes.data_as(ctypes.c_void_p),
        stored.ctypes.data_as(ctypes.c_void_p),
        ctypes.c_int64(0),
        ctypes.c_int64(ROWS),
        ctypes.c_int64(COLUMNS),
        weights,
    )
    read = gguf.quants.dequantize(stored, dtype).astype(np.float64)
    exact = values.astype(np.float64)
    weights = 1.0 if importance is None else importance.astype(np.float64)
    return np.sqrt((weights * (exact - read) ** 2).sum() / (weights * exact**2).sum())


def main() -> None:
    folder = Path(llama_cpp.__file__).parent / "lib"
    library = ctypes.CDLL(str(next(folder.glob("libggml-base.*"))))
    values = near_normal(11, ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    importance = near_normal(12, COLUMNS) ** 2
    lines = [
        f"{dtype.name.lower()} {error(library, dtype, values, None):.6f}"
        f" {error(library, dtype, values, importance):.6f}\n"
        for dtype in DTYPES
    ]
    (HERE / "rmse.txt").write_text("".join(lines))


main()
