r"""Functions and reductions with their arguments, and cases: \log y z, \sum_{i=0}^M, \max_j."""

from __future__ import annotations

from dataclasses import replace

from symgrad.core.errors import SymgradError
from symgrad.core.tree import Binder, Call, Compare, Name, Num, Pow, Prod, Reduce, Sum, Tree
from symgrad.frontend.convert import all_nodes
from symgrad.frontend.latex_document import CASES
from symgrad.frontend.latex_grammar import (
    BODY,
    BY_WORD,
    COMPARISONS,
    conjuncts,
    shifted,
)
from symgrad.frontend.latex_symbols import Symbols
from symgrad.frontend.latex_tokens import BIG, FUNCTION_COMMANDS
from symgrad.frontend.syntax import JUXTAPOSED, Token, describe, join, span_of


class Reductions(Symbols):
    """Functions, sums and their like, cases."""

    # functions

    def function(self, token: Token, name: str) -> Tree:
        r"""\log y, \log(y), \exp b, \max(0, u), \sin^2 x."""
        if self.sees("_") and name in ("max", "min"):
            return self.big(token, name)
        if self.sees("_"):
            raise SymgradError("SG139", f"{token.span.text} has no subscript here", self.token.span, "logarithms are natural")
        power = self.function_power(token)
        if self.sees("(", "[", r"\{", "{"):
            args, end = self.arguments()
            tree: Tree = Call(name, tuple(args), token.span.to(end))
        else:
            arg = self.bare_argument(token)
            tree = Call(name, (arg,), token.span.to(span_of(arg)))
        if power is not None:
            return Pow(tree, power, span_of(tree))
        return self.powers(tree)

    def function_power(self, token: Token) -> Tree | None:
        if not self.sees("^"):
            return None
        self.next()
        power = self.exponent()
        if isinstance(power, Sum):
            raise SymgradError(
                "SG137", f"{token.span.text}^{{-1}} may be the inverse function or 1/{token.span.text}", span_of(power)
            )
        return power

    def bare_argument(self, token: Token) -> Tree:
        """The product that stands side by side, up to + or - or the next function or sum."""
        if self.sees("-"):
            sign = self.next()
            arg = self.bare_argument(token)
            return Sum(((-1, arg),), sign.span.to(span_of(arg)))
        factors = [self.expression(JUXTAPOSED)]
        while self.starts() and not self.ends_argument():
            factors.append(self.expression(JUXTAPOSED))
        if len(factors) == 1:
            return factors[0]
        tree = Prod(tuple(("*", factor) for factor in factors), join(factors[0], factors[-1]))
        self.known.note(f"{token.span.text} takes the whole product {' '.join(span_of(tree).text.split())}")
        return tree

    def ends_argument(self) -> bool:
        token = self.token
        return token.text in FUNCTION_COMMANDS or token.text in BIG or (token.kind == "upright" and token.text in BY_WORD)

    # sums and their like

    def arg(self) -> Tree:
        token = self.next()
        which = self.next()
        if which.text not in (r"\max", r"\min"):
            raise SymgradError("SG105", f"expected \\max or \\min after \\arg, found {describe(which)}", which.span)
        return self.big(token, "arg" + which.text[1:])

    def big(self, token: Token, op: str) -> Tree:
        r"""\sum_{i=0}^M body, \max_j body; \max(0, u) is a function."""
        if op in ("max", "min") and not self.sees("_"):
            return self.function(token, op)
        binders, guards, top = list[Binder](), list[Tree](), None
        while self.sees("_", "^"):
            if self.take("_"):
                binders, guards = self.limits()
            else:
                self.next()
                top = self.exponent()
        around = self.scope
        compared = _plain_names(guards)
        self.scope = around | {b.name for b in binders} | compared
        body = self.expression(BODY)
        self.scope = around
        binders = binders or self.implied(compared & index_names(body) - around, guards)
        binders = self.finished(binders, top, token)
        tree = Reduce(op, body, tuple(binders), guards[0] if guards else None, token.span.to(span_of(body)))
        return self.guarded(tree, guards) if len(guards) > 1 else tree

    def implied(self, names: frozenset[str], guards: list[Tree]) -> list[Binder]:
        r"""\sum_{i<j}, \sum_{i \ne j}: over those of the names that nothing around it binds, and that are indices in its body."""
        found = {node.name: Binder(node.name, span=node.span) for guard in guards for node in all_nodes(guard)
                 if isinstance(node, Name) and node.name in names}  # fmt: skip
        if found:
            self.known.note(f"the sum under the condition {span_of(guards[0]).text} runs over {' and '.join(found)}")
        return list(found.values())

    def guarded(self, tree: Reduce, guards: list[Tree]) -> Tree:
        """The language has one guard; others become choices in the body, which only a sum may leave as 0."""
        if tree.op not in ("sum", "prod"):
            raise SymgradError("SG139", "one condition is read here", span_of(guards[1]), "put them in one comparison")
        body = tree.body
        for guard in guards[1:]:
            body = Call("where", (guard, body, Num("0" if tree.op == "sum" else "1", tree.span)), tree.span)
        return replace(tree, body=body)

    def finished(self, binders: list[Binder], top: Tree | None, token: Token) -> list[Binder]:
        if not binders:
            raise SymgradError("SG113", f"{token.span.text} needs an index to run over", token.span, r"write \sum_{i=1}^N")
        half = [b for b in binders if b.lo is not None and b.hi is None]
        if top is None and half:
            raise SymgradError("SG115", f"the upper end of {half[0].name} is missing", half[0].span, r"write \sum_{i=1}^N")
        if top is not None and not half:
            raise SymgradError("SG115", "the lower end is missing", binders[0].span, r"write \sum_{i=1}^N")
        return [replace(b, hi=top) if b in half else b for b in binders]

    def limits(self) -> tuple[list[Binder], list[Tree]]:
        """The index or indices below a sum, and its conditions."""
        if not self.sees("{"):
            name = self.index_letter()
            assert isinstance(name, Name)
            return [Binder(name.name, span=name.span)], []
        self.next()
        nested = bool(self.take(r"\substack")) and bool(self.take("{"))
        binders: list[Binder] = []
        guards: list[Tree] = []
        while True:
            self.limit_item(binders, guards)
            if not (self.take(",") or self.take(":") or self.take("|") or self.take(r"\\") or self.take(";")):
                break
        if nested:
            self.need("}", "after the indices")
        self.need("}", "after the indices")
        return binders, guards

    def limit_item(self, binders: list[Binder], guards: list[Tree]) -> None:
        bars, self.bars = self.bars, 1
        calls, self.calls = self.calls, False
        left = self.expression(10)
        if self.take(r"\in"):
            binders.append(self.range_of(left))
        elif isinstance(left, Name) and not left.indices and self.token.text not in COMPARISONS:
            binders.append(Binder(left.name, span=left.span))
        else:
            self.compared(left, binders, guards)
        self.bars, self.calls = bars, calls

    def compared(self, left: Tree, binders: list[Binder], guards: list[Tree]) -> None:
        """i = 0 (the upper end stands above), 0 <= i <= D, or a condition."""
        names = {b.name for b in binders}
        sign = self.token.text
        if sign not in COMPARISONS:
            raise SymgradError("SG115", f"expected an index, found {span_of(left).text}", span_of(left))
        self.next()
        middle = self.expression(10)
        if sign in ("<", "<=") and self.sees("<", "<="):
            self.chained([left, middle], [sign], binders, guards)
            return
        if sign == "=" and isinstance(left, Name) and not left.indices and left.name not in names:
            if self.sees(",") and self.peek().text == r"\dots":
                binders.append(self.dotted(left, middle))
                return
            binders.append(Binder(left.name, middle, None, span_of(left).to(span_of(middle))))
            return
        guards.append(Compare(sign, left, middle, join(left, middle)))

    def chained(self, ends: list[Tree], signs: list[str], binders: list[Binder], guards: list[Tree]) -> None:
        r"""0 \le i \le D, 1 \le i < j \le N: each name between the ends runs from the one before it."""
        while self.sees("<", "<="):
            signs.append(self.next().text)
            ends.append(self.expression(10))
        names = {b.name for b in binders}
        inner = [e.name if isinstance(e, Name) and not e.indices and e.name not in names else "" for e in ends[1:-1]]
        if not all(inner):
            pairs = zip(signs, ends, ends[1:], strict=False)
            guards += [Compare(sign, low, high, join(low, high)) for sign, low, high in pairs]
            return
        hi = shifted(ends[-1], signs[-1], -1)
        for low, sign, name in zip(ends, signs, inner, strict=False):
            binders.append(Binder(name, shifted(low, sign, 1), hi, join(ends[0], ends[-1])))

    def range_of(self, left: Tree) -> Binder:
        r"""i \in \{1, \dots, K\}."""
        if not isinstance(left, Name) or left.indices:
            raise SymgradError("SG115", f"expected the name of an index, found {span_of(left).text}", span_of(left))
        self.need(r"\{", r"after \in")
        binder = self.dotted(left, self.expression(10))
        self.need(r"\}", "after the range")
        return binder

    def dotted(self, name: Name, lo: Tree) -> Binder:
        r"""1, \dots, K or 1, 2, \dots, K, and downwards K, \dots, 1."""
        self.need(",", "after the least value")
        if not self.sees(r"\dots"):
            self.expression(10)
            self.need(",", "in the range")
        self.need(r"\dots", "in the range")
        self.need(",", "in the range")
        hi = self.expression(10)
        span = span_of(name).to(span_of(hi))
        if _downwards(lo, hi):
            lo, hi = hi, lo  # t = T, …, 1, as the steps of a backward pass are written
        return Binder(name.name, lo, hi, span)

    # cases

    def cases(self) -> Tree:
        opening = self.next()
        if opening.text not in CASES:
            raise SymgradError("SG136", f"the environment {opening.text} cannot stand inside a formula", opening.span)
        rows: list[tuple[Tree, Compare | None]] = []
        while self.token.kind != "close":
            rows.append(self.case())
            self.skip_breaks()
            if len(rows) > 1 and rows[-2][1] is None:
                raise SymgradError("SG139", "nothing is reached after the case without a condition", span_of(rows[-1][0]))
        end = self.next()
        span = opening.span.to(end.span)
        if not rows or rows[-1][1] is not None:
            raise SymgradError(
                "SG134", "the cases say nothing where none of the conditions holds", span, r"end with & \text{otherwise}"
            )
        tree = rows[-1][0]
        for value, condition in reversed(rows[:-1]):
            assert condition is not None
            branch = value
            for one in reversed(conjuncts(condition)):
                branch = Call("where", (one, branch, tree), span)
            tree = branch
        return tree

    def skip_breaks(self) -> None:
        while self.sees(r"\\"):
            self.next()

    def case(self) -> tuple[Tree, Compare | None]:
        value = self.expression(10)
        self.take(",")
        self.take("&")
        word = self.next().text.strip().lower() if self.token.kind in ("text", "upright") else ""
        if word in ("otherwise", "else", "otherwise.") or (not word and (self.sees(r"\\") or self.token.kind == "close")):
            return value, None
        condition = self.single_condition()
        self.take(",")
        return value, condition


def _plain_names(trees: list[Tree]) -> frozenset[str]:
    return frozenset(node.name for tree in trees for node in all_nodes(tree) if isinstance(node, Name) and not node.indices)


def index_names(tree: Tree) -> frozenset[str]:
    """The names that stand in indices."""
    return _plain_names([index for node in all_nodes(tree) if isinstance(node, Name) for index in node.indices])


def _downwards(lo: Tree, hi: Tree) -> bool:
    """T, …, 1 or 4, …, 1; not -K, …, 0 or -2, …, 2."""
    if not isinstance(hi, Num) or (isinstance(lo, Sum) and lo.terms[0][0] < 0):
        return False
    return float(lo.text) > float(hi.text) if isinstance(lo, Num) else True
