"""Trains the starter model.

    python3 train.py --out run --minutes 110 --seed 1

Writes to the folder: tokenizer.json, checkpoint.pt (the newest), loss.csv and loss.svg. A run that
was stopped goes on from the checkpoint. `export.py` makes a model of it.
"""

import argparse
import math
import os
import shutil
import time
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import distributed, multiprocessing
from torch.nn import functional as F

import chat
import curve
import facts
import start
import tokenizer as bpe
from batches import Batches
from generate import Generator
from hints import SHARES, Hints
from model import CONFIG, Qwen3
from muon import Muon


def make_tokenizer(path, seed, size, exported):
    """Writes the tokenizer of the run on its first start: that of the exported model, or a new one."""
    if path.exists():
        return
    if exported:
        shutil.copy(exported / "tokenizer.json", path)
    else:
        generator = Generator(seed + 1_000_000)
        texts = [chat.text(*generator.one()) for _ in range(12_000)]
        texts += [fact["answer"] + "\n" + "\n".join(fact["train"]) for fact in facts.read()] * 8
        bpe.train(texts, size).save(str(path))


def rate(progress, warm=0.01, fall=0.8):
    """Share of the learning rate: a short rise, a plateau, then a fall to nothing as a cosine."""
    if progress < warm:
        return 0.05 + 0.95 * progress / warm
    if progress < 1 - fall:
        return 1.0
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - 1 + fall) / fall)))


def optimizers(model, hints, args):
    """Muon for the matrices inside, AdamW for the embedding, the norms and the hints, each with its rate."""
    named = list(model.named_parameters())
    inside = [p for name, p in named if p.dim() == 2 and ".layers." in name]
    others = [p for name, p in named if p.dim() != 2 or ".layers." not in name] + list(hints.parameters())
    return [
        (Muon(inside, lr=args.rate), args.rate),
        (torch.optim.AdamW(others, lr=args.rate / 3, betas=(0.9, 0.95), weight_decay=0.0), args.rate / 3),
    ]


def save(path, model, hints, steppers, state):
    part = path.with_suffix(".part")
    torch.save({"model": model.state_dict(), "hints": hints.state_dict(),
                "steppers": [it.state_dict() for it, _ in steppers], "state": state}, part)
    part.replace(path)


def load(path, model, hints, steppers):
    saved = torch.load(path)
    model.load_state_dict(saved["model"])
    hints.load_state_dict(saved["hints"])
    for (stepper, _), old in zip(steppers, saved["steppers"]):
        stepper.load_state_dict(old)
    return saved["state"]


def learn(model, hints, batch):
    """Adds up the gradients of a batch; answers its losses and tokens."""
    logits, middle, looks = model(batch.tokens, batch.places)
    answers = F.cross_entropy(logits, batch.wanted, reduction="none") @ batch.weights / batch.weights.sum()
    losses = torch.stack([answers, *hints(batch, middle, looks)])
    (losses @ SHARES).backward()
    return [*losses.tolist(), float(batch.tokens.numel())]


def share_gradients(parameters, figures, workers):
    """Averages the gradients of all workers, and adds up figures on the way."""
    grads = [p.grad for p in parameters]
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
    model = Qwen3(config, bpe.factors(tokenizer))
    start.prepare(model, config)
    hints = Hints(config["hidden_size"], len(facts.read()))
    steppers = optimizers(model, hints, args)
    checkpoint = args.out / "checkpoint.pt"
    state = {"step": 0, "spent": 0.0, "seen": 0}
    if checkpoint.exists():
        state = load(checkpoint, model, hints, steppers)
        if rank == 0:
            forget_after(args.out / "loss.csv", state["step"])
    elif args.start:
        model.take(load_file(args.start / "model.safetensors"))
    if rank == 0:
        print(f"{sum(weight.numel() for weight in model.weights().values()):,} parameters", flush=True)
    limit = args.minutes * 60
    parameters = [*model.parameters(), *hints.parameters()]
    batches = Batches(tokenizer, args.seed * 1000 + state["step"] * args.workers + rank, args.batch_tokens,
                      lambda: state["spent"] < args.early * limit)
    last, saved, losses = time.monotonic(), time.monotonic(), []
    while state["spent"] < limit:
        figures = learn(model, hints, batches.one())
        now = time.monotonic()
        *those, tokens, spent = share_gradients(parameters, [*figures, now - last], args.workers)
        last = now
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for stepper, most in steppers:
            stepper.param_groups[0]["lr"] = most * rate(state["spent"] / limit)
            stepper.step()
            stepper.zero_grad()
        state = {"step": state["step"] + 1, "spent": state["spent"] + spent / args.workers,
                 "seen": state["seen"] + int(tokens)}
        losses.append([loss / args.workers for loss in those])
        if rank == 0 and len(losses) == 20:
            report(args.out / "loss.csv", state, *(sum(kind) / len(losses) for kind in zip(*losses)))
            losses.clear()
        if rank == 0 and (now - saved > 90 or state["spent"] >= limit):
            saved = now
            save(checkpoint, model, hints, steppers, state)


def forget_after(path, step):
    """Drops the lines of steps that were lost when a run was stopped."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if int(line.split(",")[0]) <= step), encoding="utf-8")


def report(path, state, loss, *others):
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{state['step']},{state['spent']:.0f},{state['seen']},{loss:.4f}\n")
    named = zip(("tools", "facts", "at name", "at value"), others)
    print(f"step {state['step']}, {state['spent']:.0f} s, {state['seen']:,} tokens, loss {loss:.4f}; "
          + ", ".join(f"{name} {other:.3f}" for name, other in named), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="an exported model to begin with")
    parser.add_argument("--minutes", type=float, default=110)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes, each with one thread")
    parser.add_argument("--vocabulary", type=int, default=2000,
                        help="pieces, which make about four times as many tokens")
    parser.add_argument("--batch-tokens", type=int, default=1536, help="tokens of a worker's batch")
    parser.add_argument("--rate", type=float, default=0.012, help="learning rate of the matrices")
    parser.add_argument("--early", type=float, default=0.08, help="share of the time with the early mix")
    args = parser.parse_args()
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    make_tokenizer(args.out / "tokenizer.json", args.seed, args.vocabulary, args.start)
    args.meeting = args.out / f"meeting-{os.getpid()}"
    multiprocessing.spawn(worker, (args,), nprocs=args.workers)
    args.meeting.unlink(missing_ok=True)
    curve.draw(args.out / "loss.csv", args.out / "loss.svg")


if __name__ == "__main__":
    main()
