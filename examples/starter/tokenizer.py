"""The tokenizer: byte-level BPE of about 2,000 tokens that cuts a word the same way everywhere.

A small model copies well only what has the same tokens where it is read and where it is written. So
no token joins a word with a quote, a bracket or an underscore, digits stand alone, and a space
belongs to a word only for the most frequent words of answers. The text is cut by Qwen 2's pattern
when the tokenizer is used; while it is trained it is cut more finely, so such tokens never arise.
"""

import collections
import json
import re

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from chat import MARKS, SPECIAL

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# What may be one token beside words: the skeleton of JSON, options and the like.
FINE = r'\p{L}+|\p{N}|\{"|": |":| "|", |",|"\}\}\n|\}\}\n|"\}|\}\}| --|--|\n|.'
SPACED = 160


def train(texts, size):
    """A tokenizer trained on texts, with `size` tokens and the special ones."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(FINE), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    trainer = trainers.BpeTrainer(
        vocab_size=size - SPACED - len(SPECIAL) - len(MARKS), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    document = json.loads(tokenizer.to_str())
    add_spaced(document, texts)
    return finish(document)


def add_spaced(document, texts):
    """Adds a token with a space before it for the most frequent whole words."""
    vocabulary, merges = document["model"]["vocab"], document["model"]["merges"]
    counts = collections.Counter()
    for text in texts:
        counts.update(re.findall(r" ([A-Za-z]{2,})(?![A-Za-z])", text))
    frequent = [word for word, _ in counts.most_common() if word in vocabulary]
    for word in frequent[:SPACED]:
        merges.append(["\u0120", word])
        vocabulary["\u0120" + word] = len(vocabulary)


def finish(document):
    tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = [
        {"id": len(document["model"]["vocab"]) + at, "content": text, "single_word": False, "lstrip": False,
         "rstrip": False, "normalized": False, "special": text in SPECIAL}
        for at, text in enumerate(SPECIAL + MARKS)
    ]
    return Tokenizer.from_str(json.dumps(document))
