# ruff: noqa: E501  (a bug on one line)
"""The table of bugs that the tests plant into the compiler: where, the text there, what stands in its place, and the check that sees it.

`check` is one of `tests.planted_checks`, `on` the program or the name that it is given.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    where: str
    old: str
    new: str
    check: str
    on: str


SQUARE = "index i, j in 1..N; B[i,j] = exp(A[j,i])*x[i]; C[i,j] = exp(A[i,j]); J = sum(B[i,j]*C[i,j] for i, j)"
LAYERS = "two layers"
PATH = "h[0] = w; h[t] = tanh(u*h[t-1] + x[t]) for t in 1..7; J = sum(h[t]^2 for t in 1..7)"
CONV = "input x[n in 0..7]; a[f,m] = sum(w[f,u]*x[m+u] for u in 0..2) for f in 1..2, m in 0..5; J = sum(a[f,m]^2 for f in 1..2, m in 0..5)"
WEIGHTS = "a[n,j] = sum(W[j,i]*x[n,i] for i); J = sum(a[n,j]^2 for n, j) + sum(W[j,i]^2 for j, i)"
TRAINED = "index j in 1..3; param W[j,i]; input x[n,i]; a[n,j] = sum(W[j,i]*x[n,i] for i); J = sum(a[n,j]^2 for n, j)/9; {} J"
ENTROPY = "input y^*[k]; p[k] = exp(b[k])/sum(exp(b[l]) for l); J = -sum(y^*[k]*log(p[k]) for k)"
PAST = "index i, j in 1..N; input x[i], A[i,j]; J = sum(where(i < N, sum(A[i+1,j]*x[j] for j), x[i]) for i)"
CHOICE = "index i, j in 1..N; input x[i], A[i,j]; J = sum(where(i < N, x[i]^2, sum(A[i,j]*x[j] for j)) for i)"
COLLIDING = "index i_1, i, m, u, q in 1..N; y[i] = exp(t[i]/3)/sum(exp(t[u]/3) for u); z[i_1] = sum(y[m]*A[i_1,m] for m in i_1+1..N); J = sum(z[m]^2 for m) + sum(t[i_1]*z[i_1] for i_1)"

BUGS: dict[str, Bug] = {
    # one statement's derivatives
    "product rule with the factor itself": Bug(
        "transform.linearize._rule", "*args[k + 1 :]", "*args[k:]", "oracle", "used many times"
    ),
    "wrong branch of a choice": Bug("transform.linearize._rule", "memo[yes], memo[no])", "memo[no], memo[yes])", "oracle", "where"),
    "exponent's slope with the wrong sign": Bug(
        "transform.linearize._power_rule", "+ by_exponent * dexponent", "- by_exponent * dexponent", "oracle", "J = (1.5 + x)^(x*y)"
    ),
    "root's slope by its name": Bug(
        "transform.linearize._power_below",
        "(exponent - 1) / exponent",
        "(exponent + 1) / exponent",
        "oracle",
        "s = sqrt(x); J = s^2*y",
    ),
    "derivative by the other argument": Bug(
        "transform.linearize.derivative_call", "{place + 1}", "{2 - place}", "oracle", "own functions"
    ),
    "weight of another reduction": Bug(
        "transform.linearize._terms", "_weight(op, body", '_weight("sum", body', "oracle", "softmax by logsumexp"
    ),
    "slope inside a sum is lost": Bug(
        "transform.linearize._terms", "_multiply(weight, partial))", "weight)", "oracle", "J = w*sum(x[i]^2 for i in 1..N)"
    ),
    "a factor divided out stays": Bug("transform.linearize._divide", "have - exponent", "sp.S.Zero", "oracle", "S7"),
    "table: a choice's two slopes": Bug("core.functions._positive", "yes, no)", "no, yes)", "oracle", "functions"),
    "table: both sides of clip": Bug("core.functions._clip", "sp.Lt(u, hi", "sp.Gt(u, hi", "oracle", "J = clip(x, 0.05, 0.95)*y"),
    "product of all others but one": Bug("core.reductions._others", "sp.S.One)", "sp.S.Zero)", "oracle", "product"),
    # reverse and forward
    "cotangent is lost": Bug("transform.reverse._adjoints", "times(cotangent, term.partial)", "term.partial", "oracle", "S1 steps"),
    "tangent with the wrong sign": Bug(
        "transform.forward._tangents", "inside(term.partial, tangent)", "inside(-term.partial, tangent)", "forward", "J = x^2*y"
    ),
    # contributions merged
    "guard at the first cell is strict": Bug("transform.collect._over_whole_axes", "sp.Ge(", "sp.Gt(", "oracle", "difference"),
    "guard at the last cell is strict": Bug("transform.collect._over_whole_axes", "sp.Le(", "sp.Lt(", "oracle", "difference"),
    "guard on all cells but one": Bug("transform.collect._over_whole_axes", "sp.Eq(", "sp.Ne(", "oracle", "parts"),
    "contributions of other parts": Bug(
        "transform.collect._segments", "[covers[m] for m in members]", "members", "oracle", "parts"
    ),
    "a part one cell too long": Bug("transform.collect._segments", "hi + 1 - end", "hi + 2 - end", "oracle", "difference"),
    "equations that no number meets": Bug(
        "transform.collect._impossible",
        "number % sp.gcd_list(factors) != 0",
        "number % sp.gcd_list(factors) == 0",
        "oracle",
        "input x[n in 0..8]; y[i] = x[2*i] for i in 0..3; J = sum(y[i]^2 for i in 0..3) + x[8]^2",
    ),
    "first of several sums is lost": Bug("transform.collect._apart", "for s in merged]", "for s in merged[1:]]", "arrays", WEIGHTS),
    # scatters solved
    "index solved with the wrong sign": Bug(
        "transform.gather._solve_axis", "(axis - target)", "(target - axis)", "oracle", "convolution"
    ),
    "solved index without its guard": Bug(
        "transform.gather._applied",
        "value = _under(solved.guards, substitute(statement.value, solved.mapping))",
        "value = substitute(statement.value, solved.mapping)",
        "oracle",
        "gather",
    ),
    "guard of a gather turned": Bug("transform.gather._solve_axis", "sp.Eq(*", "sp.Ne(*", "oracle", "gather"),
    "limits exchanged": Bug("transform.gather._require", "if factor > 0 else", "if factor < 0 else", "oracle", "convolution"),
    "wider of two limits": Bug("transform.gather._tighter", "if sign > 0 else", "if sign < 0 else", "oracle", "convolution"),
    "a letter that is in use": Bug("transform.gather.free_name", "n not in used and ", "", "oracle", COLLIDING),
    # one reduction a statement
    "one name for sums over two ranges": Bug(
        "transform.normalize._key",
        "tuple((ranges[s].lo, ranges[s].hi) for s in free)",
        "()",
        "arrays",
        "y[i] = x[i]*sum(A[i,j]*x[j] for j in 1..N) for i in 2..N; z[i] = x[i]^2*sum(A[i,j]*x[j] for j in 1..N) for i in 1..N; J = sum(y[i] for i in 2..N) + sum(z[i] for i in 1..N)",
    ),
    "read past the end without its guard": Bug(
        "transform.normalize._Lift.lift",
        "where(guard, body, REDUCTIONS[op].identity if op else S.Zero)",
        "body",
        "arrays",
        PAST,
    ),
    "other branch under the same condition": Bug(
        "transform.normalize._Lift.walk", "(condition.negated,)", "(condition,)", "arrays", CHOICE
    ),
    # equations shared
    "a maximum merged with a sum": Bug(
        "transform.reuse._statement_key",
        "statement.op, len(indices_of(statement.target))",
        "len(indices_of(statement.target))",
        "arrays",
        "y[i] = sum(A[i,j]^2 for j in 1..N); z[i] = max(A[i,j]^2 for j in 1..N); J = sum(y[i]*z[i] for i in 1..N)",
    ),
    "sums merged over other ranges": Bug(
        "transform.reuse._statement_key",
        "ends = tuple(tuple(substitute(end, names) for end in statement.ranges[symbol]) for symbol in order)",
        "ends = ()",
        "arrays",
        "y[i] = sum(A[i,j]^2 for j in 1..N); z[i] = sum(A[i,j]^2 for j in 2..N); J = sum(y[i]*z[i] for i in 1..N)",
    ),
    "a merged copy is turned": Bug(
        "transform.reuse.merge",
        "access(first, *indices)",
        "access(first, *indices[::-1])",
        "arrays",
        "index i, j in 1..N; B[i,j] = A[i,j]^2; C[i,j] = A[i,j]^2; J = sum(x[i]*B[i,j]*C[j,i]*B[j,i] for i, j)",
    ),
    "a value reused without its ranges": Bug(
        "transform.reuse._key",
        "tuple((_index(s, statement).lo, _index(s, statement).hi) for s in free)",
        "()",
        "arrays",
        "y[i] = exp(x[i])*w for i in 2..N; z[i] = exp(x[i]) + w for i in 1..N; J = sum(y[i]^2 for i in 2..N) + sum(z[i]^2 for i in 1..N)",
    ),
    "a name known with turned axes": Bug(
        "transform.reuse._know",
        "tuple(free.index(i) for i in indices)",
        "tuple(range(len(indices)))",
        "arrays",
        "index i, j in 1..N; B[j,i] = exp(A[i,j]); J = sum(B[j,i]*x[j]*exp(A[i,j]) for i, j)",
    ),
    "value put in with turned indices": Bug(
        "transform.reuse._resolved", "indices_of(read), strict", "indices_of(read)[::-1], strict", "arrays", "transpose"
    ),
    # differences of shares
    "a share less the wrong way": Bug("transform.shares._Pass.sum", "-less, *self", "less, *self", "arrays", ENTROPY),
    "a label's contribution lost": Bug("transform.shares._Pass.one", "[*added, total]", "[*added, parts[0]]", "arrays", "pick"),
    "log of a share with the wrong sign": Bug(
        "transform.shares._Pass.logarithm",
        "times(factor, log_share(*self.named(*found)))",
        "times(-factor, log_share(*self.named(*found)))",
        "arrays",
        "pick",
    ),
    "excess over nothing": Bug(
        "transform.shares._Pass.parts", '(excess, less, "logsumexp")', '(excess, statement.value, "logsumexp")', "arrays", "pick"
    ),
    # stable forms
    "rest of logistic": Bug(
        "transform.stabilize._one_less", "logistic(-value", "logistic(value", "arrays", "y = 1/(1 + exp(-x)); J = (1 - y)*w"
    ),
    "tanh of logistic": Bug(
        "transform.stabilize._one_less_twice", "/ 2)", "* 2)", "arrays", "y = 1/(1 + exp(-x)); J = (1 - 2*y)*w"
    ),
    "one and tanh": Bug(
        "transform.stabilize._one_and_tanh", "logistic(2 * factor", "logistic(factor", "arrays", "J = (1 + tanh(x))*w"
    ),
    "rest of tanh squared": Bug(
        "transform.stabilize._one_less_square", "sech(value.args[0]) ** 2", "sech(value.args[0])", "arrays", LAYERS
    ),
    "expm1 without its sign": Bug("transform.stabilize._exp_less_one", "-expm1(", "expm1(", "arrays", "J = (1 - exp(x))*w"),
    "rest of cos without its half": Bug(
        "transform.stabilize._one_less_cos", "args[0] / 2", "args[0]", "arrays", "J = (1 - cos(x))*w"
    ),
    "tanh of all the difference": Bug(
        "transform.stabilize._tanh",
        "sp.expand(a - b) / 2",
        "sp.expand(a - b)",
        "arrays",
        "J = w*(exp(x) - exp(-x))/(exp(x) + exp(-x))",
    ),
    "log1p of any sum": Bug("transform.stabilize._log_near_one", "if number == 1", "if number > 1", "arrays", "J = log(2 + x)*w"),
    "number before a log": Bug("transform.stabilize._xlogy", "times(*numbers, xlogy", "times(xlogy", "arrays", "J = 3*w*log(x)"),
    "factor beside sinc": Bug(
        "transform.stabilize._sinc", "(ratio * sinc(base.args[0])) ** m", "sinc(base.args[0]) ** m", "arrays", "J = w*sin(2*x)/x"
    ),
    "variance of another mean": Bug(
        "transform.stabilize._variance",
        "sp.expand(factor * count) != 1",
        "False",
        "arrays",
        "J = w*(sum(x[i]^2 for i in 1..N)/2 - (sum(x[i] for i in 1..N)/2)^2)",
    ),
    # batches, updates
    "sum for a mean": Bug(
        "transform.batch.batch",
        "access(each, index.symbol) / index.extent",
        "access(each, index.symbol)",
        "batched",
        "input x; J = (w*x - y)^2",
    ),
    "uphill for downhill": Bug(
        "update._update", "-slope if uphill else slope", "slope if uphill else -slope", "fit", TRAINED.format("minimize")
    ),
    "maximize goes downhill": Bug(
        "update._update", "-slope if uphill else slope", "slope", "fit", TRAINED.format("maximize").replace("J = sum", "J = -sum")
    ),
    "update without its rate": Bug(
        "schedule.updates.with_updates_in_products",
        "value=factor * substitute",
        "value=substitute",
        "fit",
        TRAINED.format("minimize"),
    ),
    # order
    "time runs the other way": Bug(
        "core.dependence._timed", "clock.descending, _sequence", "not clock.descending, _sequence", "arrays", PATH
    ),
    "no memory is set to zero": Bug("schedule.order._starts", "zeroed |= set() if sets else {name}", "pass", "plain", "gather"),
    "= for += in the schedule": Bug(
        "schedule.order._starts",
        "adding |= {id(statement) for statement in statements if not (sets and statement is first)}",
        "pass",
        "arrays",
        WEIGHTS,
    ),
    "triangle without its diagonal": Bug(
        "schedule.order.rectangular", "sp.Le(", "sp.Lt(", "arrays", "J = sum(x[i]*x[j]^2 for i in 1..N for j in 1..i)"
    ),
    "a size read with the wrong sign": Bug(
        "backends.checks.size_line", "affine(-rest)", "affine(rest)", "arrays", "J = sum(x[i]^2 for i in 0..N)*w"
    ),
    # rows in blocks, nests together
    "blocks: = for +=": Bug("schedule.blocks._Region.adding", "replace(kernel, adds=True)", "kernel", "plain", LAYERS),
    "blocks: sums start at nothing": Bug("schedule.blocks.blocked", "zeroed | best.summed", "zeroed", "plain", LAYERS),
    "a nest beside a sum that it reads": Bug(
        "schedule.fusion._same_cells",
        "return False",
        "return True",
        "plain",
        "index n in 1..N; s[n] = sum(A[n,j]*w[j] for j); y[n] = sum(A[n,j]*s[n]*w[j]^2 for j); J = sum(y[n]^2 for n)",
    ),
    "softmax scaled the wrong way": Bug("backends.nests.Nest.softmax", "*= _scale", "/= _scale", "plain", "attention"),
    # chunks of rows
    "a chunk's sums do not start at 0": Bug("backends.threads.SUPPORT", "array[...] = 0", "pass", "chunks", LAYERS),
    "sums of one chunk alone": Bug(
        "backends.threads.SUPPORT", "self.given[each][...] += array", "self.given[each][...] = array", "chunks", LAYERS
    ),
    "no first chunk": Bug("backends.threads.SUPPORT", "range(0, rows, chunk)", "range(chunk, rows, chunk)", "chunks", LAYERS),
    # windows
    "window added twice": Bug(
        "schedule.windows._Windows.added", "value=access(name, *order)", "value=2*access(name, *order)", "plain", CONV
    ),
    "window with turned axes": Bug(
        "schedule.windows._Windows.copied",
        "tuple(symbols.index(s) for s in order)",
        "tuple(symbols.index(s) for s in order[::-1])",
        "plain",
        CONV,
    ),
    # segments of a recurrence
    "state of the wrong step is kept": Bug("schedule.checkpoint._Cut.from_earlier", " + self.cut.length", "", "checkpoint", PATH),
    "a segment starts one late": Bug(
        "schedule.checkpoint._Cut.within",
        "self.first.symbol - shift, self",
        "self.first.symbol - shift + 1, self",
        "checkpoint",
        PATH,
    ),
    "a segment's own adjoints for the next one's": Bug(
        "schedule.checkpoint._Cut.from_later", "ours + self.cut.length", "ours", "checkpoint", PATH
    ),
    "sums over time start anew": Bug(
        "schedule.checkpoint._Cut.part", " or (place in self.plan.adding and self.adds_up(place))", "", "checkpoint", PATH
    ),
    # products of matrices
    "factors in the other order": Bug("schedule.contractions.product", "factors.reverse()", "pass", "plain", WEIGHTS),
    "left matrix is not turned": Bug(
        "schedule.contractions._laid_out", 'lasts[1] == "left"', 'lasts[1] != "left"', "plain", WEIGHTS
    ),
    "right matrix is not turned": Bug(
        "schedule.contractions._laid_out", 'lasts[2] == "summed"', 'lasts[2] != "summed"', "plain", WEIGHTS
    ),
    "alpha is lost": Bug(
        "schedule.contractions._split",
        "return sp.Mul(*alpha), factors",
        "return sp.S.One, factors",
        "plain",
        "a[n,j] = sum(3*c*W[j,i]*x[n,i] for i); J = sum(a[n,j]^2 for n, j)",
    ),
    "number outside a product is lost": Bug(
        "schedule.contractions._named",
        "sp.Mul(alpha, *outside, total)",
        "sp.Mul(*outside, total)",
        "plain",
        "s[i,j] = sum(3*c[i,j]*x[n,i]*f[n,j] for n); J = sum(s[i,j]^2 for i, j)",
    ),
    "beta is 0": Bug("backends.nests.Nest.by_product", "one if adds else zero", "zero", "plain", WEIGHTS),
    "matrix from its second row": Bug(
        "backends.blas.Call.place",
        " - bounds.lo",
        "",
        "plain",
        "a[n,j] = sum(W[j,i]*x[n,i] for i in 1..3) for n in 1..4, j in 1..2; J = sum(a[n,j]^2 for n in 1..4, j in 1..2)",
    ),
    "step of the wrong axis": Bug(
        "backends.blas.Call.steps", "if self.product.left_turned else", "if not self.product.left_turned else", "plain", WEIGHTS
    ),
    # loops
    "product adds": Bug("backends.nests.Nest.reduction", "'+' if self.op == 'sum' else '*'", "'+'", "plain", "product of rows"),
    "sum starts at 1": Bug(
        "backends.nests.Nest.reduction", "sp.S.Zero if self.op == 'sum' else sp.S.One", "sp.S.One", "plain", "attention"
    ),
    "= for += after a sum": Bug(
        "backends.nests.Nest.in_register", "'+=' if self.kernel.adds else '='", "'='", "plain", "added up by rows"
    ),
    "= for += in a loop": Bug("backends.nests.Nest.loops", '"+=" if self.kernel.adds else "="', '"="', "plain", "gather"),
    "guard turned around": Bug(
        "backends.nests.Nest.guarded",
        "{left} {guard.rel_op} {right}",
        "{right} {guard.rel_op} {left}",
        "plain",
        "index i in 1..N, k in 0..K; input x[i], b[k]; J = sum(where(2*k+i <= N, x[2*k+i]^2*b[k], 0) for k, i)",
    ),
    "places count from 1": Bug(
        "backends.nests.Nest.__init__", "index.symbol + substitute(index.lo, shift)", "index.symbol", "plain", "parts"
    ),
    "turned axes run as one": Bug(
        "backends.joined._is_last",
        "tuple(indices[-2:]) != (outer.symbol, inner.symbol)",
        "set(indices[-2:]) != {outer.symbol, inner.symbol}",
        "plain",
        "J = sum(x[s,r]*x[r,s]^2 for r in 0..3, s in 0..3)",
    ),
    "parts of axes run as one": Bug(
        "backends.joined._is_last",
        "(axis.lo, axis.hi) == (index.lo, index.hi)",
        "axis.lo == index.lo",
        "plain",
        "input x[r in 0..3, q in 0..3]; J = sum(x[r,s]^3 for r in 0..3, s in 0..2)",
    ),
    "logarithm without the highest": Bug(
        "backends.nests.Nest.log_of_sum_and_top",
        "'_highest' if whole else '_lost'",
        "'_lost'",
        "plain",
        "L = logsumexp(a[l] for l in 1..K); J = 2*L - sum(t[k]*log(exp(a[k])/sum(exp(a[l]) for l in 1..K)) for k in 1..K)",
    ),
    "minimum without its sign": Bug("backends.nests.Nest.extreme", '"" if sign == ">" else "-"', '""', "plain", "minimum"),
    # whole arrays
    "array is not turned": Bug(
        "backends.numpy.Array.read",
        "sorted(range(len(places)), key=places.__getitem__)",
        "list(range(len(places)))",
        "arrays",
        SQUARE,
    ),
    "number beside einsum is lost": Bug(
        "backends.numpy.Array.einsum",
        "*(self.code()(s, 2) for s in scalars), call",
        "call",
        "arrays",
        "J = 3*c*sum(A[i,j]*x[j] for i in 1..N for j in 1..N)",
    ),
    "slice ends one early": Bug("backends.numpy.Array.slice", "affine(hi + 1)", "affine(hi)", "arrays", "parts"),
    "sum over the kept axes": Bug(
        "backends.numpy.Array.reduce",
        "range(len(self.kept), len(self.order))",
        "range(len(self.reduced))",
        "arrays",
        "index i, j in 1..N; y[i] = max(A[i,j] for j); J = sum(y[i]*x[i] for i)",
    ),
    # exp, log, … from their constants
    "low part of log 2": Bug("backends.vecmath._split", "value - high", "value", "vecmath", "_exp float64"),
    "too few terms": Bug("backends.vecmath.coefficients", "row.terms[dtype]", "row.terms[dtype] - 4", "vecmath", "_log float64"),
    "wrong interval's function": Bug(
        "backends.vecmath._after_r", "(mpmath.expm1(r) - r)", "mpmath.expm1(r)", "vecmath", "_tanh float64"
    ),
    "rounding to the wrong integer": Bug(
        "backends.vecmath.Format.rounding",
        "(self.digits - 2)) + offset",
        "(self.digits - 2)) - offset",
        "vecmath",
        "_expm1 float32",
    ),
    "exponent's offset": Bug("backends.vecmath._bits", "one - sqrt_half", "sqrt_half", "vecmath", "_log1p float64"),
    "erfc's centre": Bug("backends.vecmath._scaled_erfc", "(a + 0.5)", "(a + 0.25)", "vecmath", "_erfc float64"),
    "pieces of 1/(2 pi)": Bug("backends.vecmath._turns", "rest - piece, place", "rest, place", "vecmath", "_sin float32"),
    "tanh without its sign": Bug(
        "backends.vecmath.DEFINITIONS._tanh", "(-y if u < {zero} else y)", "y", "vecmath", "_tanh float32"
    ),
    "erf is what is left of it": Bug(
        "backends.vecmath.DEFINITIONS._erf", "{one} - _erfc_above(a)", "_erfc_above(a)", "vecmath", "_erf float64"
    ),
    "half of expm1": Bug("backends.vecmath.DEFINITIONS._expm1", "{two}*(", "(", "vecmath", "_expm1 float64"),
    "cosine's quarter": Bug("backends.vecmath.DEFINITIONS._cos", "n + 1.0,", "n,", "vecmath", "_cos float32"),
    "logsumexp without its shift, whole arrays": Bug(
        "backends.numpy.OWN._logsumexp", "np.exp(values - top)", "np.exp(values)", "arrays", "logsumexp"
    ),
    # data that do not fit
    "values are not looked at": Bug(
        "backends.checks.check_lines",
        "if (values := program.tensors[name].values) is not None",
        "if (values := None) is not None",
        "refuses",
        "a class beyond the last",
    ),
    "shapes are not looked at": Bug(
        "backends.checks.check_lines",
        "if program.tensors[name].axes and not seen",
        "if False and not seen",
        "refuses",
        "two lengths of one axis",
    ),
    "places are not looked at": Bug(
        "backends.checks._uncertain", "if not never_outside", "if False and not never_outside", "refuses", "a read past the end"
    ),
    # printed
    "constants lost outside of a sum": Bug(
        "transform.simplify.constants_out",
        "sp.Mul(*out, reduction(op, inside, limits)) if out",
        "reduction(op, inside, limits) if out",
        "closed",
        "S4",
    ),
    "y (1 + y)": Bug("transform.simplify.logistic_form", "(1 - statement.target)", "(1 + statement.target)", "closed", "S2"),
    "a common factor taken out and left in": Bug(
        "transform.simplify.common_factor", "e - shared.get(b, 0)", "e", "closed", "J = w*(x^3*y + x*z)"
    ),
    "equation put in with turned indices": Bug(
        "transform.simplify.inline", "indices_of(read), strict", "indices_of(read)[::-1], strict", "closed", "transpose"
    ),
    # claims
    "a claim that no point agrees with is right": Bug(
        "answers.comparing.Comparing.surely", "return False", "pass", "claims", "J = x^2*y | dJ/dx = 2*x*y | dJ/dx = 2*x"
    ),
    "a quotient is read the other way": Bug(
        "frontend.claims._Derivatives._pair", "Deriv(one, two,", "Deriv(two, one,", "claims", "J = x^2*y | dJ/dx = 2*x*y"
    ),
    "a printed sum has no end": Bug(
        "frontend.claims._end_of_term",
        "return at",
        "return len(line)",
        "claims",
        "J = sum(x[i]^2 for i in 1..N)*y + y^2/2 | dJ/dy = Σ_{i=1..N} x_i² + y",
    ),
}
