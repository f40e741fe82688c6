"""SG4xx: what cannot be computed, or differentiated as asked. SG5xx: what is too large."""

from tests.errors.rows import Array, Call, command, latex, made, text

DOUBLING = "\n".join(["f0(u) = u + u*u", *(f"f{k}(u) = f{k - 1}(f{k - 1}(u))" for k in range(1, 12)), "J = f11(x)"])
WIDE = "J = " + " + ".join(f"x^{k}*exp({k}*x)" for k in range(2, 1602))

GRAPH = (
    text("SG401", "x = x + 1", promised=True),
    text("SG401", "x = y + 1; y = 2*x", promised=True),
    made("SG402", "a = x; b = 2*x", Call("derive")),
    made("SG402", "J = x^2", Call("derive", loss="x")),
    made("SG403", "index i in 0..M\na[i] = 2*x[i]\nminimize a", Call("derive")),
    text("SG404", "J = x^2; K = x\nminimize J\nmaximize K"),
    made("SG405", "y = 2*x; J = y*floor(y)", Call("derive"), Call("page"), promised=True),
    made("SG405", "k = argmax(x[i] for i in 1..N); J = k^2*x[1]", Call("derive"), Call("page"), promised=True),
    made("SG405", "input k in 1..9\nJ = x^k", Call("derive", wrt="k"), Call("page")),
    made("SG406", "J = x^2; z = 2*q", Call("derive", loss="J", wrt="q"), Call("page")),
    made("SG407", "index t in 1..T\nh[0] = x; h[t] = h[t-1] + grad(s, x); s = h[0]^2; J = h[T]", Call("derive")),
    made("SG408", "J = x^2", Call("compile", backend="numpy", checkpoint=True)),
)

SIZE = (
    text("SG501", "y = " + "x + " * 300_000 + "x"),
    text("SG502", f"y = {'7' * 60}*x"),
    text("SG503", f"y = {'a' * 1_000_000}", promised=True),
    text("SG504", f"y = {'(' * 5000}x{')' * 5000}", promised=True),
    latex("SG504", f"y = {'{' * 5000}x{'}' * 5000}"),
    text("SG505", "y = 9**9**9", promised=True),
    made("SG506", WIDE, Call("derive"), Call("gradient", "x")),
    text("SG507", DOUBLING),
    made(
        "SG508",
        "a[i,j] = x[i]*y[j]; J = sum(a[i,j]^2 for i, j)",
        Call("compile", backend="numpy"),
        Call("forward", x=Array((10**6,)), y=Array((10**6,))),
        promised=True,
    ),
    command(
        "SG509", "derive", "J = sum((sum(w[j,i]*x[i] for i in 0..D))^2 for j in 0..M)",
        "--format", "svg", "--style", "network", "--size", "D=500",
    ),
)  # fmt: skip
