"""Models and claims for `sg.check`: right ones in unusual forms, and wrong ones with the slip that must be named."""

from __future__ import annotations

CASE_2 = """
index i in 0..M, j in 0..D
input x[i], y^*
param alpha[j,i], beta[j]
a[j] = sum(alpha[j,i]*x[i] for i)
z[j] = 1/(1 + exp(-a[j]))
b = sum(beta[j]*z[j] for j)
y = 1/(1 + exp(-b))
"""
MODELS = {
    "S1": "J = cos(u); u = u_1 + u_2; u_1 = sin(t); u_2 = 3*t; t = x^2",
    "S1 whole": "J = cos(sin(x^2) + 3x^2)",
    "S2": "index j in 0..D\nJ = y^* * log(y) + (1 - y^*)*log(1 - y); y = 1/(1 + exp(-a)); a = sum(theta[j]*x[j] for j)\nmaximize J",
    "S3": CASE_2 + "J = y^* * log(y) + (1 - y^*)*log(1 - y)\nmaximize J",
    "S4": CASE_2 + "J = (y - y^*)^2/2\nminimize J",
    "S7": """index k in 1..K, j in 0..D
J = sum(y^*[k]*log(y[k]) for k)
y[k] = exp(b[k])/sum(exp(b[l]) for l in 1..K)
b[k] = sum(beta[k,j]*z[j] for j)
maximize J""",
    "mse": "index n in 1..N, j in 1..D\ne[n] = sum(X[n,j]*w[j] for j) - t[n]\nJ = mean(e[n]^2 for n)\nminimize J",
    "tanh": "index j, k in 1..H\nu[j] = sum(W[j,k]*h[k] for k)\ng[j] = tanh(u[j])\nJ = sum(c[j]*g[j]^3 for j)",
    "relu": "index j in 1..H\ng[j] = relu(u[j]); J = sum(c[j]*g[j] for j); u[j] = w[j]*v + q",
    "quadratic": "index i, j in 1..N\nJ = sum(x[i]*A[i,j]*x[j] for i, j)",
    "symmetric": "index i, j in 1..N\nassume A[i,j] = A[j,i]\nJ = sum(x[i]*A[i,j]*x[j] for i, j)",
    "rnn": "index t in 1..T, j, k in 1..H\nh[0,j] = 0\n"
    "a[t,j] = sum(U[j,k]*h[t-1,k] for k) + w[j]*x[t]\nh[t,j] = tanh(a[t,j])\nJ = sum(h[t,j]^2 for t, j)",
    "conv": "index i in 0..N-K, k in 0..K-1, n in 0..N-1; input x[n]; y[i] = sum(w[k]*x[i+k] for k); J = sum(y[i]^2 for i)/2",
    "product": "J = p*q; p = s^2*log(r); q = exp(s)/r",
    "matrices": "index i in 1..M, j in 1..N, k in 1..K\nC[i,j] = sum(A[i,k]*B[k,j] for k)\nJ = sum(G[i,j]*C[i,j]^2 for i, j)",
}  # fmt: skip

# the slides' backward lines and the same in other forms: (model, claim)
RIGHT = [
    *(("S1", c) for c in (
        "dJ/du = -sin(u)", "dJ/du += -sin(u)", "dJ/du_1 = dJ/du*du/du_1; du/du_1 = 1",
        "dJ/du_2 = dJ/du*du/du_2; du/du_2 = 1", "dJ/dt += dJ/du_1*cos(t)", "dJ/dt += dJ/du_2*3", "du_2/dt = 3",
        "dJ/dt += dJ/du_1*cos(t); dJ/dt += dJ/du_2*3", "dJ/dx += dJ/dt*2x", "dJ/dt = dJ/du*(cos(t) + 3)",
        "dJ/dx = -sin(u)*(cos(x^2) + 3)*2*x", "du_1/dt = cos(t)", "dJ/dx = dJ/du*du/dx",
    )),
    ("S1 whole", "dJ/dx = -2*x*(cos(x^2) + 3)*sin(sin(x^2) + 3*x^2)"),
    ("S1 whole", "dJ/dx = -2*x*cos(x^2)*sin(sin(x^2) + 3*x^2) - 6*x*sin(sin(x^2) + 3*x^2)"),
    *(("S2", c) for c in (
        "dJ/dy = y^*/y + (1 - y^*)/(y - 1)", "dJ/dy = y^*/y - (1 - y^*)/(1 - y)", "dJ/dy = (y^* - y)/(y*(1 - y))",
        "dJ/da = dJ/dy*dy/da; dy/da = exp(-a)/(exp(-a) + 1)^2", "dJ/dtheta[j] = dJ/da*x[j]", "dJ/dx[j] = dJ/da*theta[j]",
        "dJ/da = y^* - y", "dJ/dtheta[k] = (y^* - y)*x[k]", "dy/da = y - y^2", "dy/da = 1/(2 + exp(a) + exp(-a))",
        "dJ/dθ_j = dJ/da · x_j", "dJ/dtheta[j] = a_bar*x[j]",
    )),
    *(("S3", c) for c in (
        "dJ/db = dJ/dy*dy/db; dy/db = exp(-b)/(exp(-b) + 1)^2", "dJ/dbeta[j] = dJ/db*z[j]", "dJ/dz[j] = dJ/db*beta[j]",
        "dJ/da[j] = dJ/dz[j]*exp(-a[j])/(exp(-a[j]) + 1)^2", "dJ/dalpha[j,i] = dJ/da[j]*x[i]",
        "dJ/dx[i] = sum(dJ/da[j]*alpha[j,i] for j)", "dJ/da[j] = dJ/db*db/da[j]", "dJ/da[j] = dJ/db*beta[j]*z[j]*(1 - z[j])",
        "dJ/dx[i] = dJ/db*sum(beta[j]*(z[j] - z[j]^2)*alpha[j,i] for j)", "dJ/dx[p] = sum(alpha[q,p]*dJ/da[q] for q)",
        "dJ/dalpha[j,i] = (y^* - y)*beta[j]*z[j]*(1 - z[j])*x[i]", "da[j]/dx[i] = alpha[j,i]", "dJ/dbeta[j] = (y^* - y)*z[j]",
        "da[j]/dalpha[k,i] = x[i]*delta[j,k]", "dJ/dx_i = Σ_{j=0..D} dJ/da_j · da_j/dx_i,   da_j/dx_i = α_ji",
        "dJ/dx[i] = sum(dJ/dz[j]*dz[j]/da[j]*da[j]/dx[i] for j in 0..D)", "dJ/db = y^* - y",
    )),
    *(("S4", c) for c in ("dJ/dy = y - y^*", "dJ/db = (y - y^*)*y*(1 - y)", "dJ/dy = -(y^* - y)", "dJ/dy^* = y^* - y")),
    *(("S7", c) for c in (
        "dJ/dy[k] = y^*[k]/y[k]", "dJ/db[k] = y^*[k] - y[k]*sum(y^*[l] for l in 1..K)", "dy[k]/db[l] = y[k]*(delta[k,l] - y[l])",
        "dJ/db[k] = sum(dJ/dy[l]*y[l]*(delta[l,k] - y[k]) for l in 1..K)", "dJ/dbeta[k,j] = dJ/db[k]*z[j]",
        "dJ/dz[j] = sum(beta[k,j]*dJ/db[k] for k)", "dJ/db[k] = sum(dJ/dy[l]*dy[l]/db[k] for l)",
    )),
    *(("mse", c) for c in (
        "dJ/de[n] = 2*e[n]/N", "dJ/dw[j] = 2*mean(e[n]*X[n,j] for n)", "dJ/dw[j] = sum(dJ/de[n]*X[n,j] for n)",
        "dJ/dt[n] = -dJ/de[n]", "dJ/dw[j] = 2/N*sum(X[n,j]*(sum(X[n,k]*w[k] for k in 1..D) - t[n]) for n)",
    )),
    *(("tanh", c) for c in (
        "dJ/du[j] = dJ/dg[j]*(1 - g[j]^2)", "dJ/dg[j] = 3*c[j]*g[j]^2", "dJ/dh[k] = sum(dJ/du[j]*W[j,k] for j)",
        "dJ/dW[j,k] = dJ/du[j]*h[k]", "dg[j]/du[j] = (1 - g[j])*(1 + g[j])", "dJ/du[j] = 3*c[j]*(g[j]^2 - g[j]^4)",
        "dg[j]/du[j] = 4/(exp(u[j]) + exp(-u[j]))^2",
    )),
    *(("relu", c) for c in (
        "dJ/du[j] = where(u[j] > 0, c[j], 0)", "dJ/du[j] = dJ/dg[j]*[u[j] > 0]", "dJ/dv = sum(dJ/du[j]*w[j] for j)",
        "dJ/dq = sum(dJ/du[j] for j)", "dJ/dq = sum(c[j] for j if u[j] > 0)",
    )),
    ("quadratic", "dJ/dx[i] = sum((A[i,j] + A[j,i])*x[j] for j)"),
    ("quadratic", "dJ/dx[i] = sum(A[i,j]*x[j] for j) + sum(A[k,i]*x[k] for k in 1..N)"),
    ("quadratic", "dJ/dA[i,j] = x[i]*x[j]"),
    ("rnn", "dJ/dh[T,j] = 2*h[T,j]"),
    ("rnn", "dJ/dh[t,j] = 2*h[t,j] + sum(dJ/da[t+1,k]*U[k,j] for k) for t in 1..T-1"),
    ("rnn", "dJ/da[t,j] = dJ/dh[t,j]*(1 - h[t,j]^2)"),
    ("rnn", "dJ/dU[j,k] = sum(dJ/da[t,j]*h[t-1,k] for t)"),
    ("conv", "dJ/dw[k] = sum(dJ/dy[i]*x[i+k] for i)"),
    ("conv", "dJ/dw[k] = sum(y[i]*x[i+k] for i)"),
    ("product", "dJ/ds = dJ/dp*2*s*log(r) + dJ/dq*q"),
    ("product", "dJ/dr = dJ/dp*s^2/r - dJ/dq*q/r"),
    ("product", "dJ/ds = s*(2 + s)*exp(s)*log(r)/r"),
    ("product", "dJ/dr += q*dp/dr; dJ/dr += p*dq/dr"),
    ("matrices", "dJ/dA[i,k] = sum(dJ/dC[i,j]*B[k,j] for j)"),
    ("matrices", "dJ/dB[k,j] = sum(A[i,k]*dJ/dC[i,j] for i)"),
    ("matrices", "dJ/dC[i,j] = 2*G[i,j]*C[i,j]"),
]  # fmt: skip

# (model, claim, part of the assumption)
ASSUMES = [
    ("S7", "dJ/db[k] = y^*[k] - y[k]", "Σ"),
    ("S7", "dJ/dbeta[k,j] = (y^*[k] - y[k])*z[j]", "Σ"),
    ("symmetric", "dJ/dx[i] = 2*sum(A[i,j]*x[j] for j)", "A_ij = A_ji"),
    ("symmetric", "dJ/dx[i] = 2*sum(A[j,i]*x[j] for j)", "A_ij = A_ji"),
]

# (model, claim, slip)
WRONG = [
    ("S1", "dJ/du = sin(u)", "sign"),
    ("S1", "dJ/dt = dJ/du_1*cos(t) - dJ/du_2*3", "sign"),
    ("S1", "dJ/dt = dJ/du_1*cos(t)", "contribution"),
    ("S1", "dJ/dt = dJ/du_2*3", "contribution"),
    ("S1", "dJ/dt += dJ/du_1*cos(t); dJ/dt += dJ/du_1*cos(t)", "extra term"),
    ("S1", "dJ/dx = dJ/dt*x", "factor"),
    ("S1", "dJ/dx = 2*x", "chain"),
    ("S1", "dJ/dx = dJ/dt*2*x^2", "power"),
    ("S1", "dJ/du_1 = 1", "chain"),
    ("S1", "dJ/dt += dJ/du_1*sin(t)", "local derivative"),
    ("S1", "du_2/dt = 3*t", "extra factor"),
    ("S1", "du_1/dt = -cos(t)", "sign"),
    ("S1", "du_1/dt = sin(t)", "local derivative"),
    ("S1 whole", "dJ/dx = 2*x*(cos(x^2) + 3)*sin(sin(x^2) + 3*x^2)", "sign"),
    ("S1 whole", "dJ/dx = -2*x*cos(x^2)*sin(sin(x^2) + 3*x^2)", "contribution"),
    ("S2", "dJ/dy = y^*/y + (1 - y^*)/(1 - y)", "sign"),
    ("S2", "dJ/dy = y^*/y", "contribution"),
    ("S2", "dJ/da = y - y^*", "sign"),
    ("S2", "dJ/dtheta[j] = x[j]", "chain"),
    ("S2", "dJ/dtheta[j] = dJ/da*theta[j]", "local derivative"),
    ("S2", "dJ/dtheta[j] = sum(dJ/da*x[j] for j)", "sum"),
    ("S2", "dJ/da = dJ/dy*y", "local derivative"),
    ("S2", "dJ/da = dJ/dy*(1 - y)", "local derivative"),
    ("S2", "dJ/da = dJ/dy", "chain"),
    ("S2", "dy/da = exp(a)/(1 + exp(-a))^2", "sign"),
    ("S2", "dy/da = exp(-a)/(1 + exp(-a))", "power"),
    ("S2", "dy/da = -exp(-a)/(1 + exp(-a))^2", "sign"),
    ("S2", "dJ/dy = y^*/y^2 + (1 - y^*)/(y - 1)", "power"),
    ("S2", "dJ/dtheta[j] = (y^* - y)", "chain"),
    ("S3", "da[j]/dx[i] = sum(alpha[j,i] for j)", "sum"),
    ("S3", "dJ/dx[i] = dJ/da[j]*alpha[j,i]", "sum"),
    ("S3", "dJ/dx[i] = sum(dJ/da[j] for j)*sum(alpha[j,i] for j)", "sum"),
    ("S3", "dJ/dx[i] = sum(dJ/da[j]*alpha[i,j] for j)", "index"),
    ("S3", "dJ/dalpha[j,i] = dJ/da[i]*x[j]", "index"),
    ("S3", "dJ/dalpha[j,i] = dJ/da[j]*x[j]", "index"),
    ("S3", "dJ/dalpha[j,i] = sum(dJ/da[j]*x[i] for j)", "sum"),
    ("S3", "dJ/dbeta[j] = dJ/db*sum(z[j] for j)", "sum"),
    ("S3", "dJ/dbeta[j] = z[j]", "chain"),
    ("S3", "dJ/dz[j] = dJ/db", "chain"),
    ("S3", "dJ/da[j] = dJ/db*z[j]*(1 - z[j])", "chain"),
    ("S3", "dJ/da[j] = dJ/dz[j]*z[j]", "local derivative"),
    ("S3", "dJ/da[j] = dJ/dz[j]*(1 - z[j])", "local derivative"),
    ("S3", "dJ/da[j] = dJ/dz[j]*z[j]*(z[j] - 1)", "sign"),
    ("S3", "dJ/da[j] = dJ/dz[j]*exp(-a[j])/(1 + exp(-a[j]))", "power"),
    ("S3", "dJ/db = dJ/dy*y*(1 - y)*z[j]", "extra factor"),
    ("S3", "dJ/dz[j] = dJ/db*beta[j]*z[j]", "extra factor"),
    ("S3", "dJ/dx[i] = sum(dJ/dz[j]*alpha[j,i] for j)", "chain"),
    ("S4", "dJ/dy = y^* - y", "sign"),
    ("S4", "dJ/dy = 2*(y - y^*)", "factor"),
    ("S4", "dJ/dy = (y - y^*)/2", "factor"),
    ("S4", "dJ/dy = (y - y^*)^2", "power"),
    ("S7", "dJ/dy[k] = y^*[k]*y[k]", "local derivative"),
    ("S7", "dJ/db[k] = y[k] - y^*[k]", "sign"),
    ("S7", "dJ/db[k] = y^*[k]*(1 - y[k])", "sum"),
    ("S7", "dJ/dz[j] = beta[k,j]*dJ/db[k]", "sum"),
    ("S7", "dJ/dbeta[k,j] = dJ/db[j]*z[k]", "index"),
    ("mse", "dJ/de[n] = 2*e[n]", "factor"),
    ("mse", "dJ/de[n] = e[n]/N", "factor"),
    ("mse", "dJ/dw[j] = sum(dJ/de[n]*X[j,n] for n)", "index"),
    ("mse", "dJ/dw[j] = 2*sum(e[n]*X[n,j] for n)", "sum"),
    ("mse", "dJ/dt[n] = dJ/de[n]", "sign"),
    ("tanh", "dJ/du[j] = dJ/dg[j]*(1 - g[j])", "power"),
    ("tanh", "dJ/du[j] = dJ/dg[j]*(1 + g[j]^2)", "sign"),
    ("tanh", "dJ/dh[k] = sum(dJ/du[j]*W[k,j] for j)", "index"),
    ("tanh", "dJ/dW[j,k] = dJ/du[k]*h[j]", "index"),
    ("tanh", "dJ/dg[j] = c[j]*g[j]^2", "factor"),
    ("tanh", "dJ/dg[j] = 3*c[j]*g[j]", "power"),
    ("relu", "dJ/du[j] = dJ/dg[j]", "chain"),
    ("relu", "dJ/dq = dJ/du[j]", "sum"),
    ("relu", "dJ/dq = sum(c[j] for j)", "chain"),
    ("quadratic", "dJ/dx[i] = sum(A[i,j]*x[j] for j)", "contribution"),
    ("quadratic", "dJ/dA[i,j] = x[i]*x[i]", "index"),
    ("S4", "dJ/dy = y + log(z[j])", "free index"),
    ("rnn", "dJ/dU[j,k] = sum(dJ/da[t,j]*h[t,k] for t)", "shift"),
    ("rnn", "dJ/dh[t,j] = 2*h[t,j] for t in 1..T-1", "contribution"),
    ("conv", "dJ/dw[k] = sum(dJ/dy[i]*x[i] for i)", "index"),
    ("product", "dJ/ds = dJ/dp*2*s*log(r)", "contribution"),
    ("product", "dJ/dr = dJ/dp*s^2/r + dJ/dq*q/r", "sign"),
    ("product", "dp/dr = s^2/r^2", "power"),
    ("matrices", "dJ/dA[i,k] = sum(dJ/dC[i,j]*B[j,k] for j)", "index"),
    ("matrices", "dJ/dB[k,j] = A[i,k]*dJ/dC[i,j]", "sum"),
]  # fmt: skip
