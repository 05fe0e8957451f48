"""Where training starts: two heads already do what copying needs.

To go on with a text that stood before, a model has to find the place where the present token stood
and to look at what came after it. That takes two heads, one after the other, and a small model finds
the pair late, because neither is of use alone. So the first layer starts with a head that looks one
token back, and the second with one that compares the present token with what the first has found and
writes the token it sees. All of it is trained like any other weight.

A part of the residual is kept free for this at the start: one constant value, by which a head can
look at a place instead of a word, and the marks of the token before.
"""

import torch

CONSTANT = 0.1       # of each embedding, in the first value
MARKS = 18           # values that tell tokens apart
SHARPNESS = 1.5      # of the places in the first layer
MATCH = 2.0          # of the comparison in the second layer
LOUDNESS = 3.0       # of what is written


@torch.no_grad()
def prepare(model, config):
    width, size = config["hidden_size"], config["head_dim"]
    half = size // 2
    table = model.model.embed_tokens.weight
    table[:, 0] = CONSTANT
    before = slice(1, 1 + MARKS)
    words = slice(1 + MARKS, width)
    table[:, before] = 0.0
    model.model.norm.weight.fill_(LOUDNESS)
    marks = torch.randn(MARKS, width - 1 - MARKS) / (width - 1 - MARKS) ** 0.5
    look_back(model.model.layers[0].self_attn, config, words, before, marks)
    # Only pairs that turn slowly compare alike over a distance.
    slow = [place + side for side in (0, half) for place in range(half - MARKS // 2, half)]
    second = model.model.layers[1].self_attn
    second.q_norm.weight.fill_(MATCH)
    second.k_norm.weight.fill_(MATCH)
    q = torch.zeros(size, width)
    q[slow, words.start :] = marks
    second.q_proj.weight[:size] = q
    k = torch.zeros(size, width)
    k[slow, before.start : before.stop] = torch.eye(MARKS)
    second.k_proj.weight[:size] = k
    # What it sees it writes as the token itself.
    seen = torch.linalg.qr(torch.randn(width - 1 - MARKS, size))[0].T
    second.v_proj.weight[:size] = 0.0
    second.v_proj.weight[:size, words] = seen
    second.o_proj.weight[:, :size] = 0.0
    second.o_proj.weight[words, :size] = 0.3 * seen.T


def look_back(first, config, words, before, marks):
    """The first head of the first layer looks one token back and keeps the marks of what is there."""
    size = config["head_dim"]
    half = size // 2
    fast = torch.arange(3)
    turn = config["rope_theta"] ** (-fast / half)
    first.q_norm.weight.fill_(SHARPNESS)
    first.k_norm.weight.fill_(SHARPNESS)
    first.q_proj.weight[:size] = 0.0
    first.q_proj.weight[fast, 0] = 1.0
    first.k_proj.weight[:size] = 0.0
    first.k_proj.weight[fast, 0] = turn.cos()
    first.k_proj.weight[fast + half, 0] = turn.sin()
    first.v_proj.weight[:MARKS] = 0.0
    first.v_proj.weight[:MARKS, words] = marks
    first.o_proj.weight[:, :size] = 0.0
    first.o_proj.weight[before, :MARKS] = 0.03 * torch.eye(MARKS)
