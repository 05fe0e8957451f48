"""Qwen 3 as a module of PyTorch, under the names that checkpoints of it have."""

import torch
from torch import nn
from torch.nn import functional as F

CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 160,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 32,
    "intermediate_size": 384,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "max_position_embeddings": 1024,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "use_sliding_window": False,
    "torch_dtype": "bfloat16",
}


# Clients often send no temperature, which means 1; a small model answers best near 0. Logits of a checkpoint
# are so many times as large as in training, which makes 1 what would be a quarter, and the likeliest token stays
# the same.
SHARPER = 4.0

# The layer of two heads that are told in training where to look.
LOOKING = 4
# Of their groups the first heads: one looks at the name of the tool that is called, one at values in the request.
AT_NAME, AT_VALUE = 0, 1


class Norm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


def rotate(x, cos, sin):
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        width, size = c["hidden_size"], c["head_dim"]
        self.heads, self.kv_heads, self.size = c["num_attention_heads"], c["num_key_value_heads"], size
        self.q_proj = nn.Linear(width, self.heads * size, bias=False)
        self.k_proj = nn.Linear(width, self.kv_heads * size, bias=False)
        self.v_proj = nn.Linear(width, self.kv_heads * size, bias=False)
        self.o_proj = nn.Linear(self.heads * size, width, bias=False)
        self.q_norm = Norm(size, c["rms_norm_eps"])
        self.k_norm = Norm(size, c["rms_norm_eps"])

    def looks(self, x, cos, sin, group):
        """How much the first head of a group is drawn from each place to each, before the softmax."""
        first = group * (self.heads // self.kv_heads)
        q = self.q_norm(F.linear(x, self.q_proj.weight[first * self.size :][: self.size]))
        k = self.k_norm(F.linear(x, self.k_proj.weight[group * self.size :][: self.size]))
        return rotate(q, cos, sin) @ rotate(k, cos, sin).mT * self.size**-0.5

    def forward(self, x, cos, sin):
        rows, length, _ = x.shape
        q = self.q_norm(self.q_proj(x).view(rows, length, self.heads, self.size)).transpose(1, 2)
        k = self.k_norm(self.k_proj(x).view(rows, length, self.kv_heads, self.size)).transpose(1, 2)
        v = self.v_proj(x).view(rows, length, self.kv_heads, self.size).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        groups = self.heads // self.kv_heads
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(out.transpose(1, 2).reshape(rows, length, -1))


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        width, inner = c["hidden_size"], c["intermediate_size"]
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm = Norm(c["hidden_size"], c["rms_norm_eps"])
        self.self_attn = Attention(c)
        self.post_attention_layernorm = Norm(c["hidden_size"], c["rms_norm_eps"])
        self.mlp = Mlp(c)

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Words(nn.Module):
    """The embedding of pieces, and what a space before one and a capital letter add to it."""

    def __init__(self, factors, width):
        super().__init__()
        pieces = sorted({piece for piece, _, _ in factors})
        rows = {piece: row for row, piece in enumerate(pieces)}
        self.weight = nn.Parameter(torch.empty(len(pieces), width).normal_(std=0.5))
        self.forms = nn.Parameter(torch.zeros(2, width))
        self.register_buffer("rows", torch.tensor([rows[piece] for piece, _, _ in factors]), persistent=False)
        self.register_buffer("marks", torch.tensor([form for _, *form in factors]).float(), persistent=False)

    def table(self):
        """The embedding of each token."""
        return self.weight[self.rows] + self.marks @ self.forms


class Decoder(nn.Module):
    def __init__(self, c, factors):
        super().__init__()
        self.words = Words(factors, c["hidden_size"])
        self.layers = nn.ModuleList(Layer(c) for _ in range(c["num_hidden_layers"]))
        self.norm = Norm(c["hidden_size"], c["rms_norm_eps"])


class Qwen3(nn.Module):
    def __init__(self, c, factors):
        super().__init__()
        self.model = Decoder(c, factors)
        places = torch.arange(c["max_position_embeddings"], dtype=torch.float32)
        steps = torch.arange(0, c["head_dim"], 2, dtype=torch.float32) / c["head_dim"]
        angles = torch.outer(places, c["rope_theta"] ** -steps)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for name, weight in self.model.layers.named_parameters():
            if weight.dim() == 2:
                last = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(weight, std=0.0 if last else weight.shape[1] ** -0.5)

    def forward(self, tokens, places):
        """The logits of what follows the places, the residual before the layer LOOKING, how two heads of it look."""
        table = self.model.words.table()
        x = F.embedding(tokens, table)
        cos, sin = self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]]
        for layer in self.model.layers[:LOOKING]:
            x = layer(x, cos, sin)
        middle, layer = x, self.model.layers[LOOKING]
        seen = layer.input_layernorm(x)
        looks = [layer.self_attn.looks(seen, cos, sin, group) for group in (AT_NAME, AT_VALUE)]
        for layer in self.model.layers[LOOKING:]:
            x = layer(x, cos, sin)
        return F.linear(self.model.norm(x)[places], table), middle, looks

    def weights(self):
        """The weights under the names of a checkpoint, where each token has an embedding of its own."""
        inside = {name: weight for name, weight in self.state_dict().items() if name.startswith("model.layers.")}
        return {"model.embed_tokens.weight": self.model.words.table(), **inside,
                "model.norm.weight": self.model.norm.weight * SHARPER}

    @torch.no_grad()
    def take(self, weights):
        """Takes the weights of a checkpoint, the inverse of `weights`."""
        table, words = weights.pop("model.embed_tokens.weight").float(), self.model.words
        marked = words.marks.sum(1)
        words.weight[words.rows[marked == 0]] = table[marked == 0]
        more = table - words.weight[words.rows]
        for form, mark in zip(words.forms, words.marks.T):
            form.copy_(more[(mark == 1) & (marked == 1)].mean(0))
        weights["model.norm.weight"] = weights["model.norm.weight"] / SHARPER
        self.load_state_dict(weights, strict=False)
