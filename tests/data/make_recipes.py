#!/usr/bin/env python3
"""Asks llama.cpp's quantizer which type it gives each tensor, and writes the answers to `recipes/`.

    make_recipes.py

Needed only to make the data again; neither the build nor any test runs it. It needs numpy, gguf and llama_cpp, whose quantizer
runs on models of random weights in the shapes below: what it chooses depends on names, shapes, and counts of layers, heads and
experts, and not on values. `README.md` describes the form of the answers.
"""
import json
import os
import re
import tempfile

import gguf
import llama_cpp
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
RECIPES = ["Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1",
           "IQ4_NL", "IQ4_XS"]
VOCAB = 64
MODELS = {
    # name: architecture, layers, heads, heads of keys and values, experts, tied, width, width of the MLP
    "qwen2-12": ("qwen2", 12, 4, 2, 0, True, 256, 256),
    "qwen2-28": ("qwen2", 28, 4, 2, 0, False, 256, 256),
    "qwen2-rows": ("qwen2", 12, 6, 2, 0, False, 96, 176),
    "qwen3-36": ("qwen3", 36, 8, 2, 0, True, 256, 256),
    "qwen3moe-12": ("qwen3moe", 12, 4, 2, 8, False, 256, 256),
    "qwen3moe-48": ("qwen3moe", 48, 8, 1, 4, False, 256, 256),
    "gemma2-12": ("gemma2", 12, 4, 2, 0, True, 256, 256),
    "gemma2-26": ("gemma2", 26, 4, 2, 0, True, 256, 256),
    "llama-12": ("llama", 12, 4, 4, 0, False, 256, 512),
    "llama-28": ("llama", 28, 4, 1, 0, False, 256, 256),
    "llama-80": ("llama", 80, 8, 1, 0, False, 256, 256),
    "mixtral-32": ("llama", 32, 4, 1, 8, False, 256, 256),
    "phi3-12": ("phi3", 12, 4, 4, 0, False, 256, 256),
    "starcoder2-12": ("starcoder2", 12, 4, 2, 0, True, 256, 256),
}


def shapes(arch, layers, heads, kv_heads, experts, tied, width, mlp):
    """Names and shapes of the tensors, rows first, in the order of a converted file."""
    side = width // heads * kv_heads
    tensors = {"token_embd.weight": (VOCAB, width), "output_norm.weight": (width,)}
    if not tied:
        tensors["output.weight"] = (VOCAB, width)
    for layer in range(layers):
        part = {"attn_norm": (width,), "ffn_norm": (width,), "attn_output": (width, width)}
        if arch == "phi3":
            part.update(attn_qkv=(width + 2 * side, width), ffn_up=(2 * mlp, width), ffn_down=(width, mlp))
        else:
            part.update(attn_q=(width, width), attn_k=(side, width), attn_v=(side, width))
            if experts:
                part.update(ffn_gate_inp=(experts, width), ffn_gate_exps=(experts, mlp, width), ffn_up_exps=(experts, mlp, width),
                            ffn_down_exps=(experts, width, mlp))
            elif arch == "starcoder2":
                part.update(ffn_up=(mlp, width), ffn_down=(width, mlp))
            else:
                part.update(ffn_gate=(mlp, width), ffn_up=(mlp, width), ffn_down=(width, mlp))
        tensors.update({f"blk.{layer}.{name}.weight": shape for name, shape in part.items()})
    return tensors


def write_model(path, model):
    arch, layers, heads, kv_heads, experts, _, width, mlp = model
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(layers)
    writer.add_context_length(512)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(mlp)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_layer_norm_eps(1e-5)
    writer.add_vocab_size(VOCAB)
    writer.add_rope_dimension_count(width // heads)
    if arch == "gemma2":
        writer.add_sliding_window(16)
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(2)
        writer.add_expert_feed_forward_length(mlp)
    values = np.random.default_rng(1).standard_normal(8 * 512 * 256, dtype=np.float32)
    for name, shape in shapes(*model).items():
        writer.add_tensor(name, values[:int(np.prod(shape))].reshape(shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def chosen_types(source, recipe, target):
    """Tensor type by tensor name, of the file that llama.cpp writes."""
    wishes = llama_cpp.llama_model_quantize_default_params()
    wishes.ftype, wishes.nthread = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{recipe}"), 1
    failed = llama_cpp.llama_model_quantize(source.encode(), target.encode(), wishes)
    assert not failed, f"{recipe}: {failed}"
    return {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(target).tensors}


def summary(recipe, types):
    """The recipe's own type, which most matrices have, and the tensors that get another: layers of each kind, by type."""
    default = recipe if recipe[-2:] not in ("_S", "_M", "_L") else recipe[:-2]
    others = {}
    for name, kind in types.items():
        if name.endswith("norm.weight") or kind == default:
            continue
        layer = re.match(r"blk\.(\d+)\.(\w+)\.weight", name)
        others.setdefault(kind, {}).setdefault(layer[2] if layer else name[:-len(".weight")], []).extend([int(layer[1])] if layer else [])
    return {"default": default, "others": {kind: {part: ranges(layers) for part, layers in parts.items()} for kind, parts in others.items()}}


def ranges(layers):
    """Sorted numbers as text: `0-2,5`; empty for a tensor outside the layers."""
    runs = []
    for layer in sorted(layers):
        if runs and runs[-1][1] == layer - 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def main():
    llama_cpp.llama_log_set(silent, None)
    facts = ("architecture", "layers", "heads", "kv_heads", "experts", "tied", "width", "mlp_width")
    for name, model in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "source.gguf")
            write_model(source, model)
            types = {recipe: chosen_types(source, recipe, os.path.join(folder, "target.gguf")) for recipe in RECIPES}
        for recipe, chosen in types.items():
            assert all(kind == "F32" for tensor, kind in chosen.items() if tensor.endswith("norm.weight")), (name, recipe)
        first = {tensor: list(shape) for tensor, shape in shapes(*model).items() if not re.match(r"blk\.[1-9]", tensor)}
        answer = dict(zip(facts, model, strict=True), tensors=first, recipes={r: summary(r, t) for r, t in types.items()})
        with open(os.path.join(HERE, "recipes", f"{name}.json"), "w", encoding="utf-8") as file:
            json.dump(answer, file, separators=(",", ":"))
        print(name, os.path.getsize(file.name), "bytes", flush=True)


@llama_cpp.llama_log_callback
def silent(*_):
    """llama.cpp tells of each tensor."""


if __name__ == "__main__":
    main()
