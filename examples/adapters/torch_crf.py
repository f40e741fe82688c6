"""A layer of PyTorch under a loss in index notation: a conditional random field, whose recurrence is compiled.

The scores s[t,k] come from a linear layer of PyTorch; the loss is the negative logarithm of the labels' probability
(Lafferty, McCallum & Pereira 2001), with the sum over all label sequences by the forward recurrence. Its gradient
goes back into the layer.

    python examples/adapters/torch_crf.py
"""

from __future__ import annotations

import torch

import symgrad as sg

FIELD = """
index t in 1..T, j, k in 1..K
input s[t,k], c[t] in 1..K
param A[j,k]
f[1,k] = s[1,k]
f[t,k] = s[t,k] + logsumexp(f[t-1,j] + A[j,k] for j)  for t in 2..T
J = logsumexp(f[T,k] for k) - sum(s[t,c[t]] for t) - sum(A[c[t-1],c[t]] for t in 2..T)
minimize J
"""
LABELS = 3


def data(steps: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels that tend to stay as they are, and noisy features of them."""
    random = torch.Generator().manual_seed(0)
    labels = [0]
    for _ in range(steps - 1):
        stays = torch.rand((), generator=random) < 0.85
        labels.append(labels[-1] if stays else int(torch.randint(LABELS, (), generator=random)))
    found = torch.tensor(labels)
    noise = torch.randn(steps, LABELS, generator=random, dtype=torch.float64)
    return torch.nn.functional.one_hot(found, LABELS) + 0.7 * noise, found + 1


def train(steps: int = 80) -> tuple[list[float], torch.Tensor]:
    """The loss at every step, and the weights between neighbours."""
    torch.manual_seed(0)
    features, labels = data()
    layer = torch.nn.Linear(LABELS, LABELS, dtype=torch.float64)
    between = torch.zeros(LABELS, LABELS, dtype=torch.float64, requires_grad=True)
    field = sg.adapters.torch.function(sg.parse(FIELD), wrt=["s", "A"])
    optimizer = torch.optim.Adam([*layer.parameters(), between], lr=0.1)
    history = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = field(s=layer(features), A=between, c=labels)
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    return history, between.detach()


if __name__ == "__main__":
    history, between = train()
    print(f"-log p: {history[0]:.2f} → {history[-1]:.2f}")
    print(f"weights between neighbours:\n{between.numpy().round(2)}")
