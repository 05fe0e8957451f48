"""What training asks for on the way, so that a small model soon finds what an answer rests on.

An answer tells little about how it is found: which tool is called, and which fact is asked for, is one
token each of a whole conversation. So half-way through the layers, where all of the request has been
read, small classifiers have to find both, and two heads are told where to look: at the name of the tool
that is called, and at the places in the request that values are copied from. None of it is exported.
"""

import torch
from torch import nn
from torch.nn import functional as F

# What the answers, the tools, the facts, and the looks at names and at values count.
SHARES = torch.tensor([1.0, 1.0, 0.5, 0.5, 0.5])


class Hints(nn.Module):
    def __init__(self, width, facts):
        super().__init__()
        self.called = nn.Linear(width, 1)
        self.fact = nn.Linear(width, facts)

    def forward(self, batch, middle, looks):
        """The losses, in the order of SHARES but for the first."""
        middle = F.rms_norm(middle, middle.shape[-1:])
        called = self.called(middle[batch.names]).squeeze(-1)
        row, place, fact = batch.facts.T
        return [
            F.binary_cross_entropy_with_logits(called, batch.called, reduction="sum") / max(1, len(called)),
            F.cross_entropy(self.fact(middle[row, place]), fact, reduction="sum") / max(1, len(fact)),
            look_loss(looks[0], batch.choices),
            look_loss(looks[1], batch.copies),
        ]


def look_loss(looks, places):
    """The loss of a head that is to look from some places at others."""
    row, place, target = places.T
    # A place sees none that come after it.
    later = torch.arange(looks.shape[-1]) > place[:, None]
    losses = F.cross_entropy(looks[row, place].masked_fill(later, float("-inf")), target, reduction="sum")
    return losses / max(1, len(target))
