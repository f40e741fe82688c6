"""Functions of arrays that modules for JAX and PyTorch are made of, in NumPy's names, so that they can be differentiated again.

Their derivatives have the conventions of `core.functions`:

    maxima and minima        the first that is extreme has all of the slope
    where(c, log(x), 0)      the branch that is not taken computes log(1): nan times 0 would be nan, in the next derivative
    |u| inside of a helper   u from 0 on, so that all derivatives at 0 are those of the smooth function
    logsumexp                the highest is a constant, which the result does not depend on
"""

from __future__ import annotations

from symgrad.backends.pycode import named

# in NumPy's names; beside those that are right as they stand
DEFINITIONS = named("""
def _maximum(u, v):
    return np.where((v > u) | (v != v), v, u)

def _minimum(u, v):
    return np.where((v < u) | (v != v), v, u)

def _relu(u):
    return np.where(u <= 0.0, 0.0*u, u)

def _clip(u, low, high):
    up = np.where(u <= low, low, u)
    return np.where(up >= high, high, up)

def _abs(u):
    return u*np.sign(u)

def _magnitude(u):
    return np.where(u < 0.0, -u, u)

def _root(u):
    return np.where(u == 0.0, 0.0, np.sqrt(np.where(u == 0.0, 1.0, u)))

def _sech(u):
    e = np.exp(-_magnitude(u))
    return 2.0*e/(1.0 + e*e)

def _xlogy(a, b):
    nothing = (a == 0.0) & ~((b > 0.0) & (b < np.inf))
    return a*np.log(np.where(nothing, 1.0, b))

def _sinc(u):
    z = np.where(u*u < 1.0, u*u, 0.0)
    near = 1.0 - z/6*(1.0 - z/20*(1.0 - z/42*(1.0 - z/72*(1.0 - z/110*(1.0 - z/156*(1.0 - z/210*(1.0 - z/272)))))))
    far = np.where(u*u < 1.0, 1.0, u)
    return np.where(u*u < 1.0, near, np.sin(far)/far)

def _sinc_slope(u):
    z = np.where(u*u < 1.0, u*u, 0.0)
    near = -u*(1/3 - z*(1/30 - z*(1/840 - z*(1/45360 - z*(1/3991680 - z*(1/518918400 - z/93405312000))))))
    far = np.where(u*u < 1.0, 1.0, u)
    return np.where(u*u < 1.0, near, (np.cos(far) - np.sin(far)/far)/far)

def _share_less(c, d, u, top, excess):
    lower, below = np.expm1(-excess), u - top
    near = (c - d) + c*(lower + (1.0 + lower)*below*(1.0 + below/2*(1.0 + below/3)))
    return np.where(u == top, near, c*np.exp(below - excess) - d)

def _gelu(u):
    return 0.5*u*_erfc(-1.4142135623730951*u/2.0)

def _leaky_relu(u, a):
    return np.where(u > 0.0, u, a*u)

def _elu(u):
    return np.where(u > 0.0, u, np.expm1(_minimum(u, 0.0)))

def _selu(u):
    return np.where(u > 0.0, 1.0507009873554805*u, 1.7580993408473768*np.expm1(_minimum(u, 0.0)))

def _trigamma(u):
    x, total = np.where(u <= 0.0, 1.0 - u, u), 0.0
    for k in range(16):
        total = total + 1.0/(x + k)**2
    r = 1.0/(x + 16.0)
    z = r*r
    above = total + (r + 0.5*z + r*z*(1/6 - z*(1/30 - z*(1/42 - z*(1/30 - z*(5/66 - z*(691/2730)))))))
    low = np.where(u <= 0.0, u, 0.5)
    s = 3.141592653589793/np.sin(3.141592653589793*(low - np.floor(low + 0.5)))
    return np.where(u <= 0.0, s*s - above, above)

def _polygamma2(u):
    x, total = np.where(u <= 0.0, 1.0 - u, u), 0.0
    for k in range(16):
        total = total - 2.0/(x + k)**3
    r = 1.0/(x + 16.0)
    z = r*r
    above = total - z - r*z - z*z*(1/2 - z*(1/6 - z*(1/6 - z*(3/10 - z*(5/6 - z*(691/210 - z*(35/2)))))))
    low = np.where(u <= 0.0, u, 0.5)
    r = low - np.floor(low + 0.5)
    s = 3.141592653589793/np.sin(3.141592653589793*r)
    below = above - 2.0*s*s*s*np.cos(3.141592653589793*r)
    return np.where(u <= 0.0, np.where(r == 0.0, np.nan, below), above)

def _logsumexp(values, axis):
    top = _stop(_max(values, axis, keepdims=True))
    top = np.where(np.isfinite(top), top, 0.0)
    highest = values == top
    shares = np.exp(values - top)
    rest = np.sum(np.where(highest, shares - 1.0, shares), axis=axis) + np.sum(np.where(highest, 1.0, 0.0), axis=axis) - 1.0
    return np.squeeze(top, axis) + np.log1p(rest)
""")
