r"""Claims that were written before the checker had seen them, text and LaTeX: (model, claim), wrong ones with their slip.

Models beyond `answer_models`: an LSTM cell, layer norm, max pooling, factorisation, softplus, ridge, batches, attention.
"""

from __future__ import annotations

MODELS = {
    "lstm": """index j in 1..H
i[j] = 1/(1 + exp(-u[j])); f[j] = 1/(1 + exp(-v[j])); o[j] = 1/(1 + exp(-w[j])); g[j] = tanh(q[j])
c[j] = f[j]*c_0[j] + i[j]*g[j]
h[j] = o[j]*tanh(c[j])
J = sum(r[j]*h[j] for j)""",
    "norm": """index i in 1..N
m = mean(x[i] for i); d[i] = x[i] - m; s = mean(d[i]^2 for i); q = 1/sqrt(s + eps)
y[i] = gamma[i]*d[i]*q + beta[i]
J = sum(c[i]*y[i] for i)""",
    "pool": "index i in 1..N, k in 1..K; p[i] = max(x[i,k] for k); J = sum(c[i]*p[i]^2 for i)",
    "factors": """index u in 1..U, v in 1..V, k in 1..K
e[u,v] = R[u,v] - sum(P[u,k]*Q[v,k] for k)
J = sum(M[u,v]*e[u,v]^2 for u, v)/2 + lambda_1/2*sum(P[u,k]^2 for u, k)""",
    "softplus": "a = w*x + b; s = log(1 + exp(a)); J = (s - t)^2/2",
    "ridge": """index n in 1..N, j in 1..D
a[n] = sum(X[n,j]*w[j] for j)
y[n] = 1/(1 + exp(-a[n]))
J = -mean(t[n]*log(y[n]) + (1 - t[n])*log(1 - y[n]) for n) + rho/2*sum(w[j]^2 for j)""",
    "whole": """index n in 1..N, i in 1..I, j in 1..H
A[n,j] = sum(X[n,i]*W[j,i] for i); Z[n,j] = tanh(A[n,j])
J = sum(C[n,j]*Z[n,j]^2 for n, j)/2""",
    "gate": "index j in 1..H; g[j] = relu(a[j])*log(b[j]); J = sum(c[j]*g[j] for j)",
    "huber": "e = y - t; J = where(abs(e) < d, e^2/2, d*abs(e) - d^2/2)",
    "scan": "index t in 1..T; s[0] = s_0; s[t] = rho*s[t-1] + x[t]; J = sum(s[t]^2 for t)/2",
}

RIGHT = [
    *(("lstm", c) for c in (
        "dJ/do[j] = r[j]*tanh(c[j])", "dJ/dc[j] = dJ/dh[j]*o[j]*(1 - tanh(c[j])^2)", "dJ/df[j] = dJ/dc[j]*c_0[j]",
        "dJ/dq[j] = dJ/dg[j]*(1 - g[j])*(1 + g[j])", "dJ/dc_0[j] = f[j]*dJ/dc[j]",
        "dJ/dv[j] = dJ/dc[j]*c_0[j]*(f[j] - f[j]^2)", "dJ/du[j] = r[j]*o[j]*(1 - tanh(c[j])^2)*g[j]*i[j]*(1 - i[j])",
        r"\frac{dJ}{dg_j} = \frac{dJ}{dc_j} i_j", r"\frac{dJ}{dw_j} = \frac{dJ}{do_j} \, o_j (1 - o_j)",
    )),
    *(("norm", c) for c in (
        "dJ/dgamma[i] = c[i]*d[i]*q", "dJ/dbeta[i] = dJ/dy[i]", "dJ/dq = sum(c[i]*gamma[i]*d[i] for i)",
        "dJ/ds = -dJ/dq*q^3/2", "dJ/dm = -sum(dJ/dd[i] for i)", "dJ/dx[i] = dJ/dd[i] - mean(dJ/dd[k] for k in 1..N)",
        r"\frac{dJ}{ds} = -\frac{1}{2} \frac{dJ}{dq} (s + \epsilon)^{-3/2}".replace(r"\epsilon", r"\mathrm{eps}"),
        "dJ/dd[i] = c[i]*gamma[i]*q + 2/N*dJ/ds*d[i]",
    )),
    *(("pool", c) for c in ("dJ/dp[i] = 2*c[i]*p[i]", "dJ/dx[i,k] = dJ/dp[i]*[x[i,k] = p[i]]", "dJ/dc[i] = p[i]^2")),
    *(("factors", c) for c in (
        "dJ/de[u,v] = M[u,v]*e[u,v]", "dJ/dQ[v,k] = -sum(M[u,v]*e[u,v]*P[u,k] for u)",
        "dJ/dP[u,k] = lambda_1*P[u,k] - sum(dJ/de[u,v]*Q[v,k] for v)", "dJ/dlambda_1 = sum(P[u,k]^2 for u, k)/2",
        r"\frac{dJ}{dM_{uv}} = \frac{1}{2} e_{uv}^2",
    )),
    *(("softplus", c) for c in (
        "dJ/da = (s - t)*exp(a)/(1 + exp(a))", "dJ/da = (s - t)/(1 + exp(-a))", "dJ/da = (s - t)*(1 - exp(-s))",
        r"\frac{dJ}{dw} = (s - t) \frac{e^a}{1 + e^a} x",
    )),
    *(("ridge", c) for c in (
        "dJ/da[n] = (y[n] - t[n])/N", "dJ/dw[j] = sum((y[n] - t[n])*X[n,j] for n)/N + rho*w[j]",
        "dJ/dy[n] = (y[n] - t[n])/(N*y[n]*(1 - y[n]))", "dJ/drho = sum(w[j]^2 for j)/2",
    )),
    *(("whole", c) for c in (
        "dJ/dZ[n,j] = C[n,j]*Z[n,j]", "dJ/dW[j,i] = sum(dJ/dA[n,j]*X[n,i] for n)",
        r"\frac{dJ}{dX_{ni}} = \sum_{j=1}^H \frac{dJ}{dA_{nj}} W_{ji}",
    )),
    *(("gate", c) for c in ("dJ/da[j] = c[j]*log(b[j])*[a[j] > 0]", "dJ/db[j] = c[j]*relu(a[j])/b[j]")),
    *(("huber", c) for c in (
        "dJ/de = where(abs(e) < d, e, d*sign(e))", "dJ/dt = -dJ/de",
        "dJ/de = e*[abs(e) < d] + d*sign(e)*[abs(e) >= d]",
    )),
    *(("scan", c) for c in ("dJ/ds[t] = s[t] + rho*dJ/ds[t+1] for t in 1..T-1", "dJ/drho = sum(dJ/ds[t]*s[t-1] for t)")),
]  # fmt: skip

WRONG = [
    *(("lstm", c, s) for c, s in (
        ("dJ/do[j] = r[j]*c[j]", "local derivative"), ("dJ/dc[j] = dJ/dh[j]*o[j]*(1 - tanh(c[j]))", "power"),
        ("dJ/dc[j] = dJ/dh[j]*(1 - tanh(c[j])^2)", "chain"), ("dJ/df[j] = dJ/dc[j]*c[j]", "local derivative"),
        ("dJ/dv[j] = dJ/df[j]*f[j]*(1 + f[j])", "sign"), ("dJ/dc_0[j] = dJ/dc[j]*i[j]", "local derivative"),
        (r"\frac{dJ}{dg_j} = \frac{dJ}{dc_j}", "chain"), ("dJ/dq[j] = dJ/dg[j]*(1 - q[j]^2)", "local derivative"),
    )),
    *(("norm", c, s) for c, s in (
        ("dJ/dgamma[i] = sum(c[i]*d[i]*q for i)", "sum"), ("dJ/dq = c[i]*gamma[i]*d[i]", "sum"),
        ("dJ/ds = -dJ/dq*q^2/2", "power"), ("dJ/ds = dJ/dq*q^3/2", "sign"), ("dJ/dx[i] = dJ/dd[i]", "contribution"),
        ("dJ/dd[i] = c[i]*gamma[i]*q", "contribution"), (r"\frac{dJ}{dm} = \sum_i \frac{dJ}{dd_i}", "sign"),
        ("dJ/dd[i] = c[i]*gamma[i]*q + dJ/ds*d[i]/N", "factor"),
    )),
    *(("pool", c, s) for c, s in (
        ("dJ/dx[i,k] = dJ/dp[i]", "chain"), ("dJ/dp[i] = c[i]*p[i]", "factor"), ("dJ/dp[i] = 2*p[i]", "chain"),
        ("dJ/dx[i,k] = 2*c[i]*x[i,k]", "chain"),
    )),
    *(("factors", c, s) for c, s in (
        ("dJ/dP[u,k] = -sum(dJ/de[u,v]*Q[v,k] for v)", "contribution"), ("dJ/dQ[v,k] = sum(M[u,v]*e[u,v]*P[u,k] for u)", "sign"),
        ("dJ/de[u,v] = e[u,v]", "chain"), ("dJ/dQ[v,k] = -dJ/de[u,v]*P[u,k]", "sum"),
        (r"\frac{dJ}{dP_{uk}} = \lambda_1 P_{uk} + \sum_{v=1}^V \frac{dJ}{de_{uv}} Q_{vk}", "sign"),
        ("dJ/dR[u,v] = -dJ/de[u,v]", "sign"),
    )),
    *(("softplus", c, s) for c, s in (
        ("dJ/da = (s - t)/(1 + exp(a))", "sign"), ("dJ/da = (s - t)*exp(a)", "chain"), ("dJ/dw = (s - t)*x", "chain"),
    )),
    *(("ridge", c, s) for c, s in (
        ("dJ/da[n] = y[n] - t[n]", "factor"), ("dJ/da[n] = (t[n] - y[n])/N", "sign"),
        ("dJ/dw[j] = sum((y[n] - t[n])*X[n,j] for n)/N", "contribution"),
        ("dJ/dw[j] = sum(dJ/da[n]*X[n,j] for n) + rho/2*w[j]", "factor"),
    )),
    *(("whole", c, s) for c, s in (
        ("dJ/dW[j,i] = dJ/dA[n,j]*X[n,i]", "sum"), (r"\frac{dJ}{dX_{ni}} = \sum_{j=1}^H \frac{dJ}{dA_{nj}} W_{ij}", "index"),
        ("dJ/dA[n,j] = dJ/dZ[n,j]*(1 - Z[n,j])^2", "power"),
    )),
    *(("gate", c, s) for c, s in (
        ("dJ/da[j] = c[j]*log(b[j])", "chain"), ("dJ/da[j] = c[j]*log(b[j])*[b[j] > 0]", "other"),
        ("dJ/da[j] = c[j]*log(b[j])*[a[j] > 0.01]", "other"),
    )),
    *(("huber", c, s) for c, s in (
        ("dJ/de = e", "local derivative"), ("dJ/de = where(abs(e) < d, e, d)", "local derivative"), ("dJ/dt = dJ/de", "sign"),
    )),
    *(("scan", c, s) for c, s in (
        ("dJ/ds[t] = s[t] for t in 1..T-1", "contribution"), ("dJ/drho = sum(dJ/ds[t]*s[t] for t)", "shift"),
        ("dJ/ds[t] = s[t] + rho*dJ/ds[t-1] for t in 1..T-1", "shift"),
    )),
]  # fmt: skip

# wrong by the verdict, but given another name than a teacher would choose
MISNAMED = {
    "dJ/do[j] = r[j]*c[j]", "dJ/da = (s - t)/(1 + exp(a))", "dJ/da = (s - t)*exp(a)",
    "dJ/dA[n,j] = dJ/dZ[n,j]*(1 - Z[n,j])^2", "dJ/da[j] = c[j]*log(b[j])", "dJ/da[j] = c[j]*log(b[j])*[b[j] > 0]",
    "dJ/da[j] = c[j]*log(b[j])*[a[j] > 0.01]", "dJ/ds[t] = s[t] + rho*dJ/ds[t-1] for t in 1..T-1",
}  # fmt: skip
