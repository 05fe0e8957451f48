"""Makes a Hugging Face folder of a run, which the host serves and `host quantize` reads.

    python3 export.py --run run --out starter-hf
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from chat import END, SPECIAL
from model import CONFIG, Qwen3
from tokenizer import factors


def write(path, document):
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="folder that train.py wrote")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = json.loads((args.run / "tokenizer.json").read_text(encoding="utf-8"))
    (args.out / "tokenizer.json").write_text(
        json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    size = len(tokenizer["model"]["vocab"]) + len(ids)
    config = {**CONFIG, "vocab_size": size}
    model = Qwen3(config, factors(Tokenizer.from_str(json.dumps(tokenizer))))
    model.load_state_dict(torch.load(args.run / "checkpoint.pt")["model"])
    weights = {name: weight.detach().to(torch.bfloat16).contiguous() for name, weight in model.weights().items()}
    save_file(weights, args.out / "model.safetensors", metadata={"format": "pt"})
    ends = {"bos_token_id": None, "eos_token_id": ids[END], "pad_token_id": ids[SPECIAL[0]]}
    write(args.out / "config.json", {**config, **ends})
    write(args.out / "generation_config.json",
          {"eos_token_id": [ids[END], ids[SPECIAL[0]]], "pad_token_id": ids[SPECIAL[0]]})
    template = (Path(__file__).parent / "chat_template.jinja").read_text(encoding="utf-8")
    write(args.out / "tokenizer_config.json", {
        "tokenizer_class": "Qwen2Tokenizer", "add_bos_token": False, "bos_token": None, "eos_token": END,
        "pad_token": SPECIAL[0], "model_max_length": CONFIG["max_position_embeddings"], "chat_template": template,
    })


if __name__ == "__main__":
    main()
