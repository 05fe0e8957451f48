#!/usr/bin/env python3
"""Makes the small random checkpoints of this folder that `README.md` lists as its work, with their expected answers.

    make_references.py --kit DIR [--llama-src DIR] [--only NAME,NAME]

Needed only to make the data again; neither the build nor any test runs it. `--kit` is the folder of the project's reference
kit (`make_reference.py`, `tokmaker.py`), which brings tokenizers, random weights and the runs of llama.cpp; besides it torch,
transformers and gguf are imported, and llama_cpp for the GGUF files, whose converter lies in llama.cpp's sources,
`--llama-src`. Weights come from a seed, and the tokenizers' corpus is Python's own library, so a second run gives the same
checkpoints with the same versions of Python and of those packages, but for BERT's vocabulary, whose trainer breaks ties by
chance.

Expected answers come from transformers in float32 on the checkpoint as read back from disk, one text at a time, without
padding. Quantized checkpoints are read by the decoders of `quantized_formats.py`, which are written from the formats'
definitions and share nothing with the encoders, and are run as float checkpoints.
"""
import argparse
import functools
import json
import os
import re
import shutil
import sys
import tempfile

import numpy as np
import torch
from quantized_formats import decode_awq, decode_fp8, decode_gptq, encode_awq, encode_fp8, encode_gptq
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 20261125
STEPS = 24          # greedy tokens that are stored
TOP = 5             # likeliest tokens that are stored of each step of the short case
SHORT = ["Once upon a time", "import os", "Hello there, general", "return self", "In the beginning", "if the value", "one two"]
LONG = ["The function takes a sequence of values and returns a new list. If the argument is None, an error is raised.",
        "A server accepts connections from clients and handles each request in its own thread, until the client closes it.",
        "To write a file, open it in binary mode, write the bytes, flush the buffer and close it; then rename the file."]
TOKENIZED = ["", "Hello world", "Größe 2024: I'll pay $1,234.56", "  a\n\n\tb  ", "def f(x):\n    return x  # 你好 🙂", "<|im_start|>hi<eos>[SEP]"]
EMBEDDED = ["Hello world", "The quick brown fox jumps over the lazy dog.", "Größe, naïve façade: 你好", LONG[0]]


# ---------------------------------------------------------------- tokenizers

def qwen_tokenizer(folder):
    tokens = kit.tokmaker.bytelevel(folder, "qwen", SEED, 288, None, "Qwen2Tokenizer")
    for name in ("vocab.json", "merges.txt"):
        os.remove(os.path.join(folder, name))
    return tokens


def starcoder_tokenizer(folder):
    """The same vocabulary with StarCoder's splitting: digits one by one, then GPT-2's words; no normalization."""
    tokens = qwen_tokenizer(folder)
    edit_json(folder, "tokenizer.json", lambda t: t.update(normalizer=None, pre_tokenizer={"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]}))
    edit_json(folder, "tokenizer_config.json", lambda t: t.update(tokenizer_class="GPT2Tokenizer"))
    return dict(tokens, pre="starcoder")


def qwen_embedding_tokenizer(folder):
    """Qwen3-Embedding's tokenizer ends every text with <|endoftext|>, which is its padding token and not its end token."""
    tokens = qwen_tokenizer(folder)
    end = "<|endoftext|>"
    template = {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": end, "type_id": 0}}],
                "pair": [{"Sequence": {"id": i, "type_id": 0}} for i in "AB"] + [{"SpecialToken": {"id": end, "type_id": 0}}],
                "special_tokens": {end: {"id": end, "ids": [tokens["pad"]], "tokens": [end]}}}
    edit_json(folder, "tokenizer.json", lambda t: t.update(post_processor={"type": "Sequence", "processors": [t["post_processor"], template]}))
    return tokens


def gemma_tokenizer(folder):
    """EmbeddingGemma's tokenizer puts a text between <bos> and <eos>."""
    tokens = kit.tokmaker.sentencepiece_bpe(folder, "gemma", SEED, 448, None, "GemmaTokenizer", ["<start_of_turn>", "<end_of_turn>"])
    end = {"SpecialToken": {"id": "<eos>", "type_id": 0}}

    def close(tokenizer):
        post = tokenizer["post_processor"]
        post["single"].append(end)
        post["special_tokens"]["<eos>"] = {"id": "<eos>", "ids": [tokens["specials"]["<eos>"]], "tokens": ["<eos>"]}

    edit_json(folder, "tokenizer.json", close)
    edit_json(folder, "tokenizer_config.json", lambda t: t.update(add_eos_token=True))
    return tokens


def bert_tokenizer(folder):
    tokens = kit.tokmaker.wordpiece(folder, SEED, 384)
    os.remove(os.path.join(folder, "vocab.txt"))
    return tokens


# ---------------------------------------------------------------- configurations, as the hub's checkpoints have them

def starcoder2(tokens):
    return {"architectures": ["Starcoder2ForCausalLM"], "model_type": "starcoder2", "attention_dropout": 0.0, "residual_dropout": 0.0,
            "embedding_dropout": 0.0, "bos_token_id": tokens["pad"], "eos_token_id": tokens["eos"][0], "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 32, "initializer_range": 0.02, "intermediate_size": 64, "max_position_embeddings": 512,
            "mlp_type": "default", "norm_epsilon": 1e-5, "norm_type": "layer_norm", "num_attention_heads": 4, "num_hidden_layers": 2,
            "num_key_value_heads": 2, "rope_theta": 999999.4420358813, "sliding_window": 16, "use_bias": True, "use_cache": True,
            "torch_dtype": "float16", "transformers_version": "4.39.3", "vocab_size": tokens["size"]}


def qwen2_moe(tokens, **changes):
    config = kit.base_config("qwen2", tokens)
    config.update(architectures=["Qwen2MoeForCausalLM"], model_type="qwen2_moe", hidden_size=32, intermediate_size=48,
                  num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, shared_expert_intermediate_size=32,
                  num_experts=4, num_experts_per_tok=2, mlp_only_layers=[], norm_topk_prob=False, output_router_logits=False,
                  router_aux_loss_coef=0.001, max_position_embeddings=512, torch_dtype="bfloat16", **changes)
    return config


def qwen(family, tokens, **changes):
    """A dense Qwen 2 or 3."""
    config = kit.base_config(family, tokens)
    config.update(dict({"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True,
                        "max_position_embeddings": 512, "torch_dtype": "float16"}, **changes))
    return config


def gemma_encoder(tokens):
    config = kit.base_config("gemma3_text", tokens)
    config.pop("sliding_window_pattern")
    config.update(architectures=["Gemma3TextModel"], hidden_size=32, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2,
                  num_key_value_heads=1, head_dim=16, query_pre_attn_scalar=16, sliding_window=16, _sliding_window_pattern=3,
                  layer_types=["sliding_attention", "sliding_attention", "full_attention"], use_bidirectional_attention=True,
                  max_position_embeddings=512, torch_dtype="bfloat16", eos_token_id=1)
    config.pop("cache_implementation")
    return config


def bert(tokens):
    config = kit.base_config("bert", tokens)
    config.update(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64,
                  torch_dtype="float16")
    return config


# ---------------------------------------------------------------- checkpoints

def write_checkpoint(hf, config, family, tokens, kind, seed):
    """Random weights in the checkpoint's dtype, under the names that this model class gives them."""
    import transformers
    write_json(hf, "config.json", config)
    loaded = transformers.AutoConfig.from_pretrained(hf)
    torch.manual_seed(SEED)
    model = getattr(transformers, kind)._from_config(loaded, attn_implementation="eager").float()
    kit.init_weights(model, family, {}, tokens, torch.Generator().manual_seed(SEED + seed))
    model.tie_weights()
    model = model.to(getattr(torch, config["torch_dtype"]))
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        shutil.copyfile(os.path.join(folder, "model.safetensors"), os.path.join(hf, "model.safetensors"))
    if tokens["eos"]:
        write_json(hf, "generation_config.json", {"eos_token_id": tokens["eos"], "pad_token_id": tokens["pad"], "transformers_version": "4.51.0"})


def read_model(folder, kind, **changes):
    """The checkpoint in float32 with eager attention, and nothing missing or left over."""
    import transformers
    config = transformers.AutoConfig.from_pretrained(folder, **changes)
    model, info = getattr(transformers, kind).from_pretrained(folder, config=config, dtype=torch.float32, attn_implementation="eager",
                                                              output_loading_info=True)
    wrong = {key: value for key, value in info.items() if value and key in ("missing_keys", "unexpected_keys", "mismatched_keys")}
    assert not wrong, wrong
    return model.eval()


# ---------------------------------------------------------------- quantized checkpoints

def linears(state):
    return [name[:-len(".weight")] for name in state if re.search(r"layers\.\d+\.(self_attn|mlp)\.\w+_proj\.weight$", name)]


def quantize_checkpoint(hf, config, encode, decode, plain):
    """Replaces the matrices of `hf`, and writes what they stand for as a float checkpoint to `plain`."""
    state = load_file(os.path.join(hf, "model.safetensors"))
    spared = config["quantization_config"].get("modules_to_not_convert") or []
    names = [name for name in linears(state) if name not in spared]
    for name in names:
        state.update(encode(name, state.pop(f"{name}.weight").float().numpy()))
    save_file(state, os.path.join(hf, "model.safetensors"), metadata={"format": "pt"})
    write_json(hf, "config.json", config)
    state = load_file(os.path.join(hf, "model.safetensors"))
    floats = {}
    for name in names:
        weight = decode(lambda part, name=name: state.pop(f"{name}.{part}"))
        floats[f"{name}.weight"] = torch.from_numpy(np.ascontiguousarray(weight.T.astype(np.float32)))
    known = read_model_names(config)
    floats.update({name: value.float() for name, value in state.items() if name in known})
    assert all(not value.any() for name, value in state.items() if name not in known)
    save_file(floats, os.path.join(plain, "model.safetensors"), metadata={"format": "pt"})
    write_json(plain, "config.json", {key: value for key, value in config.items() if key != "quantization_config"})


def read_model_names(config):
    import transformers
    plain = {key: value for key, value in config.items() if key != "quantization_config"}
    with torch.device("meta"):
        kind = getattr(transformers, config["architectures"][0])
        return set(kind._from_config(transformers.AutoConfig.for_model(**plain)).state_dict())


# ---------------------------------------------------------------- expected answers

def case(raw, name, text, ids, tokens, rows):
    """A greedy run; the short one with the likeliest tokens of each step."""
    steps = kit.steps_of(tokens, rows, set())["steps"]
    run = {"ids": tokens, "text": kit.text_of(raw, ids, tokens)}
    if name == "short":
        run["steps"] = [{"margin": short(s["margin"]), "logprob": short(s["logprob"]), "top": [[i, short(p)] for i, p in s["top"][:TOP]]}
                        for s in steps]
    else:
        run.update(margins=[short(s["margin"]) for s in steps], logprobs=[short(s["logprob"]) for s in steps])
    return {"id": name, "text": text, "ids": ids, "greedy": run}


def generation(model, raw, tokens):
    """For a short and a long prompt the first run with clear margins, no end token and text that is valid UTF-8."""
    cases = []
    for name, texts in (("short", SHORT), ("long", LONG)):
        words = " ".join(texts).split()
        more = [" ".join(words[at:] + words[:at])[:len(texts[0])] for at in range(1, len(words))]
        for text in texts + more:
            ids = raw.encode(text).ids
            chosen, rows = kit.greedy(model, ids, STEPS)
            facts = kit.steps_of(chosen, rows, set(tokens["eos"]))
            if facts["eos_at"] is None and facts["min_margin"] > 0.02 and "\ufffd" not in kit.text_of(raw, ids, chosen) and len(set(chosen)) > 12:
                break
        else:
            raise AssertionError(f"no prompt for the {name} case")
        again = kit.forward(model, ids + chosen)[len(ids) - 1:-1]
        assert np.abs(again - rows).max() < 1e-3, "the cache changes the answer"
        cases.append(case(raw, name, text, ids, chosen, rows))
    return cases


def embeddings(model, raw, pool):
    cases = []
    for at, text in enumerate(EMBEDDED):
        ids = raw.encode(text).ids
        vector = pool(model(input_ids=torch.tensor([ids])).last_hidden_state[0].float())
        vector = (vector / vector.norm()).tolist()
        cases.append({"id": f"e{at}", "text": text, "ids": ids, "embedding": [round(x, 7) for x in vector]})
    table = np.array([c["embedding"] for c in cases])
    likeness = (table @ table.T)[np.triu_indices(len(cases), 1)]
    assert likeness.max() < 0.97, f"texts are too much alike to tell a wrong answer from a right one: {likeness}"
    return cases


def golden(name, family, config, tokens, notes):
    from tokenizers import Tokenizer
    raw = Tokenizer.from_file(os.path.join(HERE, name, "hf", "tokenizer.json"))
    tokenized = [{"text": t, "ids": raw.encode(t).ids, "ids_no_special": raw.encode(t, add_special_tokens=False).ids} for t in TOKENIZED]
    return raw, {"model": name, "family": family, "bos": tokens["bos"], "eos": tokens["eos"], "notes": notes,
                 "max_positions": config["max_position_embeddings"], "tokenize": tokenized, "chat": []}


def difference(left, right):
    """How far two lists of cases are apart: the largest change of a log-probability or of an embedding."""
    def values(cases):
        return [c["embedding"] if "embedding" in c else [s["logprob"] for s in c["greedy"]["steps"]] if "steps" in c["greedy"]
                else c["greedy"]["logprobs"] for c in cases]
    return max(float(np.abs(np.array(a) - np.array(b)).max()) for a, b in zip(values(left), values(right), strict=True))


# ---------------------------------------------------------------- GGUF by llama.cpp

def gguf_files(name, family, config, tokens, raw, stored, kinds, changes):
    """Files of these types with llama.cpp's greedy runs, and the greedy run of their weights in float32 by transformers."""
    import gguf
    hf, stored["gguf"] = os.path.join(HERE, name, "hf"), {}
    os.makedirs(os.path.join(HERE, name, "gguf"), exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        whole = os.path.join(work, "F32.gguf")
        kit.convert(args.llama_src, hf, whole, tokens["pre"])
        reader, floats = kit.gguf_tensors(whole)
        arch = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == reader.get_field("general.architecture").contents())
        names = gguf.get_tensor_name_map(arch, config["num_hidden_layers"])
        for kind in kinds:
            file = f"gguf/{name}-{kind}.gguf"
            path = os.path.join(HERE, name, file)
            with kit.quiet_fd():
                kit.quantize(whole, path, kind)
            _, tensors = kit.gguf_tensors(path)
            types = [entry[0] for entry in tensors.values()]
            entry = stored["gguf"][kind] = {"file": file, "tensor_types": {t: types.count(t) for t in sorted(set(types))}, "cases": {}}
            model = kit.llama_open(path, n_ctx=config["max_position_embeddings"], type_k=0, type_v=0)
            stored["llama_cpp_tokenize_mismatch"] = [
                c["text"] for c in stored["tokenize"] if model.tokenize(c["text"].encode(), add_bos=False, special=True) != c["ids_no_special"]]
            for c in stored["cases"]:
                chosen, rows = kit.llama_greedy(model, c["ids"], STEPS)
                run = case(raw, "long", c["text"], c["ids"], chosen, rows)["greedy"]
                entry["cases"][c["id"]] = {"greedy": run}
            model.close()
            plain = os.path.join(work, "plain")
            kit.dequantized_checkpoint(hf, floats, tensors, names, family, config, plain)
            model = read_model(plain, config["architectures"][0], **changes)
            ids = stored["cases"][0]["ids"]
            chosen, rows = kit.greedy(model, ids, STEPS)
            margin = kit.steps_of(chosen, rows, set())["min_margin"]
            assert margin > 2e-3, f"{kind}: a tie, {margin}"
            entry["dequantized_weights_f32"] = {"greedy_short": {"ids": chosen}}
            agreed = kit.prefix(chosen, entry["cases"]["short"]["greedy"]["ids"])
            print(f"   {kind}: {os.path.getsize(path)} bytes, llama.cpp and the float run agree for {agreed} of {STEPS}", types.count(kind))


# ---------------------------------------------------------------- the models

def begin(name, tokenizer):
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    hf = os.path.join(folder, "hf")
    os.makedirs(hf)
    tokens = tokenizer(hf)
    for file in ("tokenizer.model", "added_tokens.json"):
        if os.path.exists(os.path.join(hf, file)):
            os.remove(os.path.join(hf, file))
    edit_json(hf, "tokenizer.json", lambda _: None)
    # What `tokenizer.json` says already is not said twice.
    edit_json(hf, "tokenizer_config.json", lambda config: [config.pop(key, None) for key in ("added_tokens_decoder", "additional_special_tokens")])
    return hf, tokens


def finish(name, stored):
    path = os.path.join(HERE, name, "golden.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(stored, file, ensure_ascii=False, separators=(",", ":"))
    sizes = {os.path.relpath(os.path.join(p, f), os.path.join(HERE, name)): os.path.getsize(os.path.join(p, f))
             for p, _, files in os.walk(os.path.join(HERE, name)) for f in files}
    print(f"   {sum(sizes.values())} bytes", sizes, flush=True)


def make_starcoder2(name):
    hf, tokens = begin(name, starcoder_tokenizer)
    config = starcoder2(tokens)
    write_checkpoint(hf, config, "starcoder2", tokens, "Starcoder2ForCausalLM", 1)
    raw, stored = golden(name, "starcoder2", config, tokens, "GGUF files of this family have no sliding window, so their answers to the "
                         "long prompt differ from the folder's")
    model = read_model(hf, "Starcoder2ForCausalLM")
    stored["cases"] = generation(model, raw, tokens)
    ids = stored["cases"][1]["ids"]
    change = np.abs(kit.forward(read_model(hf, "Starcoder2ForCausalLM", sliding_window=None), ids)[-1] - kit.forward(model, ids)[-1]).max()
    print("   without the window logits move by", change)
    assert change > 0.1
    if args.llama_src:
        gguf_files(name, "starcoder2", config, tokens, raw, stored, ["F16", "Q4_0"], {"sliding_window": None})
    finish(name, stored)


def make_qwen2_moe(name):
    hf, tokens = begin(name, qwen_tokenizer)
    config = qwen2_moe(tokens, decoder_sparse_step=2, moe_intermediate_size=24, tie_word_embeddings=True)
    write_checkpoint(hf, config, "qwen2_moe", tokens, "Qwen2MoeForCausalLM", 2)
    raw, stored = golden(name, "qwen2_moe", config, tokens, "layer 0 is dense; GGUF has no such layer in this family, see qwen2-moe-sparse")
    stored["cases"] = generation(read_model(hf, "Qwen2MoeForCausalLM"), raw, tokens)
    finish(name, stored)


def make_qwen2_moe_sparse(name):
    hf, tokens = begin(name, qwen_tokenizer)
    config = qwen2_moe(tokens, decoder_sparse_step=1, moe_intermediate_size=32, tie_word_embeddings=False)
    write_checkpoint(hf, config, "qwen2_moe", tokens, "Qwen2MoeForCausalLM", 3)
    raw, stored = golden(name, "qwen2_moe", config, tokens, "as qwen2-moe with experts in both layers; the file alone")
    stored["cases"] = generation(read_model(hf, "Qwen2MoeForCausalLM"), raw, tokens)
    gguf_files(name, "qwen2_moe", config, tokens, raw, stored, ["Q8_0"], {})
    shutil.rmtree(hf)
    finish(name, stored)


SENTENCE = "sentence_transformers.models."


def write_modules(hf, width, pooling, dense=()):
    """What sentence-transformers adds to a checkpoint: the list of modules and a folder for each that has settings."""
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling")] + [(f"{2 + i}_Dense", "Dense") for i in range(len(dense))]
    kinds.append((f"{len(kinds)}_Normalize", "Normalize"))
    write_json(hf, "modules.json", [{"idx": i, "name": str(i), "path": path, "type": SENTENCE + kind} for i, (path, kind) in enumerate(kinds)])
    modes = {f"pooling_mode_{mode}": mode == pooling for mode in
             ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")}
    write_json(os.path.join(hf, "1_Pooling"), "config.json", {"word_embedding_dimension": width, **modes, "include_prompt": True})
    write_json(hf, "config_sentence_transformers.json", {
        "prompts": {"query": "task: search result | query: ", "document": "title: none | text: "}, "default_prompt_name": None,
        "similarity_fn_name": "cosine"})
    for i, matrix in enumerate(dense):
        folder = os.path.join(hf, f"{2 + i}_Dense")
        write_json(folder, "config.json", {"in_features": matrix.shape[1], "out_features": matrix.shape[0], "bias": False,
                                           "activation_function": "torch.nn.modules.linear.Identity"})
        save_file({"linear.weight": matrix}, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})


def make_qwen3_embedding(name):
    hf, tokens = begin(name, qwen_embedding_tokenizer)
    config = qwen("qwen3", tokens, hidden_size=32, intermediate_size=32, head_dim=16, torch_dtype="bfloat16")
    write_checkpoint(hf, config, "qwen3", tokens, "Qwen3Model", 4)
    write_modules(hf, 32, "lasttoken")
    raw, stored = golden(name, "qwen3", config, tokens, "tensor names without `model.`, as Qwen3-Embedding ships them; prompts are not applied")
    stored.update(pooling="last", cases=embeddings(read_model(hf, "Qwen3Model"), raw, lambda hidden: hidden[-1]))
    finish(name, stored)


def make_embeddinggemma(name):
    hf, tokens = begin(name, gemma_tokenizer)
    config = gemma_encoder(tokens)
    write_checkpoint(hf, config, "gemma3_text", tokens, "Gemma3TextModel", 5)
    draw = torch.Generator().manual_seed(SEED)
    first, second = torch.randn(48, 32, generator=draw) / 32 ** 0.5, torch.randn(32, 48, generator=draw) / 7
    write_modules(hf, 32, "mean_tokens", [first, second])
    raw, stored = golden(name, "gemma3_text", config, tokens,
                         "attention sees both ways; in sliding layers a token sees those at most sliding_window / 2 = 8 positions away on "
                         "either side; mean pooling, two dense modules, L2 norm; prompts are not applied")

    def pool(hidden):
        return second @ (first @ hidden.mean(0))

    model = read_model(hf, "Gemma3TextModel")
    assert model.config.sliding_window == 9, "distances below this are seen"
    stored.update(pooling="mean", cases=embeddings(model, raw, pool))
    for other in (8, 10, 512):
        moved = difference(embeddings(read_model(hf, "Gemma3TextModel", sliding_window=other), raw, pool), stored["cases"])
        print(f"   with distances below {other} embeddings move by", moved)
        assert moved > 1e-3
    finish(name, stored)


def make_bert_cls(name):
    hf, tokens = begin(name, bert_tokenizer)
    config = bert(tokens)
    write_checkpoint(hf, config, "bert", tokens, "BertModel", 6)
    state = load_file(os.path.join(hf, "model.safetensors"))
    # Checkpoints of BERT's first years hold their positions as a tensor, which means nothing.
    state["embeddings.position_ids"] = torch.arange(config["max_position_embeddings"])[None]
    model = read_model(hf, "BertModel")
    save_file(state, os.path.join(hf, "model.safetensors"), metadata={"format": "pt"})
    write_modules(hf, 32, "cls_token")
    raw, stored = golden(name, "bert", config, tokens, "the first token's last hidden state, L2 norm; no pooler")
    stored.update(pooling="cls", cases=embeddings(model, raw, lambda hidden: hidden[0]))
    finish(name, stored)


def make_quantized(name, family, kind, tokens_of, seed, config_of, encode, decode, notes):
    hf, tokens = begin(name, tokens_of)
    config = config_of(tokens)
    quantization = config.pop("quantization_config")
    write_checkpoint(hf, config, family, tokens, kind, seed)
    config["quantization_config"] = quantization
    with tempfile.TemporaryDirectory() as plain:
        quantize_checkpoint(hf, config, encode, decode, plain)
        model = read_model(plain, kind)
    raw, stored = golden(name, family, config, tokens, notes)
    stored["cases"] = generation(model, raw, tokens)
    finish(name, stored)


def make_qwen2_gptq(name):
    act_order = name.endswith("act-order")

    def config(tokens):
        return qwen("qwen2", tokens, hidden_size=32, intermediate_size=96, head_dim=16, num_hidden_layers=1, quantization_config={
            "bits": 4, "checkpoint_format": "gptq", "damp_percent": 0.01, "desc_act": act_order, "group_size": 32, "model_file_base_name": None,
            "model_name_or_path": None, "quant_method": "gptq", "static_groups": False, "sym": True, "true_sequential": True})

    def encode(module, weight):
        tensors = encode_gptq(module, weight, 32, act_order)
        if not re.search("[qkv]_proj$", module):    # the quantizer writes a bias of zeros where the model has none
            tensors[f"{module}.bias"] = torch.zeros(weight.shape[0], dtype=torch.float16)
        return tensors

    def decode(get):
        get = functools.cache(get)
        weight, groups = decode_gptq(get), get("g_idx").numpy()
        # GPTQ's kernels round all weights to f16. A reader that keeps the codes need not, but it cannot where groups lie anywhere.
        return weight if (np.diff(groups) >= 0).all() else weight.astype(np.float16).astype(np.float32)

    notes = "answers are those of the dequantized weights in float32; biases of zeros where the model has none"
    if act_order:
        notes += "; weights whose groups lie anywhere are rounded to f16, as by GPTQ's kernels"
    make_quantized(name, "qwen2", "Qwen2ForCausalLM", qwen_tokenizer, 7, config, encode, decode, notes)


def make_qwen2_awq(name):
    def config(tokens):
        return qwen("qwen2", tokens, hidden_size=32, intermediate_size=96, head_dim=16, num_hidden_layers=1, quantization_config={
            "bits": 4, "group_size": 32, "modules_to_not_convert": None, "quant_method": "awq", "version": "gemm", "zero_point": True})

    make_quantized(name, "qwen2", "Qwen2ForCausalLM", qwen_tokenizer, 8, config, lambda module, weight: encode_awq(module, weight, 32),
                   decode_awq, "answers are those of the dequantized weights in float32")


def make_qwen3_fp8(name):
    """Blocks of 128 by 128 as Qwen ships them, or a scale for each row as compressed-tensors has it."""
    by_row = name.endswith("channel")
    weights = {"actorder": None, "block_structure": None, "dynamic": False, "group_size": None, "num_bits": 8, "observer": "minmax",
               "observer_kwargs": {}, "strategy": "channel", "symmetric": True, "type": "float"}
    inputs = dict(weights, dynamic=True, observer=None, strategy="token")
    block = {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128],
             "modules_to_not_convert": ["lm_head", "model.layers.0.mlp.up_proj"]}
    channel = {"config_groups": {"group_0": {"input_activations": inputs, "output_activations": None, "targets": ["Linear"], "weights": weights}},
               "format": "float-quantized", "ignore": ["lm_head"], "kv_cache_scheme": None, "quant_method": "compressed-tensors",
               "quantization_status": "compressed"}
    rows, columns, scale = (1, 1 << 30, "weight_scale") if by_row else (128, 128, "weight_scale_inv")

    def config(tokens):
        return qwen("qwen3", tokens, hidden_size=32, intermediate_size=136, head_dim=36, num_key_value_heads=1, num_hidden_layers=1,
                    torch_dtype="bfloat16", quantization_config=channel if by_row else block)

    make_quantized(name, "qwen3", "Qwen3ForCausalLM", qwen_tokenizer, 10, config,
                   lambda module, weight: encode_fp8(module, weight, rows, columns, scale),
                   lambda get: decode_fp8(get, rows, columns, scale),
                   "answers are those of the dequantized weights in float32; activations are not quantized")


MODELS = {"starcoder2": make_starcoder2, "qwen2-moe": make_qwen2_moe, "qwen2-moe-sparse": make_qwen2_moe_sparse,
          "qwen3-embedding": make_qwen3_embedding, "embeddinggemma": make_embeddinggemma, "bert-cls": make_bert_cls,
          "qwen2-gptq": make_qwen2_gptq, "qwen2-gptq-act-order": make_qwen2_gptq, "qwen2-awq": make_qwen2_awq,
          "qwen3-fp8": make_qwen3_fp8, "qwen3-fp8-channel": make_qwen3_fp8}


# ---------------------------------------------------------------- files

def short(value):
    return round(value, 5)


def write_json(folder, name, value):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=1 if name != "tokenizer.json" else None,
                  separators=(",", ":") if name == "tokenizer.json" else None)
        file.write("\n")


def edit_json(folder, name, edit):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        value = json.load(file)
    edit(value)
    write_json(folder, name, value)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kit", required=True, help="folder of the reference kit")
    parser.add_argument("--llama-src", help="llama.cpp's sources; without it no GGUF file is made")
    parser.add_argument("--only", help="names, with commas between them")
    args = parser.parse_args()
    sys.path.insert(0, args.kit)
    import make_reference as kit
    import transformers
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    chosen = args.only.split(",") if args.only else [n for n in MODELS if args.llama_src or n != "qwen2-moe-sparse"]
    for model_name in chosen:
        print("==", model_name, flush=True)
        MODELS[model_name](model_name)
