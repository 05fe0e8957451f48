"""EleutherAI's evaluation harness against a host: scores of ends, and texts that are continued.

Needs BASE_URL and MODEL, which has to be the stories model: its tokenizer lies in tests/data.
"""

import os
from pathlib import Path

# Nothing is fetched: documents and tokenizer are here.
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": "datasets", "OPENAI_API_KEY": "none"}

import lm_eval  # noqa: E402

HERE = Path(__file__).parent
TOKENIZER = HERE.parents[3] / "data/tinyllama-stories260K/hf"
DOCUMENTS = {"test": str(HERE / "documents.json")}
COMMON = {
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": DOCUMENTS},
    "test_split": "test",
    "doc_to_text": "{{begin}}",
    "target_delimiter": "",
}
LIKELY = {
    "task": "likely",
    "output_type": "multiple_choice",
    "doc_to_choice": "{{ends}}",
    "doc_to_target": "right",
    "metric_list": [{"metric": "acc"}],
}
WRITTEN = {
    "task": "written",
    "output_type": "generate_until",
    "doc_to_target": ".",
    "generation_kwargs": {"until": ["."], "max_gen_toks": 8},
    "metric_list": [{"metric": "exact_match"}],
}

done = lm_eval.simple_evaluate(
    model="local-completions",
    model_args={
        "model": os.environ["MODEL"],
        "base_url": os.environ["BASE_URL"] + "/v1/completions",
        "tokenizer": str(TOKENIZER),
        "tokenizer_backend": "huggingface",
        "timeout": 60,
    },
    tasks=[{**COMMON, **LIKELY}, {**COMMON, **WRITTEN}],
    bootstrap_iters=0,
)
accuracy = done["results"]["likely"]["acc,none"]
assert accuracy == 1.0, accuracy
texts = [sample["resps"][0][0] for sample in done["samples"]["written"]]
assert len(texts) == 4 and all(texts), texts
print("ok", accuracy, texts)
