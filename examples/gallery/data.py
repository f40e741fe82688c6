"""Data and starting values for the models of this folder, small enough to train in seconds.

    python examples/gallery/data.py lstm lstm.npz

One function a model: a random generator → every input, const and param by its name in code. They need numpy; `vae`
reads scikit-learn's digits.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

Arrays = dict[str, Any]
Rng = np.random.Generator


def weights(rng: Rng, *shape: int) -> Any:
    """Starting weights [out, …, in]: their sums over the last axis have about the size of what goes in."""
    return rng.normal(size=shape) / np.sqrt(shape[-1])


def lstm(rng: Rng) -> Arrays:
    """The adding problem: of T numbers two are marked, q* is their sum."""
    S, T, M, N = 256, 10, 2, 8
    value, mark = rng.uniform(0, 1, (S, T)), np.zeros((S, T))
    for s in range(S):
        mark[s, rng.choice(T, 2, replace=False)] = 1
    arrays = {"x": np.stack([value, mark], axis=2), "q_star": (value * mark).sum(axis=1)}
    for gate in "zifo":
        arrays |= {f"W_{gate}": weights(rng, N, M), f"R_{gate}": weights(rng, N, N), f"b_{gate}": np.zeros(N)}
    arrays |= {f"p_{gate}": np.zeros(N) for gate in "ifo"} | {"v": weights(rng, N), "v_0": 0.0}
    return {**arrays, "b_f": np.ones(N)}  # forget little at first


def gru(rng: Rng) -> Arrays:
    """A noisy sine, to be predicted one step ahead."""
    T, M, H = 80, 1, 8
    signal = np.sin(0.3 * np.arange(T + 1)) + rng.normal(scale=0.1, size=T + 1)
    arrays = {"x": signal[:-1, None], "y_star": signal[1:], "h0": np.zeros(H), "v": weights(rng, H), "v_0": 0.0}
    for gate in ("", "_r", "_z"):
        arrays |= {f"W{gate}": weights(rng, H, M), f"U{gate}": weights(rng, H, H), f"b{gate}": np.zeros(H)}
    return arrays


def batch_norm(rng: Rng) -> Arrays:
    """A disc (t = 1) in a ring (t = 0), far from the origin."""
    m, K, L = 120, 8, 2
    t = np.arange(m) % 2
    radius, angle = np.where(t, 0.5, 1.5) + rng.normal(scale=0.15, size=m), rng.uniform(0, 2 * np.pi, m)
    plane = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    start = {"W": weights(rng, K, L), "gamma": np.ones(K), "beta": np.zeros(K), "w": weights(rng, K), "b": 0.0}
    return {"u": plane * [1, 3] + [50, -20], "t": t.astype(float), "epsilon": 1e-5, **start}


def layer_norm(rng: Rng) -> Arrays:
    """Three patterns under light of very different strength."""
    N, H, M, K = 150, 10, 6, 3
    label = np.arange(N) % K + 1
    light = np.exp(rng.normal(scale=1.5, size=(N, 1)))
    x = light * (rng.uniform(0, 1, (K, M))[label - 1] + rng.normal(scale=0.1, size=(N, M)))
    start = {"W": weights(rng, H, M), "g": np.ones(H), "b": np.zeros(H), "V": weights(rng, K, H), "c": np.zeros(K)}
    return {"x": x, "label": label, **start}


def attention(rng: Rng) -> Arrays:
    """Every row holds a mark, a 1 and three numbers; y* are the numbers of the one row that is marked."""
    N, T, D, E = 64, 6, 4, 3
    numbers, marked = rng.normal(size=(N, T, E)), rng.integers(T, size=N)
    mark = (np.arange(T) == marked[:, None]).astype(float)
    x = np.concatenate([mark[:, :, None], np.ones((N, T, 1)), numbers], axis=2)
    C = x.shape[2]
    start = {"W_Q": weights(rng, D, C), "W_K": weights(rng, D, C), "W_V": weights(rng, E, C)}
    return {"x": x, "y_star": numbers[np.arange(N), marked], **start}


def causal_attention(rng: Rng) -> Arrays:
    """Words of three letters, each said over and over: the next letter is the one that stands two places back."""
    N, T, C, D, F, A = 40, 12, 8, 6, 8, 5
    text = np.tile(rng.integers(1, A + 1, (N, 3)), (1, T // 3 + 1))
    start = {"E": weights(rng, A, C), "R": weights(rng, T, C), "W_Q": weights(rng, D, C), "W_K": weights(rng, D, C)}
    start |= {"W_V": weights(rng, F, C), "U": weights(rng, A, F)}
    return {"w": text[:, :T], "next": text[:, 1 : T + 1], **start}


def bars(rng: Rng, kind: Any, size: int) -> Any:
    """Noisy square images of one bar: lying (kind 0), standing (1) or slanting (2)."""
    images = rng.normal(scale=0.2, size=(len(kind), size, size))
    for image, which in zip(images, kind, strict=True):
        at = int(rng.integers(1, size - 1))
        if which == 2:
            image += np.eye(size, k=at - size // 2)
        else:
            image[(at, slice(None)) if which == 0 else (slice(None), at)] += 1
    return images


def convolution(rng: Rng) -> Arrays:
    """Lying, standing and slanting bars."""
    N, I, A, P, C = 90, 6, 3, 4, 3
    label = np.arange(N) % C + 1
    images = bars(rng, label - 1, 2 * P + A - 2)
    start = {"K": rng.normal(size=(I, 1, A, A)) / A, "b": np.zeros(I)}
    start |= {"W": rng.normal(size=(C, I, P, P)) / (P * np.sqrt(I)), "d": np.zeros(C)}
    return {"V": images[:, None], "label": label, **start}


def max_pool(rng: Rng) -> Arrays:
    """Lying (t = 0) and standing (t = 1) bars."""
    N, K, A, P = 80, 4, 3, 3
    t = np.arange(N) % 2
    start = {"w": rng.normal(size=(K, A, A)) / A, "c": np.zeros(K), "v": rng.normal(size=(K, P, P)) / (P * np.sqrt(K)), "v_0": 0.0}
    return {"x": bars(rng, t, 2 * P + A - 1), "t": t.astype(float), **start}


def vae(rng: Rng) -> Arrays:
    """Handwritten digits of 8 x 8 pixels in 0..1."""
    from sklearn.datasets import load_digits

    x = load_digits().data[:200] / 16
    (N, D), J, H, G = x.shape, 2, 24, 24
    arrays = {"x": x, "epsilon": rng.normal(size=(N, J))}
    for layer, (out, of) in {"1": (G, J), "2": (D, G), "3": (H, D), "4": (J, H), "5": (J, H)}.items():
        arrays |= {f"W_{layer}": weights(rng, out, of), f"b_{layer}": np.zeros(out)}
    return arrays


GRAMMAR = (("the", "a"), ("cat", "dog", "bird"), ("sees", "hears"), ("the", "a"), ("tree", "house", "river"))
WORDS = tuple(dict.fromkeys(word for choice in GRAMMAR for word in choice))  # word 1 is WORDS[0]


def cbow(rng: Rng) -> Arrays:
    """Sentences such as "the cat sees a tree": the two words before and after one predict it."""
    sentences = [[WORDS.index(str(rng.choice(choice))) + 1 for choice in GRAMMAR] for _ in range(60)]
    text = np.array([word for sentence in sentences for word in sentence])
    middle = np.arange(2, len(text) - 2)
    context = text[middle[:, None] + [-2, -1, 1, 2]]
    D, V = 4, len(WORDS)
    return {"w_I": context, "w_O": text[middle], "W": weights(rng, V, D), "W_prime": weights(rng, D, V)}


def softmax_cross_entropy(rng: Rng) -> Arrays:
    """How often each letter occurs in a sentence; the best logits are the logarithms."""
    letters = [c for c in "the gradient of the loss by the logits is the difference of two distributions" if c.isalpha()]
    count = np.array([letters.count(c) for c in sorted(set(letters))])
    return {"t": count / count.sum(), "a": rng.normal(size=len(count))}


def residual_mlp(rng: Rng) -> Arrays:
    """Two spirals, one in the other."""
    N, L, M, D, H = 200, 3, 2, 6, 12
    t, along = np.arange(N) % 2, np.sqrt(rng.uniform(0.05, 1, N))
    angle = 3 * np.pi * along + np.pi * t
    u = (2 * along * [np.cos(angle), np.sin(angle)]).T + rng.normal(scale=0.03, size=(N, M))
    start = {"A": weights(rng, D, M), "V": weights(rng, L, H, D), "b": np.zeros((L, H)), "W": weights(rng, L, D, H) / L}
    return {"u": u, "t": t.astype(float), **start, "c": np.zeros((L, D)), "w": weights(rng, D), "w_0": 0.0}


def masked_factorisation(rng: Rng) -> Arrays:
    """Ratings that three factors explain up to noise; two in five are known."""
    U, I, F = 30, 20, 3
    r = rng.normal(size=(U, F)) @ rng.normal(size=(F, I)) + rng.normal(scale=0.1, size=(U, I))
    m = (rng.uniform(size=(U, I)) < 0.4).astype(float)
    return {"r": r * m, "m": m, "lambda": 0.02, "p": 0.5 * rng.normal(size=(U, F)), "q": 0.5 * rng.normal(size=(I, F))}


def pendulum(rng: Rng) -> Arrays:
    """Three swings seen every 0.05 s for 2 s, with γ = 0.4 and κ = 9; the fit starts from wrong ones, at rest."""
    N, T, h, fine = 3, 40, 0.05, 50
    theta, omega = rng.uniform(0.5, 1.5, N), rng.uniform(-1, 1, N)
    seen = np.zeros((N, T + 1))
    for step in range(T * fine + 1):
        if step % fine == 0:
            seen[:, step // fine] = theta
        omega = omega + h / fine * (-0.4 * omega - 9 * np.sin(theta))
        theta = theta + h / fine * omega
    seen += rng.normal(scale=0.01, size=seen.shape)
    return {"theta_star": seen[:, 1:], "h": h, "gamma": 0.1, "kappa": 6.0, "theta_0": seen[:, 0], "omega_0": np.zeros(N)}


MODELS: dict[str, Callable[[Rng], Arrays]] = {
    model.__name__: model
    for model in (
        attention, batch_norm, causal_attention, cbow, convolution, gru, layer_norm, lstm, masked_factorisation, max_pool,
        pendulum, residual_mlp, softmax_cross_entropy, vae,
    )
}  # fmt: skip


def arrays(name: str, seed: int = 0) -> Arrays:
    return MODELS[name](np.random.default_rng(seed))


def main() -> None:
    parser = argparse.ArgumentParser(description="Write data and starting values for a model of the gallery.")
    parser.add_argument("name", choices=MODELS, help="the model")
    parser.add_argument("out", help="the .npz file to write")
    parser.add_argument("--seed", type=int, default=0, help="of the data and the starting values; default 0")
    given = parser.parse_args()
    if given.seed < 0:
        parser.error("--seed must not be negative")
    try:
        np.savez(given.out, **arrays(given.name, given.seed))
    except ModuleNotFoundError:
        parser.exit(2, "the digits come with scikit-learn, which is not installed: pip install scikit-learn\n")
    except OSError as error:
        parser.exit(2, f"{given.out} cannot be written: {error.strerror}\n")


if __name__ == "__main__":
    main()
