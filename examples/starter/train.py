"""Trains the starter model.

    python3 train.py --out run --minutes 110 --seed 1

Writes to the folder: tokenizer.json, checkpoint.pt (the newest), loss.csv and loss.svg. A run that
was stopped goes on from the checkpoint. `export.py` makes a model of it.
"""

import argparse
import math
import os
import random
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import distributed, multiprocessing
from torch.nn import functional as F

import chat
import curve
import facts
import start
import tokenizer as bpe
from generate import Generator
from model import CONFIG, Qwen3
from muon import Muon

POOL = 1024          # documents that are sorted by length to fill batches of even length
LENGTH_MAX = 320     # tokens; longer documents are passed over


def make_tokenizer(path, seed, size):
    """Writes the tokenizer of the run on its first start."""
    if not path.exists():
        generator = Generator(seed + 1_000_000)
        texts = [chat.text(*generator.one()) for _ in range(12_000)]
        texts += [fact["answer"] + "\n" + "\n".join(fact["train"]) for fact in facts.read()] * 8
        bpe.train(texts, size).save(str(path))


class Batches:
    """Batches of documents of like length, in random order."""

    def __init__(self, tokenizer, seed, tokens, early):
        self.tokenizer, self.tokens, self.early = tokenizer, tokens, early
        self.generator = Generator(seed)
        self.order = random.Random(seed)
        self.ready = []

    def encode(self, messages, tools):
        ids, learned = [], []
        for text, learn in chat.pieces(messages, tools):
            new = self.tokenizer.encode(text, add_special_tokens=False).ids
            ids += new
            learned += [learn] * len(new)
        return ids, learned

    def fill(self):
        pool = []
        while len(pool) < POOL:
            ids, learned = self.encode(*self.generator.one(self.early()))
            if len(ids) <= LENGTH_MAX:
                pool.append((ids, learned))
        pool.sort(key=lambda it: len(it[0]))
        at = 0
        while at < len(pool):
            count = 1
            while at + count < len(pool) and (count + 1) * len(pool[at + count][0]) <= self.tokens:
                count += 1
            self.ready.append(pool[at : at + count])
            at += count
        self.order.shuffle(self.ready)

    def one(self):
        """Tokens, the places whose next token is learned, and those next tokens."""
        if not self.ready:
            self.fill()
        documents = self.ready.pop()
        width = max(len(ids) for ids, _ in documents)
        tokens = torch.zeros(len(documents), width, dtype=torch.long)
        learned = torch.zeros(len(documents), width, dtype=torch.bool)
        for row, (ids, mask) in enumerate(documents):
            tokens[row, : len(ids)] = torch.tensor(ids)
            learned[row, : len(ids)] = torch.tensor(mask)
        places = learned[:, 1:]
        return tokens[:, :-1], places, tokens[:, 1:][places]


def rate(progress, warm=0.01, fall=0.35):
    """Share of the learning rate: a short rise, a plateau, then a fall to nothing as a cosine."""
    if progress < warm:
        return 0.05 + 0.95 * progress / warm
    if progress < 1 - fall:
        return 1.0
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - 1 + fall) / fall)))


def optimizers(model, args):
    """Muon for the matrices inside, AdamW for the embedding and the norms, each with its rate."""
    named = list(model.named_parameters())
    inside = [p for name, p in named if p.dim() == 2 and "embed" not in name]
    others = [p for name, p in named if p.dim() != 2 or "embed" in name]
    return [
        (Muon(inside, lr=args.rate), args.rate),
        (torch.optim.AdamW(others, lr=args.rate / 12, betas=(0.9, 0.95), weight_decay=0.0), args.rate / 12),
    ]


def save(path, model, steppers, state):
    part = path.with_suffix(".part")
    torch.save({"model": model.state_dict(), "steppers": [it.state_dict() for it, _ in steppers], "state": state}, part)
    part.replace(path)


def load(path, model, steppers):
    saved = torch.load(path)
    model.load_state_dict(saved["model"])
    for (stepper, _), old in zip(steppers, saved["steppers"]):
        stepper.load_state_dict(old)
    return saved["state"]


def learn(model, batches, args):
    """Adds up the gradients of one worker's share of a batch; answers loss and tokens."""
    parts = [batches.one() for _ in range(args.parts)]
    learned = sum(len(wanted) for _, _, wanted in parts)
    total = 0.0
    for tokens, places, wanted in parts:
        logits = model.logits(model.hidden(tokens)[places])
        loss = F.cross_entropy(logits, wanted, reduction="sum") / learned
        loss.backward()
        total += loss.item()
    return total, sum(tokens.numel() for tokens, _, _ in parts)


def share_gradients(model, figures, workers):
    """Averages the gradients of all workers, and adds up figures on the way."""
    grads = [p.grad for p in model.parameters()]
    flat = torch.cat([*(grad.flatten() for grad in grads), torch.tensor(figures)])
    if workers > 1:
        distributed.all_reduce(flat)
    at = 0
    for grad in grads:
        grad.copy_(flat[at : at + grad.numel()].view_as(grad) / workers)
        at += grad.numel()
    return flat[at:].tolist()


def worker(rank, args):
    torch.set_num_threads(1)
    if args.workers > 1:
        distributed.init_process_group("gloo", init_method=f"file://{args.meeting}", rank=rank, world_size=args.workers)
    torch.manual_seed(args.seed)
    tokenizer = Tokenizer.from_file(str(args.out / "tokenizer.json"))
    config = {**CONFIG, "vocab_size": tokenizer.get_vocab_size()}
    model = Qwen3(config)
    start.prepare(model, config)
    steppers = optimizers(model, args)
    checkpoint = args.out / "checkpoint.pt"
    state = {"step": 0, "spent": 0.0, "seen": 0}
    if checkpoint.exists():
        state = load(checkpoint, model, steppers)
        if rank == 0:
            forget_after(args.out / "loss.csv", state["step"])
    elif rank == 0:
        print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    limit = args.minutes * 60
    batches = Batches(tokenizer, args.seed * 1000 + state["step"] * args.workers + rank, args.batch_tokens,
                      lambda: state["spent"] < args.early * limit)
    last, saved, losses = time.monotonic(), time.monotonic(), []
    while state["spent"] < limit:
        loss, tokens = learn(model, batches, args)
        now = time.monotonic()
        loss, tokens, spent = share_gradients(model, [loss, float(tokens), now - last], args.workers)
        last = now
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepper, most in steppers:
            stepper.param_groups[0]["lr"] = most * rate(state["spent"] / limit)
            stepper.step()
            stepper.zero_grad()
        state = {"step": state["step"] + 1, "spent": state["spent"] + spent / args.workers,
                 "seen": state["seen"] + int(tokens)}
        losses.append(loss / args.workers)
        if rank == 0 and len(losses) == 20:
            report(args.out / "loss.csv", state, sum(losses) / len(losses))
            losses.clear()
        if rank == 0 and (now - saved > 90 or state["spent"] >= limit):
            saved = now
            save(checkpoint, model, steppers, state)


def forget_after(path, step):
    """Drops the lines of steps that were lost when a run was stopped."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if int(line.split(",")[0]) <= step), encoding="utf-8")


def report(path, state, loss):
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{state['step']},{state['spent']:.0f},{state['seen']},{loss:.4f}\n")
    print(f"step {state['step']}, {state['spent']:.0f} s, {state['seen']:,} tokens, loss {loss:.4f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=110)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes, each with one thread")
    parser.add_argument("--vocabulary", type=int, default=2528)
    parser.add_argument("--batch-tokens", type=int, default=1536, help="tokens of a part of a batch")
    parser.add_argument("--parts", type=int, default=2, help="parts of a worker's batch, of different lengths")
    parser.add_argument("--rate", type=float, default=0.016, help="learning rate of the matrices")
    parser.add_argument("--early", type=float, default=0.1, help="share of the time with the early mix")
    args = parser.parse_args()
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    make_tokenizer(args.out / "tokenizer.json", args.seed, args.vocabulary)
    args.meeting = args.out / f"meeting-{os.getpid()}"
    multiprocessing.spawn(worker, (args,), nprocs=args.workers)
    args.meeting.unlink(missing_ok=True)
    curve.draw(args.out / "loss.csv", args.out / "loss.svg")


if __name__ == "__main__":
    main()
