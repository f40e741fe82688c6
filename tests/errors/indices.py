"""SG3xx: indices, ranges and shapes."""

from tests.errors.rows import Call, latex, made, text

INDICES = (
    text("SG301", "a[j] = alpha[j,i]*x[i]", promised=True),
    latex("SG301", r"a_j = \alpha_{ji} x_i"),
    text("SG302", "y[i] = sum(x[i] for i)", promised=True),
    text("SG303", "y[i] = A[i] + A[i,i]", promised=True),
    text("SG304", "N = 3; y = sum(x[i] for i in 1..N)"),
    text("SG305", "y = sum(x[i] for i in 0..M) + sum(x[i] for i in 0..D)", promised=True),
    text("SG306", "y[i,i] = x[i]", promised=True),
    text("SG307", "y = sum(x[i] for i in 5..1)", promised=True),
    text("SG308", "J = sum(x[i^2] for i in 0..3)"),
    text("SG309", "input x[i in 1..3]\ny = x[7]", promised=True),
    text("SG309", "index t in 1..T\nh[t] = w*h[t-1]; J = h[T]"),
    text("SG310", "y[i] = x[i] for k in 1..3"),
    made("SG311", "J = sum(i*x for i in 1..N)", Call("compile", backend="numpy")),
    text("SG312", "index i in 1..j, j in 1..i\nJ = sum(x[i,j] for i, j)"),
    text("SG313", "index t in 1..T\nh[1] = 0; h[3] = x; J = h[1] + h[3]"),
    text("SG391", "J = sum(E[w[t]] for t in 1..T)"),
)  # fmt: skip
