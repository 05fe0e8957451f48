"""Muon: momentum whose step is made orthogonal, for the matrices inside a model.

In f32, which is the fast type on a CPU, and with matrices of one shape in one product.
"""

import collections

import torch

# Newton-Schulz of degree five, with the usual coefficients: quick rather than exact.
A, B, C = 3.4445, -4.7750, 2.0315


def orthogonal(x, rounds=5):
    """The nearest matrices with singular values near one, of a stack of matrices."""
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(rounds):
        square = x @ x.mT
        x = A * x + (B * square + C * square @ square) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters, lr, momentum=0.95, decay=0.1):
        super().__init__(list(parameters), {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            shapes = collections.defaultdict(list)
            for p in group["params"]:
                shapes[p.shape].append(p)
            for shape, same in shapes.items():
                steps = []
                for p in same:
                    state = self.state[p]
                    mean = state.setdefault("mean", torch.zeros_like(p))
                    mean.lerp_(p.grad, 1 - group["momentum"])
                    steps.append(p.grad.lerp(mean, group["momentum"]))
                steps = orthogonal(torch.stack(steps))
                scale = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                for p, step in zip(same, steps):
                    p.mul_(1 - group["lr"] * group["decay"])
                    p.add_(step, alpha=-scale)
