"""Conversations as batches: tokens, what each of them counts, and what `hints.py` asks for."""

import json
import random
import re
from typing import NamedTuple

import torch

import chat
import facts
from generate import Generator

POOL = 1024          # documents that are sorted by length to fill batches of even length
LENGTH_MAX = 320     # tokens; longer documents are passed over
CHOICE = 6.0         # what a token counts that chooses a tool or a fact, beside any other of an answer
LEADING = 3          # tokens of an answer that choose the fact


class Document(NamedTuple):
    ids: list
    weights: list       # what each token counts in the loss
    names: dict         # where names of tools begin: 1 of the one that is called, else 0
    choices: list       # pairs of the place before the name in a call, and that of the tool it names
    copies: list        # pairs of the place before a value of a call, and that of the value in the request
    facts: list         # pairs of the place before an answer, and the number of the fact it tells


class Batch(NamedTuple):
    tokens: torch.Tensor
    places: torch.Tensor        # whose next token is learned
    wanted: torch.Tensor        # those next tokens
    weights: torch.Tensor       # what each counts
    names: torch.Tensor         # where names of tools begin
    called: torch.Tensor        # 1 for each that is called, else 0
    choices: torch.Tensor       # as in documents, with their row before them
    copies: torch.Tensor
    facts: torch.Tensor


def token_at(encoded, place):
    """The token that a character of the text belongs to."""
    return next(at for at, (_, end) in enumerate(encoded.offsets) if end > place)


def literal(value):
    """A value of a call as it stands in its JSON, without quotes."""
    return value if isinstance(value, str) else json.dumps(value)


class Batches:
    """Batches of documents of like length, in random order."""

    def __init__(self, tokenizer, seed, tokens, early):
        self.tokenizer, self.tokens, self.early = tokenizer, tokens, early
        self.generator = Generator(seed)
        self.order = random.Random(seed)
        self.ready = []
        self.facts = {fact["answer"]: number for number, fact in enumerate(facts.read())}

    def encode(self, messages, tools):
        out = Document([], [], {}, [], [], [])
        calls = [it["function"] for message in messages for it in message.get("tool_calls", [])]
        asked = {}
        for text, learn in chat.pieces(messages, tools):
            new = self.tokenizer.encode(text, add_special_tokens=False)
            base = len(out.ids)
            out.ids.extend(new.ids)
            out.weights.extend([float(learn)] * len(new.ids))
            if learn and text.startswith(chat.CALL):
                self.mark_call(out, base, text, new, calls[0], asked)
            elif learn:
                self.mark_answer(out, base, text.removesuffix(chat.END))
            elif not base:
                asked = mark_request(text, new, calls)
                out.names.update(mark_tools(text, new, calls, tools or []))
        return out

    def mark_call(self, out, base, text, new, call, asked):
        name = token_at(new, len(chat.CALL))
        out.weights[base + name] = CHOICE
        out.choices.append([base + name - 1, max(out.names, key=out.names.get)])
        for key, value in json.loads(call["arguments"]).items():
            start = text.index(f'"{key}": ') + len(f'"{key}": ') + isinstance(value, str)
            if literal(value) in asked:
                out.copies.append([base + token_at(new, start) - 1, asked[literal(value)]])

    def mark_answer(self, out, base, said):
        if said.startswith('{"answer": '):
            said = json.loads(said)["answer"]
        elif said in self.facts:
            out.weights[base : base + LEADING] = [CHOICE] * LEADING
        if said in self.facts:
            out.facts.append([base - 1, self.facts[said]])

    def fill(self):
        pool = []
        while len(pool) < POOL:
            document = self.encode(*self.generator.one(self.early()))
            if len(document.ids) <= LENGTH_MAX:
                pool.append(document)
        pool.sort(key=lambda it: len(it.ids))
        at = 0
        while at < len(pool):
            count = 1
            while at + count < len(pool) and (count + 1) * len(pool[at + count].ids) <= self.tokens:
                count += 1
            self.ready.append(pool[at : at + count])
            at += count
        self.order.shuffle(self.ready)

    def one(self):
        if not self.ready:
            self.fill()
        documents = self.ready.pop()
        width = max(len(it.ids) for it in documents)
        tokens = torch.zeros(len(documents), width, dtype=torch.long)
        weights = torch.zeros(len(documents), width)
        called = torch.full((len(documents), width), -1.0)
        for row, it in enumerate(documents):
            tokens[row, : len(it.ids)] = torch.tensor(it.ids)
            weights[row, : len(it.ids)] = torch.tensor(it.weights)
            called[row, list(it.names)] = torch.tensor(list(it.names.values()))
        places, names = weights[:, 1:] > 0, called[:, :-1] >= 0
        return Batch(tokens[:, :-1], places, tokens[:, 1:][places], weights[:, 1:][places],
                     names, called[:, :-1][names],
                     *(rows(documents, kind) for kind in ("choices", "copies", "facts")))


def rows(documents, kind):
    """Pairs of all documents, with the row of each."""
    pairs = [[row, *pair] for row, it in enumerate(documents) for pair in getattr(it, kind)]
    return torch.tensor(pairs, dtype=torch.long).view(-1, 3)


def mark_request(text, new, calls):
    """Where values of the calls stand in the request, if they stand there once."""
    asked = {}
    begin = text.index("<|im_start|>user\n")
    request = text[begin : text.index(chat.END, begin)]
    for call in calls:
        for value in json.loads(call["arguments"]).values():
            found = [*re.finditer(rf"(?<!\w){re.escape(literal(value))}(?!\w)", request)]
            if len(found) == 1:
                asked[literal(value)] = token_at(new, begin + found[0].start())
    return asked


def mark_tools(text, new, calls, tools):
    """Where the name of each tool begins, and 1 if it is called, else 0."""
    names = {}
    for it in tools:
        line = chat.signature(it)
        place = text.index("\n" + line) + 1 + line.index(" = ") + len(" = ")
        names[token_at(new, place)] = float(any(call["name"] == it["function"]["name"] for call in calls))
    return names
