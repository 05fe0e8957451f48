"""Quantized weights as GPTQ, AWQ and FP8 checkpoints store them: encoders by plain rounding, and decoders.

`make_references.py` writes checkpoints with the encoders and takes their expected answers from the decoders. A decoder is
written from the format's definition, element by element, and shares nothing with the encoder, so that a mistake shows.
The formats are those of AutoGPTQ (`gptq`, first version), AutoAWQ (`awq`, GEMM version), transformers' finegrained FP8 (`fp8`)
and compressed-tensors (`float-quantized`).
"""
import numpy as np
import torch

# ---------------------------------------------------------------- quantized formats: encoders

def nibbles(values):
    """Eight 4-bit values along the last axis in one word, the first in the lowest bits."""
    words = np.zeros(values.shape[:-1], dtype=np.uint32)
    for at in range(8):
        words |= values[..., at].astype(np.uint32) << np.uint32(4 * at)
    return torch.from_numpy(words.view(np.int32).copy())


def rounded(weight, groups, symmetric):
    """Columns of `weight` [out, in] to 0..15 with scale and zero of their group: values [in, out], scales and zeros [group, out]."""
    columns = weight.T
    count = groups.max() + 1
    scales, zeros = np.zeros((count, columns.shape[1]), np.float32), np.full((count, columns.shape[1]), 8, np.int64)
    for group in range(count):
        part = columns[groups == group]
        low, high = np.minimum(part.min(0), 0), np.maximum(part.max(0), 0)
        scale = 2 * np.abs(part).max(0) / 15 if symmetric else (high - low) / 15
        scales[group] = scale.astype(np.float16).astype(np.float32)
        if not symmetric:
            zeros[group] = np.clip(np.rint(-low / scales[group]), 0, 15)
    values = np.clip(np.rint(columns / scales[groups]) + zeros[groups], 0, 15).astype(np.int64)
    return values, torch.from_numpy(scales).half(), zeros


def encode_gptq(name, weight, size, act_order):
    """GPTQ's first format: words hold 8 rows of the input, zeros are stored less one."""
    rows = weight.shape[1]
    groups = np.arange(rows) // size
    if act_order:           # columns are put in groups by the size of their activations, of which random ones do as well
        order = np.random.default_rng(len(name) + rows).permutation(rows)
        groups = np.empty_like(groups)
        groups[order] = np.arange(rows) // size
    values, scales, zeros = rounded(weight, groups, symmetric=True)
    return {f"{name}.qweight": nibbles(values.reshape(rows // 8, 8, -1).swapaxes(1, 2)),
            f"{name}.qzeros": nibbles((zeros - 1).reshape(len(zeros), -1, 8)),
            f"{name}.scales": scales, f"{name}.g_idx": torch.from_numpy(groups.astype(np.int32))}


def encode_awq(name, weight, size):
    """AWQ's GEMM version: words hold 8 outputs in the order in which its kernel unpacks them."""
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    rows = weight.shape[1]
    values, scales, zeros = rounded(weight, np.arange(rows) // size, symmetric=False)
    return {f"{name}.qweight": nibbles(values.reshape(rows, -1, 8)[..., order]),
            f"{name}.qzeros": nibbles(zeros.reshape(len(zeros), -1, 8)[..., order]), f"{name}.scales": scales}


def encode_fp8(name, weight, rows, columns, scale_name):
    """E4M3 with one bf16 scale for each block of rows by columns; the last blocks may be partial."""
    shape = -(-weight.shape[0] // rows), -(-weight.shape[1] // columns)
    scales, values = torch.zeros(shape, dtype=torch.bfloat16), torch.empty(weight.shape, dtype=torch.float8_e4m3fn)
    for i in range(shape[0]):
        for j in range(shape[1]):
            block = np.s_[i * rows:(i + 1) * rows, j * columns:(j + 1) * columns]
            part = torch.from_numpy(weight[block])
            scales[i, j] = part.abs().max() / 448
            values[block] = (part / scales[i, j].float()).clamp(-448, 448).to(torch.float8_e4m3fn)
    return {f"{name}.weight": values, f"{name}.{scale_name}": scales}


# ---------------------------------------------------------------- quantized formats: decoders

def words_of(tensor):
    return tensor.numpy().astype(np.int64) & 0xFFFFFFFF


def decode_gptq(get):
    """scale[g][n] * (value[k][n] - (zero[g][n] + 1)), where g = g_idx[k]."""
    words, zeros, scales, groups = words_of(get("qweight")), words_of(get("qzeros")), get("scales").float().numpy(), get("g_idx").numpy()
    k, n = np.arange(len(groups))[:, None], np.arange(scales.shape[1])[None, :]
    group = groups[k]
    value = words[k // 8, n] // 16 ** (k % 8) % 16
    zero = zeros[group, n // 8] // 16 ** (n % 8) % 16 + 1
    return scales[group, n] * (value - zero)


def decode_awq(get):
    """scale[g][n] * (value[k][n] - zero[g][n]), where even outputs of a word come before the odd ones."""
    words, zeros, scales = words_of(get("qweight")), words_of(get("qzeros")), get("scales").float().numpy()
    k, n = np.arange(len(words))[:, None], np.arange(scales.shape[1])[None, :]
    group, place = k * len(scales) // len(words), n % 8 // 2 + n % 2 * 4
    return scales[group, n] * (words[k, n // 8] // 16 ** place % 16 - zeros[group, n // 8] // 16 ** place % 16)


def decode_fp8(get, rows, columns, scale_name):
    """Sign, four bits of exponent with bias 7, three of mantissa, no infinity; times the block's scale. In [in, out] as the others."""
    codes, scales = get("weight").view(torch.uint8).numpy().astype(np.int64), get(scale_name).float().numpy()
    exponent, mantissa = codes // 8 % 16, codes % 8
    size = np.where(exponent == 0, mantissa / 8 * 2.0 ** -6, (1 + mantissa / 8) * 2.0 ** (exponent - 7))
    i, j = np.arange(codes.shape[0])[:, None], np.arange(codes.shape[1])[None, :]
    return (np.where(codes >= 128, -size, size) * scales[i // rows, j // columns]).T


