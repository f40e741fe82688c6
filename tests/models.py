# ruff: noqa: E501  (a model on one line)
"""The table of models that every test crosses with every check: text → Program, and SymPy → the same Program.

>>> program = parse(MODELS["S2"].text)
>>> {name: np.shape(array) for name, array in random_arrays(program, np.random.default_rng(0), {"D": 4}).items()}
{'x': (5,), 'y_star': (), 'theta': (5,)}

S1 … S7 are the slides' models; the others go beyond them, one feature each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy as sp

from symgrad.core.program import Index, Program
from symgrad.frontend.sympy import from_sympy
from symgrad.frontend.text import parse

Interval = tuple[float, float]


@dataclass(frozen=True)
class Model:
    """`sizes` are extents that the model needs; `intervals` of random values, where (0.1, 0.9) will not do."""

    name: str
    text: str
    sympy: Callable[[], Program] | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    intervals: Mapping[str, Interval] = field(default_factory=dict)

    def program(self) -> Program:
        return parse(self.text)

    def arrays(self, rng: np.random.Generator) -> dict[str, Any]:
        return random_arrays(self.program(), rng, self.sizes, self.intervals)


def extent_symbols(program: Program) -> list[Any]:
    """The symbols in the extents of the given arrays and in all ranges, by name."""
    indices: Iterable[Index] = [axis for tensor in program.tensors.values() for axis in tensor.axes]
    indices = [*indices, *program.ranges.values(), *(index for statement in program for index in statement.domain)]
    inner = {index.symbol for index in indices}
    return sorted({s for index in indices for s in (index.lo + index.hi).free_symbols} - inner, key=str)


def random_arrays(
    program: Program,
    rng: np.random.Generator,
    sizes: Mapping[str, int] | None = None,
    intervals: Mapping[str, Interval] | None = None,
) -> dict[str, Any]:
    """Random values for all that is given: a float for a scalar, else an array with one axis an index.

    `sizes` maps extent names (`D`, or `|i|` for the values of an undeclared index) to numbers; the others get
    3, 4, 5, … in the order of their names, all different, so that a transposed axis shows.
    """
    given = dict(sizes or {})
    free = (n for n in range(3, 100) if n not in given.values())
    values = {symbol: given[str(symbol)] if str(symbol) in given else next(free) for symbol in extent_symbols(program)}
    arrays: dict[str, Any] = {}
    for name in program.free:
        shape = tuple(int(extent.subs(values)) for extent in program.tensors[name].extents)
        if (ends := program.tensors[name].values) is not None:
            low, high = (int(end.subs(values)) for end in ends)
            arrays[name] = rng.integers(low, high + 1, shape)[()]
            continue
        low, high = (intervals or {}).get(name, (0.1, 0.9))
        arrays[name] = rng.uniform(low, high, shape) if shape else float(rng.uniform(low, high))
    return arrays


# the slides' models, as SymPy writes them

J, a, b, u, x, y, t, w, D, M, K = sp.symbols("J a b u x y t w D M K")
y_star = sp.Symbol("y^*")
u_1, u_2 = sp.symbols("u_1 u_2")
X, Z, A, B, P = (sp.IndexedBase(name) for name in ("x", "z", "a", "b", "y"))
THETA, ALPHA, BETA, TARGET = (sp.IndexedBase(name) for name in ("theta", r"\alpha", "β", "y^{*}"))
i, j = sp.Idx("i", (0, M)), sp.Idx("j", (0, D))
k, l = sp.Idx("k", (1, K)), sp.Idx("l", (1, K))

CROSS_ENTROPY = sp.Eq(J, y_star * sp.log(y) + (1 - y_star) * sp.log(1 - y))
QUADRATIC = sp.Eq(J, (y - y_star) ** 2 / 2)
OUTPUT = [sp.Eq(y, 1 / (1 + sp.exp(-b))), sp.Eq(b, sp.Sum(BETA[j] * Z[j], j))]
HIDDEN = [sp.Eq(Z[j], 1 / (1 + sp.exp(-A[j]))), sp.Eq(A[j], sp.Sum(ALPHA[j, i] * X[i], i))]


def _s1() -> Program:
    return from_sympy([sp.Eq(J, sp.cos(sp.sin(x**2) + 3 * x**2))])


def _s1_steps() -> Program:
    steps = [sp.Eq(J, sp.cos(u)), sp.Eq(u, u_1 + u_2), sp.Eq(u_1, sp.sin(t)), sp.Eq(u_2, 3 * t), sp.Eq(t, x**2)]
    return from_sympy(steps)


def _s2() -> Program:
    decision = [sp.Eq(y, 1 / (1 + sp.exp(-a))), sp.Eq(a, sp.Sum(THETA[j] * X[j], j))]
    return from_sympy([CROSS_ENTROPY, *decision], params=[THETA], inputs=[X, y_star], maximize=J)


def _s3() -> Program:
    return from_sympy([CROSS_ENTROPY, *OUTPUT, *HIDDEN], params=[ALPHA, BETA], inputs=[X, y_star], maximize="J")


def _s4() -> Program:
    return from_sympy([QUADRATIC, *OUTPUT, *HIDDEN], params=[ALPHA, BETA], inputs=[X, y_star], minimize=J)


def _s7() -> Program:
    equations = [
        sp.Eq(J, sp.Sum(TARGET[k] * sp.log(P[k]), k)),
        sp.Eq(P[k], sp.exp(B[k]) / sp.Sum(sp.exp(B[l]), l)),
        sp.Eq(B[k], sp.Sum(BETA[k, j] * Z[j], j)),
        *HIDDEN,
    ]
    return from_sympy(equations, params=[ALPHA, BETA], inputs=[X, TARGET], maximize=J)


def _single(equation: Any) -> Callable[[], Program]:
    return lambda: from_sympy([equation])


CASE_2 = """
index j in 0..D, i in 0..M
input x[i], y^*
param alpha[j,i], beta[j]
{loss}
y = 1/(1 + exp(-b))
b = sum(beta[j]*z[j] for j)
z[j] = 1/(1 + exp(-a[j]))
a[j] = sum(alpha[j,i]*x[i] for i)
{goal} J
"""
LIKELIHOOD = "J = y^* * log(y) + (1 - y^*)*log(1 - y)"

SLIDES = (
    Model("S1", "J = cos(sin(x^2) + 3*x^2)", _s1),
    Model("S1 steps", "J = cos(u); u = u_1 + u_2; u_1 = sin(t); u_2 = 3*t; t = x^2", _s1_steps),
    Model(
        "S2",
        f"""
        index j in 0..D
        input x[j], y^*
        param theta[j]
        {LIKELIHOOD}
        y = 1/(1 + exp(-a))
        a = sum(theta[j]*x[j] for j)
        maximize J
        """,
        _s2,
    ),
    Model("S3", CASE_2.format(loss=LIKELIHOOD, goal="maximize"), _s3),
    Model("S4", CASE_2.format(loss="J = (y - y^*)^2/2", goal="minimize"), _s4),
    Model("S5 logistic", "y = 1/(1 + exp(-x))", _single(sp.Eq(y, 1 / (1 + sp.exp(-x))))),
    Model("S5 tanh", "y = tanh(x)", _single(sp.Eq(y, sp.tanh(x)))),
    Model("S5 relu", "y = max(0, w*x + b)", _single(sp.Eq(y, sp.Max(0, w * x + b))), intervals={"b": (-0.5, 0.5)}),
    Model("S5 softplus", "y = log(exp(x) + 1)", _single(sp.Eq(y, sp.log(sp.exp(x) + 1)))),
    Model("S6 cross-entropy", LIKELIHOOD, _single(CROSS_ENTROPY)),
    Model("S6 quadratic", "J = (y - y^*)^2/2", _single(QUADRATIC)),
    Model(
        "S7",
        """
        index k in 1..K, l in 1..K, j in 0..D, i in 0..M
        input x[i], y^*[k]
        param alpha[j,i], beta[k,j]
        J = sum(y^*[k]*log(y[k]) for k)
        y[k] = exp(b[k])/sum(exp(b[l]) for l)
        b[k] = sum(beta[k,j]*z[j] for j)
        z[j] = 1/(1 + exp(-a[j]))
        a[j] = sum(alpha[j,i]*x[i] for i)
        maximize J
        """,
        _s7,
    ),
)

SYMMETRIC = (-0.9, 0.9)

BEYOND = (
    Model("quadratic form", "J = sum(x[i]*A[i,j]*x[j] for i, j in 1..N)"),
    Model("diagonal", "J = sum(A[i,i]^2*x[i] for i in 0..N) + sum(A[i,j] for i in 0..N for j in 0..N)"),
    Model("constant index", "input x[i]; y[i] = x[i]*x[0] + x[2]; J = sum(y[i]^2 for i)"),
    Model("transpose", "index i, j in 1..N; B[i,j] = A[j,i]*x[i]; J = sum(A[i,j]*B[i,j] for i, j)"),
    Model(
        "convolution",
        """
        index i in 0..N-K, k in 0..K-1, n in 0..N-1
        input x[n]
        param w[k]
        y[i] = sum(w[k]*x[i+k] for k)
        J = sum(tanh(y[i])^2 for i)
        """,
        sizes={"N": 7, "K": 3},
    ),
    Model("stride", "index i in 0..3, n in 0..7; input x[n]; y[i] = x[2*i] - x[2*i+1]; J = sum(y[i]^2 for i)"),
    Model("difference", "index n in 0..N; input x[n]; J = sum((x[i+1] - x[i])^2 for i in 0..N-1)"),
    Model("product", "J = prod(1 + x[i]*w for i in 1..N)", intervals={"x": SYMMETRIC}),
    Model("product of rows", "y[i] = prod(A[i,j] for j); J = sum(y[i]^2 for i)", intervals={"A": SYMMETRIC}),
    Model("maximum", "m = max(x[i]*w[i] for i); J = m^2 + max(x[i]^3 for i)"),
    Model("minimum", "J = min(A[i,j]*x[j] for i for j in 1..N) + x[1]"),
    Model("max pooling", "index i in 1..N, j in 1..M; y[i] = max(A[i,j]^2 for j); J = sum(y[i]*v[i] for i)"),
    Model("logsumexp", "J = logsumexp(beta*x[k] for k) - x[0]"),
    Model("softmax by logsumexp", "p[k] = exp(x[k] - logsumexp(x[l] for l in 1..K)); J = sum(y[k]*log(p[k]) for k in 1..K)"),
    Model("mean", "J = mean((y[n] - sum(w[j]*x[n,j] for j))^2 for n)"),
    Model("mean of a grid", "J = mean(A[i,j]^2 for i in 1..N, j in 0..M)"),
    Model(
        "ranking",
        "J = sum(log(sum(exp(f[j]) for j in 1..N if t[j] >= t[i])) - f[i] for i in 1..N)",
    ),
    Model("guarded sum", "J = sum(x[i]^3 for i in 0..N if x[i] > 0)", intervals={"x": SYMMETRIC}),
    Model("where", "y[i] = where(x[i] > 0, x[i]^2, exp(x[i]) - 1); J = sum(y[i] for i)", intervals={"x": SYMMETRIC}),
    Model("nested where", "J = where(x < 0, -x, where(x >= t, t*x, x^2 + 1))", intervals={"x": SYMMETRIC}),
    Model("own functions", "s(u) = 1/(1 + exp(-u)); sq(u, v) = (u - v)^2; J = sq(s(w*x), s(b)) + s(w)"),
    Model("triangular sum", "J = sum((x[i] - x[j])^2*w for i in 1..N for j in i+1..N)"),
    Model("prefix sums", "index i, j in 1..N; c[i] = sum(x[j] for j if j <= i); J = sum(c[i]^2 for i)"),
    Model("added up", "J += (w*x - y)^2; J += sum(v[i]^2 for i); y += 2*b; y += tanh(b)"),
    Model("added up by rows", "index i in 1..N; y[i] += x[i]^2; y[i] += sum(A[i,j]*x[j] for j in 1..N); J = sum(y[i]^2 for i)"),
    Model("used many times", "J = w*x + sin(w)*exp(w*y) + (w + y)^3/w - log(w)^2"),
    Model(
        "regularised",
        """
        index j in 1..D
        J = mean((y[n] - sum(w[j]*x[n,j] for j))^2 for n) + lambda_2/2*sum(w[j]^2 for j) + mu*sum(abs(w[j]) for j)
        """,
    ),
    Model(
        "matrix factorisation",
        """
        param U[i,k], V[j,k]
        J = sum((R[i,j] - sum(U[i,k]*V[j,k] for k))^2 for i, j) + rho*(sum(U[i,k]^2 for i, k) + sum(V[j,k]^2 for j, k))
        """,
    ),
    Model(
        "two layers",
        """
        index i in 1..I, j in 1..H, k in 1..L
        input x[n,i], t[n,k]
        param W[j,i], c[j], V[k,j], d[k]
        h[n,j] = tanh(sum(W[j,i]*x[n,i] for i) + c[j])
        o[n,k] = tanh(sum(V[k,j]*h[n,j] for j) + d[k])
        J = sum((o[n,k] - t[n,k])^2 for n for k)/2
        minimize J
        """,
    ),
    Model(
        "attention",
        """
        index i, j, m in 1..T, d in 1..D
        param Q[i,d], K[i,d], V[i,d]
        s[i,j] = sum(Q[i,d]*K[j,d] for d)/sqrt(D)
        p[i,j] = exp(s[i,j])/sum(exp(s[i,m]) for m)
        o[i,d] = sum(p[i,j]*V[j,d] for j)
        J = sum(o[i,d]^2 for i, d)
        """,
    ),
    Model("functions", "J = gelu(x) + silu(y) + relu(z) + softplus(x) + erf(y)*sigmoid(z) + arctan(x)/cosh(y) + expm1(x)*log1p(z)"),
    Model("shared by shadowing", "y = sum(x[i]^2 for i in 1..N); J = y*sum(w[i]*sum(B[i,j] for j in 1..N) for i in 1..N)"),
    Model("Hessian of a cubic", "J = sum(x[i]*x[j]*x[k]*T[i,j,k] for i, j, k in 1..N)"),
)

# recurrences, gathers, parts, guards: whatever can be written with indices
INDEXED = (
    Model(
        "recurrence",
        """
        index t in 1..T, j, k in 1..H
        input x[t]
        param h0[j], U[j,k], w[j]
        h[0,j] = h0[j]
        a[t,j] = sum(U[j,k]*h[t-1,k] for k) + w[j]*x[t]
        h[t,j] = tanh(a[t,j])
        J = sum(h[t,j]^2 for t, j)
        """,
    ),
    Model(
        "coupled recurrence",
        """
        index t in 1..T, j, k in 1..H
        input x[t,k]
        param W[j,k], R[j,k], p[j]
        c[0,j] = 0
        h[0,j] = 0
        z[t,j] = tanh(sum(W[j,k]*x[t,k] + R[j,k]*h[t-1,k] for k))
        g[t,j] = sigmoid(z[t,j] + p[j]*c[t-1,j])
        c[t,j] = z[t,j]*g[t,j] + c[t-1,j]*(1 - g[t,j])
        h[t,j] = tanh(c[t,j])*g[t,j]
        J = sum(h[T,j]^2 for j)
        """,
    ),
    Model("lag two", "index t in 2..6; f[0] = a; f[1] = b; f[t] = f[t-1]*f[t-2] + a; J = f[6]"),
    Model("recurrence at t + 1", "index t in 0..4; input x[t]; h[0] = w; h[t+1] = tanh(w*h[t] + x[t]); J = h[5]^2 + h[2]"),
    Model("backward recurrence", "index t in 0..T-1; input r[t], g; v[T] = g; v[t] = r[t] + g*v[t+1]; J = v[0]^2"),
    Model(
        "shifted against each other",
        """
        index t in 1..5
        input x[t], w
        a[0] = 1
        b[0] = w
        b[1] = x[1]
        a[t] = w*b[t+1] + x[t] for t in 1..4
        b[t] = tanh(a[t-2]) for t in 2..5
        J = b[5]
        """,
    ),
    Model("all before", "index t in 1..T; input x[t], A[t,s]; h[0] = 1; h[t] = x[t]*sum(A[t,s]*h[s] for s in 0..t-1); J = h[T]"),
    Model(
        "two axes",
        """
        index i in 1..N, j in 1..M
        input c[i,j]
        d[0,0] = 0
        d[i,0] = d[i-1,0] + 1
        d[0,j] = d[0,j-1] + 1
        d[i,j] = -log(exp(-d[i-1,j] - c[i,j]) + exp(-d[i,j-1] - 2*c[i,j]) + exp(-d[i-1,j-1]))
        J = d[N,M]
        """,
        sizes={"N": 2, "M": 3},
    ),
    Model(
        "parts",
        "index n in 1..N-1, i in 0..N; input x[i]; y[0] = x[0]^2; y[n] = x[n]*x[n-1]; y[N] = tanh(x[N]); J = sum(y[i]^2*x[i] for i)",
    ),
    Model(
        "gather",
        """
        index t in 1..T, d in 1..D, v in 1..V
        input w[t] in 1..V
        param E[v,d], u[d]
        e[t,d] = E[w[t],d]
        J = sum(tanh(sum(e[t,d]*u[d] for d))^2 for t)
        """,
    ),
    Model("pick", "index k in 1..K; input label in 1..K; param b[k]; J = logsumexp(b[k] for k) - b[label]"),
    Model("gather of a gather", "index t in 1..T; input w[t] in 0..2; input c[m] in 1..T; J = sum(x[w[c[m]]]^2*x[w[c[m]]] for m)"),
    Model(
        "guards",
        """
        index i, j in 1..N
        input x[i], t[i]
        y[i] = max(x[j]*x[i] for j if t[j] >= t[i])
        z[i] = logsumexp(x[j]*x[i] for j if t[j] > t[i])
        J = sum(y[i]^2 for i) + sum(where(z[i] > -100, z[i]^2, 0) for i) + mean(x[i]^2 for i if t[i] > 0.2) + min(x[i] for i if i > 1)
        """,
    ),
    Model(
        "sums in moving ranges",
        "index i, j, k in 1..N; input x[i], A[i,j]; J = sum(sum(tanh(sum(A[k,j]*x[k] for k in 1..j))*x[i] for j in 1..i)^2 for i)",
    ),
    Model("triangle", "index i, j in 1..N; input x[i], A[i,j]; s[i] = sum(A[i,j]*x[j] for j in 1..i); J = sum(s[i]^2 for i)"),
    Model(
        "guarded read", "index i, j in 0..N; input x[i]; y[i] = where(i > 0, sum(x[i-1]*x[j] for j), x[i]); J = sum(y[i]^2 for i)"
    ),
    Model(
        "causal",
        """
        index i, l in 1..T, d in 1..D
        input Q[i,d], K[i,d], V[i,d]
        s[i,l] = sum(Q[i,d]*K[l,d] for d)
        p[i,l] = where(l <= i, exp(s[i,l] - logsumexp(s[i,m] for m in 1..i)), 0)
        o[i,d] = sum(p[i,l]*V[l,d] for l in 1..i)
        J = sum(o[i,d]^2 for i, d)
        """,
        sizes={"T": 3, "D": 2},
    ),
    Model(
        "strided kernel",
        """
        index p, q in 0..P-1, a, b in 0..A-1, c in 1..C, r, s in 0..2*P+A-3
        input x[c,r,s]
        param w[c,a,b]
        y[p,q] = sum(w[c,a,b]*x[c,2*p+a,2*q+b] for c, a, b)
        J = sum(y[p,q]^2 for p, q)
        """,
        sizes={"P": 2, "A": 3, "C": 2},
    ),
    Model(
        "pooling of a stride",
        "index i in 0..2, a in 0..1, n in 0..5; input x[n]; y[i] = max(relu(x[2*i+a]) for a); J = sum(y[i]^2*i for i)",
    ),
    Model(
        "dilation",
        "index i in 0..N-2*K, k in 0..K, n in 0..N; input x[n], w[k]; y[i] = sum(w[k]*x[i+2*k] for k); J = sum(y[i]^2 for i)",
        sizes={"N": 6, "K": 2},
    ),
    Model("several losses", "f = w*x; l_1 = (f - a)^2; l_2 = exp(-f*b); J = l_1 + 0.3*l_2 + l_1*l_2"),
    Model("a function of a function", "s(u) = u/(1 + u^2); f(u, v) = s(u*v) + s(u)^2; J = f(w*x, f(x, w))"),
)

MODELS: dict[str, Model] = {model.name: model for model in (*SLIDES, *BEYOND, *INDEXED)}
