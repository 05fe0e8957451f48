"""The tokenizer: byte-level BPE of lower-case pieces, each of which also comes capital and after a space.

A small model copies well only what it sees as the same word where it is read and where it is written:
`weather`, ` weather`, `Weather` and the part of `get_weather` are cut into the same pieces. So merges are
learned from lower-case words alone and then repeated for a capital first letter, right behind each; a
space joins a word last of all, and no quote, bracket or underscore ever does. `factors` says of each
token which piece it is, so that training gives all its forms one embedding.
"""

import json
import re

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from chat import MARKS, SPECIAL

# Qwen 2's.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# How text is cut while merges are learned. What may be one piece beside words: the skeleton of JSON,
# options and the like.
FINE = r'\p{L}+|\p{N}|\{"|": |":| "|", |",|"\}\}\n|\}\}\n|"\}|\}\}| --|--|\n|.'
SPACE = "\u0120"    # as byte-level BPE writes it


def train(texts, size):
    """A tokenizer with `size` pieces, their other forms and the special tokens."""
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.NFC()
    trained.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(FINE), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained.train_from_iterator(
        map(lowered, texts), trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=alphabet))
    document = json.loads(trained.to_str())
    add_forms(document["model"])
    return finish(document)


def lowered(text):
    """Words in lower case, and those inside `camelCase` apart; words of capitals stay as they are."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", "\n", text)
    return re.sub(r"[A-Z][a-z]+|\b[A-Z]\b", lambda word: word[0].lower(), text)


def capital(piece):
    return piece[0].upper() + piece[1:]


def is_word(piece):
    return piece.isascii() and piece.isalpha()


def add_forms(model):
    """Adds the capital form of each piece, and that of each word with a space before it."""
    vocabulary, merges = model["vocab"], []
    for left, right in model["merges"]:
        merges.append([left, right])
        if is_word(left) and left[0].islower():
            merges.append([capital(left), right])
            vocabulary.setdefault(capital(left + right), len(vocabulary))
    for word in [piece for piece in vocabulary if is_word(piece)]:
        merges.append([SPACE, word])
        vocabulary[SPACE + word] = len(vocabulary)
    model["merges"] = merges


def factors(tokenizer):
    """Of each token: the token of its piece, whether a space stands before it, whether it is capital."""
    vocabulary = tokenizer.get_vocab()
    out = [None] * len(vocabulary)
    for token, at in vocabulary.items():
        spaced = len(token) > 1 and token[0] == SPACE and is_word(token[1:])
        piece = token[1:] if spaced else token
        # Of a word of capitals there is no other form.
        big = is_word(piece) and piece[0].isupper() and piece[1:] == piece[1:].lower()
        out[at] = (vocabulary[piece.lower() if big else piece], spaced, big)
    return out


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
