"""SG2xx: names that are unknown, taken, or mean two things."""

import sympy as sp

from tests.errors.rows import Call, command, equations, made, text

u, y = sp.symbols("u y")

NAMES = (
    text("SG201", "y = foo(x)", promised=True),
    text("SG201", "y = sigmod(x)"),
    text("SG201", "y = factorial(10^7)", promised=True),
    text("SG202", "y = x; z = 1\ny = 2*x", promised=True),
    text("SG202", "index i in 0..M\nindex i in 0..D"),
    made("SG203", "zeta = x^2", Call("derive", wrt="zetta"), promised=True),
    made("SG203", "J = x^2", Call("derive", loss="L")),
    text("SG203", "J = x^2\nminimize K"),
    text("SG204", "exp = 2*x", promised=True),
    text("SG205", "f(u) = u^2\nf = 3"),
    text("SG205", "i = 2; y = sum(x[i] for i in 1..3)"),
    text("SG206", "y = exp + 1"),
    made("SG207", "J = x^2", Call("derive"), Call("page", "slidez")),
    made("SG207", "J = x^2", Call("compile", backend="nunba")),
    made("SG207", "J = x^2", Call("compile", dtype="float46")),
    made("SG207", "J = x^2", Call("derive"), Call("graph", "svgg")),
    command("SG207", "derive", "J = x^2", "--format", "latx"),
    equations("SG208", [sp.Eq(y, sp.Symbol("x", positive=True) + sp.Symbol("x"))], what="one of the two x is declared positive"),
    text("SG209", "x_ = 2"),
    text("SG209", "J = sum(x[F_]*F for F_ in 1..N)"),
    text("SG209", "J = sum(x[i]*F for i in 1..F_)"),
    made("SG209", "J = x^2", Call("derive", wrt=3)),
    made("SG210", "y = w*x; J = y^2", Call("compile", batch=["y"])),
    text("SG211", "param w in 1..9\nJ = w^2"),
)  # fmt: skip
