"""Where training starts: some heads already do what copying needs.

To go on with a text that stood before, a model has to find the place where the present tokens stood
and to look at what came after them. That takes two layers, and a small model finds the pair late,
because neither is of use alone. So the first layer starts with two heads that look one and two tokens
back, and the second with one that compares the last two tokens with what those have found and writes
the token it sees. So do the two heads that training tells where to look, see `hints.py`. All of it is
trained like any other weight.

A part of the residual is kept free for this at the start: one constant value, by which a head can
look at a place instead of a word, and the marks of the two tokens before.
"""

import torch

from model import AT_NAME, AT_VALUE, LOOKING

CONSTANT = 2.5       # of each embedding, in the first value
MARKS = 10           # values that tell tokens apart
SHARPNESS = 2.2      # of the places in the first layer
MATCH = 2.0          # of the comparison in the second layer
SECOND = 0.7         # what the token before the last counts in it
LOUDNESS = 0.12      # of what is written
KEPT = 0.75          # of the marks of the tokens before
SEEN = 2.5           # of a token that is written again


@torch.no_grad()
def prepare(model, config):
    width, size = config["hidden_size"], config["head_dim"]
    table = model.model.words.weight
    table[:, 0] = CONSTANT
    before = [slice(1 + at * MARKS, 1 + (at + 1) * MARKS) for at in range(2)]
    words = slice(1 + 2 * MARKS, width)
    table[:, 1 : words.start] = 0.0
    model.model.norm.weight.fill_(LOUDNESS)
    free = width - words.start
    marks = torch.randn(MARKS, free) / free**0.5
    look_back(model.model.layers[0].self_attn, config, words, before, marks)
    second = model.model.layers[1].self_attn
    second.q_norm.weight.fill_(MATCH)
    second.k_norm.weight.fill_(MATCH)
    one, two = slow(size)
    q = torch.zeros(size, width)
    q[one, words] = marks
    q[two, before[0]] = SECOND * torch.eye(MARKS)
    second.q_proj.weight[:size] = q
    k = torch.zeros(size, width)
    k[one, before[0]] = torch.eye(MARKS)
    k[two, before[1]] = torch.eye(MARKS)
    second.k_proj.weight[:size] = k
    looking = model.model.layers[LOOKING].self_attn
    for attention, group in ((second, 0), (looking, AT_NAME), (looking, AT_VALUE)):
        write_seen(attention, group, words, torch.linalg.qr(torch.randn(free, size))[0].T)


def write_seen(attention, group, words, seen):
    """The first head of a group writes what it sees as the token itself."""
    size = attention.size
    first = group * (attention.heads // attention.kv_heads)
    kept = slice(group * size, (group + 1) * size)
    attention.v_proj.weight[kept] = 0.0
    attention.v_proj.weight[kept, words] = seen
    attention.o_proj.weight[words, first * size : (first + 1) * size] = SEEN * seen.T


def slow(size):
    """Places of a head's values for two marks. Only pairs that turn slowly compare alike over a distance."""
    half = size // 2
    pairs = list(range(half - MARKS, half))
    return [[pair + side for pair in part for side in (0, half)] for part in (pairs[::2], pairs[1::2])]


def look_back(first, config, words, before, marks):
    """The first two heads of the first layer, which share their keys, look back and keep the marks of what is there."""
    size = config["head_dim"]
    half = size // 2
    fast = torch.arange(3)
    turn = config["rope_theta"] ** (-fast / half)
    first.q_norm.weight.fill_(SHARPNESS)
    first.k_norm.weight.fill_(SHARPNESS)
    first.k_proj.weight[:size] = 0.0
    first.k_proj.weight[fast, 0] = 1.0
    first.v_proj.weight[:MARKS] = 0.0
    first.v_proj.weight[:MARKS, words] = marks
    for head, kept in enumerate(before):
        at = slice(head * size, (head + 1) * size)
        q = torch.zeros(size, config["hidden_size"])
        q[fast, 0] = (turn * (head + 1)).cos()
        q[fast + half, 0] = -(turn * (head + 1)).sin()
        first.q_proj.weight[at] = q
        first.o_proj.weight[:, at] = 0.0
        first.o_proj.weight[kept, head * size : head * size + MARKS] = KEPT * torch.eye(MARKS)
