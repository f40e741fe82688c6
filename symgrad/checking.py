"""Are these hand-derived gradients right? `check(program, claims)`.

>>> import symgrad as sg
>>> p = sg.parse("J = (y - t)^2/2; y = w*x")
>>> for result in sg.check(p, "dJ/dy = y - t; dJ/dw = dJ/dy"):
...     print(result.verdict, result.slip, result.term)
right None None
wrong chain x

Every claim is evaluated with 50 digits at random points and several extents, beside the derivatives of the backward pass; one
that is right there is right but for a chance of nothing, and `proof` says where the two sides are also the same in symbols.
A claim with other derivatives on its right side is judged on its own: they count as right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import mpmath
import numpy as np
from sympy import Expr

from symgrad.answers import expected
from symgrad.answers.arrays import Misfit, between_arrays, in_indices, left_in_indices
from symgrad.answers.comparing import Case, Comparing
from symgrad.answers.reading import Reading, read
from symgrad.answers.report import Check, Expected
from symgrad.answers.slips import Edit, edits
from symgrad.answers.truth import TOLERANCE, Point, Truth, size_symbols
from symgrad.answers.words import claim_text, log_likelihood_warning, same_in_symbols, shown, tree_text
from symgrad.core.draft import Claim
from symgrad.core.errors import Span, SymgradError
from symgrad.core.expr import accesses, name_of
from symgrad.core.graph import find_loss
from symgrad.core.page import Line
from symgrad.core.program import Program, a_program
from symgrad.core.tree import Deriv, Name, Num, Prod, Sum, Tree, children, map_tree
from symgrad.frontend import claims as text_claims
from symgrad.frontend import latex
from symgrad.printers.text import TEXT
from symgrad.transform.gradients import expand_gradients
from symgrad.transform.steps import take_apart

POINTS, POINTS_WITH_CASES = 6, 24  # each case of a where or relu must be met
Array = Any
Wanted = Callable[[Point], Array]


def check(program: Program, claims: str, loss: str | None = None, name: str = "<claims>") -> list[Check]:
    """One result for each claim, in their order; a result is true unless its claim is wrong.

    claims: text, `dJ/dbeta[j] = dJ/db*z[j]`, or LaTeX, which has backslashes; one a line. Several `+=` for one quantity are
    checked together.

    Raises SG1xx for what cannot be read, SG203 for a quantity that the model has not, SG303 for another number of
    indices, SG309 for an index that leaves its array, all with the place; SG616 where the model has no value at random points.
    """
    if not isinstance(claims, str):
        raise SymgradError("SG119", f"claims are a text, not {type(claims).__name__}", hint="for instance: dJ/dx = 2*x")
    steps = take_apart(expand_gradients(a_program(program)))
    truth = Truth(steps, _loss(program, loss))
    found, others = _read(claims, steps, name)
    inner = [_start(claim, found[k + 1 :]) or _inner(claim, steps) for k, claim in enumerate(found)]
    fitting = [claim for claim in inner if isinstance(claim, Claim)]
    judged = iter(_Checker(truth).check(fitting) if fitting else ())
    out = [_verdict(claim, one, judged, truth) for claim, one in zip(found, inner, strict=True)]
    out[0] = replace(out[0], warnings=(*out[0].warnings, *_set_aside(others)))
    return out


def _loss(program: Program, loss: str | None) -> str | None:
    """The loss; none for a model that has no single scalar at its end, whose local derivatives can be checked still."""
    if loss is not None:
        return find_loss(program, loss)
    try:
        return find_loss(program)
    except SymgradError:
        return None


def _read(text: str, steps: Program, name: str) -> tuple[tuple[Claim, ...], tuple[Span, ...]]:
    """The claims of a text, and the places of its other equations."""
    ranks = {**{str(size): 0 for size in size_symbols(steps)}, **{n: len(t.axes) for n, t in steps.tensors.items()}}
    if "\\" not in text:
        return text_claims.claims(text, ranks, name), ()
    found = latex.claims(text, name, ranks, _function_names(steps))
    if not found.claims:
        hint = r"write one, such as \frac{dJ}{dx} = 2x; its left side is a derivative"
        raise SymgradError("SG120", f"{name} holds no claim", hint=hint)
    return found.claims, found.others


def _verdict(claim: Claim, found: Claim | Check | Misfit, judged: Iterator[Check], truth: Truth) -> Check:
    if isinstance(found, Check):
        return found
    return _between_arrays(claim, next(judged) if isinstance(found, Claim) else _misfit(claim, found, truth), truth)


def _start(claim: Claim, later: Sequence[Claim]) -> Check | None:
    """dJ/dx = 0, to which the lines below it add: it says nothing of the derivative."""
    adds = any(other.op == "+=" and _same_quantity(other.left, claim.left) for other in later)
    if claim.op != "=" or claim.right != Num("0") or not adds:
        return None
    return Check(claim_text(claim), "right", Expected(Line(claim.left, "=", claim.right)), proof="symbolic", span=claim.span)


def _same_quantity(one: Tree, two: Tree) -> bool:
    """dJ/dx_i and dJ/dx_l."""
    if isinstance(one, Deriv) and isinstance(two, Deriv):
        return _same_quantity(one.top, two.top) and _same_quantity(one.bottom, two.bottom)
    return isinstance(one, Name) and isinstance(two, Name) and one.name == two.name


def _inner(claim: Claim, steps: Program) -> Claim | Misfit:
    """The claim in indices."""
    try:
        return in_indices(claim, steps) if between_arrays(claim, steps) else claim
    except Misfit as misfit:
        return misfit


def _misfit(claim: Claim, misfit: Misfit, truth: Truth) -> Check:
    inner = left_in_indices(claim, truth.steps)
    line = Expected(expected.line(truth, inner, read(inner, truth)))
    return Check(claim_text(claim), "wrong", line, "shape", misfit.why, tree_text(misfit.term), span=claim.span)


def _between_arrays(claim: Claim, check: Check, truth: Truth) -> Check:
    """The right line between whole arrays too, where the claim is."""
    line = expected.array_line(truth, claim) if between_arrays(claim, truth.steps) else None
    return check if line is None else replace(check, expected=Expected(line))


def _function_names(steps: Program) -> Iterator[str]:
    """The user's functions and their derivatives: g, g′; f, f₁′, f₂′."""
    yield "diag"
    for name, function in steps.functions.items():
        yield name
        yield f"{name}_prime"
        yield from (f"{name}_{place}_prime" for place in range(1, len(function.parameters) + 1))


def _set_aside(others: Sequence[Span]) -> tuple[str, ...]:
    """A warning for the equations of a LaTeX page that are no claims: its forward column is not judged."""
    shown = [" ".join(span.text.split()) for span in others]
    if not shown:
        return ()
    count = f"{len(shown)} equations are no claims" if len(shown) > 1 else "one equation is no claim"
    return (f"{count}, so not judged: {'; '.join(shown)}",)


class _Checker(Comparing):
    """Verdicts, and what is wrong."""

    def check(self, claims: Sequence[Claim]) -> list[Check]:
        out: list[Check] = []
        cases: list[Case] = []
        for place, claim in enumerate(claims):
            cases.append(self.case(claim, local=_contribution_of(claims, place) is not None))
        steps = {k: self.judge(case) for k, case in enumerate(cases) if case.alone}
        for place, claim in enumerate(claims):
            beside = {c.left: c.right for k, c in enumerate(claims) if steps.get(k) and _contribution_of(claims, k) == place}
            if beside:
                cases[place] = self.case(replace(claim, right=map_tree(claim.right, lambda t, b=beside: b.get(t, t))))  # type: ignore[misc]
            out.append(steps.get(place) or self.judge(cases[place]))
        self.sums(cases, out)
        warnings = log_likelihood_warning(self.truth.steps)
        if warnings and out:
            out[0] = replace(out[0], warnings=(*warnings, *out[0].warnings))
        return out

    def judge(self, case: Case) -> Check:
        line = Expected(expected.line(self.truth, case.claim, case.reading))
        base = Check(claim_text(case.claim), "right", line, span=case.claim.span)
        if case.reading.free:
            return self.wrong(case, base)
        try:
            found = [w for w in case.wanted if self.surely(case.reading, w, self.places)]
            if found and any(self.surely(case.reading, w, self.beside(case)) for w in found):
                proof = "symbolic" if same_in_symbols(self.truth, case.reading) else "numeric"
                return replace(base, proof=proof, warnings=self.unmet(case))
        except SymgradError as error:
            return self.outside(case, base, error)
        given = self.assumption(case)
        if given:
            return replace(base, verdict="assumes", assumption=shown(given, self.truth.steps), proof="numeric")
        return self.wrong(case, base)

    def outside(self, case: Case, base: Check, error: SymgradError) -> Check:
        """An index leaves its array: exchanged ones do, where another axis is shorter; else there is nothing to compare."""
        edit = self.slip(case, self.places) if error.code == "SG605" else None
        if edit is None:
            message = re.sub(r"[dD]\|(\w+)\|(\w+)", r"d\1/d\2", error.message)
            raise SymgradError("SG309" if error.code == "SG605" else error.code, message, case.claim.span, error.hint)
        return replace(base, verdict="wrong", slip=edit.slip, why=edit.why, term=tree_text(edit.term))

    def assumption(self, case: Case) -> tuple[tuple[Expr, Expr], ...]:
        """What the model assumes, or a textbook's targets that sum to 1, under which a claim is right."""
        for given in self.assumptions():
            points = self.satisfying(given)
            if len(points) >= 3 and any(self.equal(case.reading, wanted, points) for wanted in case.wanted):
                return given
        return ()

    def wrong(self, case: Case, base: Check) -> Check:
        edit = self.slip(case, case.points) or self.diagonal(case)
        example = None if case.reading.free else self.example(case)
        if edit is None:
            given = next(((g, e) for g in self.assumptions() if (e := self.slip(case, self.satisfying(g)))), None)
            if given is not None:
                base, edit = replace(base, assumption=shown(given[0], self.truth.steps)), given[1]
        if edit is not None:
            return replace(base, verdict="wrong", slip=edit.slip, why=edit.why, term=tree_text(edit.term), counterexample=example)
        if case.reading.free:
            free = ", ".join(map(str, case.reading.free))
            return replace(base, verdict="wrong", slip="free index", why=f"{free} stands on the right side only", term=free)
        return replace(base, verdict="wrong", counterexample=example, **self.unknown(case))

    def slip(self, case: Case, points: Sequence[Point]) -> Edit | None:
        """The first edit of the table that makes the claim right at these points."""
        if len(points) < 3:
            return None
        context = expected.context(self.truth, case.claim, case.reading)
        first = min(points, key=lambda p: sum(p.sizes.values()))
        tried = set()
        for edit in edits(case.claim.right, context):
            if edit.right in tried:
                continue
            tried.add(edit.right)
            try:
                reading = read(replace(case.claim, right=edit.right), self.truth)
                for wanted in case.wanted:
                    if not reading.free and self.difference(reading, wanted, first) is None and self.equal(reading, wanted, points):
                        return edit
            except SymgradError:
                continue  # an edit that has no meaning
        return None

    def diagonal(self, case: Case) -> Edit | None:
        """Of y_l that all depend on b_k, the one with l = k alone: the Σ of the chain rule is missing."""
        left = case.claim.left
        assert isinstance(left, Deriv)
        assert isinstance(left.top, Name)
        assert isinstance(left.bottom, Name)
        if case.reading.free or left.top.name != self.truth.loss or not left.bottom.indices:
            return None
        for statement in self.truth.steps.users.get(left.bottom.name, ()):
            if len(self.truth.steps.tensors[statement.name].axes) == len(left.bottom.indices):
                middle = Name(statement.name, left.bottom.indices)
                part = Prod((("*", replace(left, bottom=middle)), ("*", replace(left, top=middle))))
                if self.same(case, part):
                    why = f"every {tree_text(middle)} depends on {tree_text(left.bottom)}: the Σ over all of them is missing"
                    return Edit("sum", why, case.claim.right, part)
        return None

    def same(self, case: Case, right: Tree) -> bool:
        try:
            found = read(replace(case.claim, right=right), self.truth)
            return all(_close(self.both(case.reading, p), self.both(found, p)) for p in self.places)
        except SymgradError:
            return False

    def both(self, reading: Reading, point: Point) -> list[Any]:
        return [value for _, value in reading.claimed(self.truth, point)]

    def unknown(self, case: Case) -> dict[str, Any]:
        """No single edit mends it: a wrong local derivative where the rest of the chain is there, else the first wrong term."""
        top = case.reading.key[0]
        context = expected.context(self.truth, case.claim, case.reading)
        adjoints = {tree for tree in context.chain if tree_text(tree).startswith(f"d{TEXT.show(case.claim.left.top)}/")}  # type: ignore[union-attr]
        if top != self.truth.loss or not adjoints or any(tree in _factors(case.claim.right) for tree in adjoints):
            return {
                "slip": "local derivative",
                "why": "the derivative of this step is wrong",
                "term": tree_text(self.term(case, context.terms)),
            }
        return {"slip": "other", "term": tree_text(self.term(case, context.terms))}

    def term(self, case: Case, right: Sequence[Tree]) -> Tree:
        """The first term of a claim that is no term of the right line."""
        tree = case.claim.right
        if not isinstance(tree, Sum) or len(tree.terms) < 2:
            return tree
        point = self.places[0]
        values = [self.cells(case, t, point) for t in right]
        for sign, term in tree.terms:
            found = self.cells(case, term if sign > 0 else Sum(((-1, term),)), point)
            if all(found is None or other is None or not _close(found, other) for other in values):
                return term
        return tree

    def cells(self, case: Case, tree: Tree, point: Point) -> list[Any] | None:
        try:
            return [value for _, value in read(replace(case.claim, right=tree), self.truth).claimed(self.truth, point)]
        except SymgradError:
            return None

    def example(self, case: Case) -> dict[str, Any] | None:
        """A point where the sides differ: the values that the claim reads, few digits."""
        for point in sorted(case.points, key=lambda p: sum(p.sizes.values())):
            found = self.difference(case.reading, case.wanted[0], point)
            if found is not None:
                cell, claimed, true = found
                env = next(env for here, env in case.reading.cells(self.truth, point) if here == cell)
                indices = {str(i.symbol): env[i.symbol] for i in case.reading.domain}
                at = {shown: _few(value) for shown, value in self.reads(case.reading, point)}
                where_ = ", ".join(f"{name} = {value}" for name, value in indices.items())
                return {"at": at, "cell": where_, "claimed": _few(claimed), "true": _few(true)}
        return None

    def reads(self, reading: Reading, point: Point) -> Iterable[tuple[str, Any]]:
        known = {**point.given, **point.values}
        for name in dict.fromkeys(map(name_of, accesses(reading.value))):
            key = reading.derivatives.get(name)
            yield (name, known[name]) if key is None else (f"d{key[0]}/d{key[1]}", self.truth.values(key, point))

    # several contributions

    def sums(self, cases: Sequence[Case], out: list[Check]) -> None:
        """Several += for one quantity: together they are the whole derivative."""
        groups: dict[Any, list[int]] = {}
        for k, case in enumerate(cases):
            if case.claim.op == "+=" and len(case.wanted) > 2 and not case.reading.free:
                groups.setdefault(case.reading.key, []).append(k)
        for key, members in groups.items():
            if len(members) < 2:
                continue
            if all(out[k].verdict == "right" for k in members) and not self.complete(key, [cases[k] for k in members]):
                last = members[-1]
                count = len(self.truth.contributions(key[1], self.places[0]))
                more = len(members) >= count
                why = "together these lines add up to " + ("too much" if more else "only a part of the derivative")
                out[last] = replace(out[last], verdict="wrong", slip="extra term" if more else "contribution", why=why, proof=None)

    def complete(self, key: Any, cases: Sequence[Case]) -> bool:
        for point in self.places:
            total = np.asarray(self.truth.values(key, point), dtype=object).copy()
            scale = max([abs(v) for v in total.flat] + [mpmath.mpf(10) ** -10])
            with mpmath.workdps(50):
                for case in cases:
                    for cell, value in case.reading.claimed(self.truth, point):
                        total[cell] = total[cell] - value
            if any(abs(v) > TOLERANCE * scale for v in total.flat):
                return False
        return True


def _close(one: Sequence[Any], two: Sequence[Any]) -> bool:
    return len(one) == len(two) and all(
        a is not None and b is not None and abs(a - b) <= TOLERANCE * (1 + abs(b)) for a, b in zip(one, two, strict=True)
    )


def _factors(tree: Tree) -> list[Tree]:
    from symgrad.answers.slips import spots

    return [node for node, _ in spots(tree) if not isinstance(node, Sum | Prod)]


def _few(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, np.ndarray):
        return [_few(v) for v in value]
    if isinstance(value, mpmath.mpc):
        return str(mpmath.nstr(value, 4))
    return value if isinstance(value, int) else float(mpmath.nstr(value, 4))


def _contribution_of(claims: Sequence[Claim], place: int) -> int | None:
    """The place of `dJ/db += dJ/dy*dy/db`, where this claim is the `dy/db = …` that stands beside it."""
    if claims[place].op != "=":
        return None
    before = place - 1
    while before >= 0 and claims[before].op == "=":
        before -= 1
    return before if before >= 0 and _holds(claims[before].right, claims[place].left) else None


def _holds(tree: Tree, part: Tree) -> bool:
    return tree == part or any(_holds(child, part) for child in children(tree))
