"""Random well-formed programs as text, by seed, and a shrinker: `program(7).text()`, `shrink(model, fails)`.

An expression is a `Node`, a form such as "sum({} for i)" over smaller nodes, so that a failing program shrinks by
dropping statements and by putting a node's child, or a number, in its place. Values stay moderate: what may grow is
held by tanh, and every function is smooth where random data fall.

>>> program(1).text() == program(1).text()
True
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random

SIZES = {"N": 3, "K": 1, "T": 2}
RANGES = {"N": ("1", "N"), "K": ("0", "K"), "T": ("1", "T")}
LETTERS = {"N": ("i", "j", "m"), "K": ("k", "l"), "T": ("t", "s")}
INPUTS = {
    "x": "N", "y": "N", "b": "K", "q": "T", "A": "NN", "B": "NK", "C": "KN", "D": "TN", "R": "NKT", "F": "NNKT", "c": "", "d": "",
}  # fmt: skip
WHOLE = {"w": ("T", "N"), "v": ("N", "K"), "p": ("", "N")}  # whole numbers: their axes, and the axis that they choose from
HEADER = """index i, j, m in 1..N, k, l in 0..K, t, s in 1..T
input w[t] in 1..N, v[i] in 0..K, p in 1..N, z[n in 0..3*K + N]
"""
UNARY = (
    "tanh({})", "sin({})", "cos({})", "sigmoid({})", "softplus({})", "exp(-({})^2)", "log(1 + ({})^2)", "sqrt(1 + ({})^2)",
    "({})^2", "-{}", "relu({})", "abs({})", "1/(2 + tanh({}))", "clip({}, -1, 1)", "erf({})", "sq({})", "({})^3/3", "exp(tanh({}))",
    "2*{}",
    "log(sigmoid({}))", "leaky_relu({}, 0.1)", "silu({})", "gelu({})", "(1.5 + tanh({}))^1.5",
)  # fmt: skip
BINARY = (
    "stop({})*({})", "({} + {})", "({} - {})", "({})*({})", "({})/(1 + ({})^2)", "max({}, {})", "min({}, {})", "mix({}, {})",
    "where({0} > 0.3, {1}, {0})", "(1.1 + tanh({}))^tanh({})",
)  # fmt: skip
# arrays that show every extent; a fixed cell of C exists only where all of it is used
ANCHOR = "sum(x[i]*c for i) + sum(b[k]*d for k) + sum(q[t]*c for t) + sum(C[k,i]*c for k for i)"
FUNCTIONS = ("sq(u) = u^2 + sin(u)", "mix(u, v) = u*tanh(v) + sq(v)")


@dataclass(frozen=True)
class Node:
    form: str
    parts: tuple[Node, ...] = ()

    def __str__(self) -> str:
        return self.form.format(*map(str, self.parts)) if self.parts else self.form

    def smaller(self) -> Iterator[Node]:
        """Nodes that may stand here instead, the smallest first."""
        if self.parts or not self.form[0].isdigit():
            yield Node("0.7")
        yield from self.parts
        for place, part in enumerate(self.parts):
            for new in part.smaller():
                yield replace(self, parts=(*self.parts[:place], new, *self.parts[place + 1 :]))


@dataclass(frozen=True)
class Line:
    """`left op value`, and the axes of what it defines."""

    left: str
    value: Node
    op: str = "="
    after: str = ""

    def __str__(self) -> str:
        return f"{self.left} {self.op} {self.value}{self.after}"


@dataclass(frozen=True)
class Model:
    """A program with the seed that it came from."""

    seed: int
    lines: tuple[Line, ...]
    header: str = HEADER
    functions: tuple[str, ...] = FUNCTIONS

    def text(self) -> str:
        return self.header + "\n".join([*self.functions, *map(str, self.lines)]) + "\nminimize J"

    def renamed(self, names: dict[str, str]) -> str:
        """The text with other letters for its indices."""
        return re.sub(r"\b\w+\b", lambda word: names.get(word[0], word[0]), self.text())

    def smaller(self) -> Iterator[Model]:
        """Models with less in them, which may be refused or right."""
        for place in range(len(self.lines) - 1):
            yield replace(self, lines=(*self.lines[:place], *self.lines[place + 1 :]))
        for place, line in enumerate(self.lines):
            for value in line.value.smaller():
                yield replace(self, lines=(*self.lines[:place], replace(line, value=value), *self.lines[place + 1 :]))


def shrink(model: Model, fails: Callable[[Model], bool], tries: int = 2000) -> Model:
    """A smaller model that still fails."""
    found = True
    while found and tries > 0:
        found = False
        for smaller in model.smaller():
            tries -= 1
            if fails(smaller):
                model, found = smaller, True
                break
            if tries <= 0:
                break
    return model


Scope = tuple[tuple[str, str], ...]  # letters with the kind of their range


@dataclass
class Writer:
    rng: Random
    stops: bool = False
    arrays: dict[str, str] = field(default_factory=lambda: dict(INPUTS))

    def expr(self, scope: Scope, depth: int) -> Node:
        if depth <= 0 or self.rng.random() < 0.12:
            return self.read(scope, depth)
        roll = self.rng.random()
        if roll < 0.34:
            return Node(self.rng.choice(UNARY), (self.expr(scope, depth - 1),))
        if roll < 0.62:
            form = self.rng.choice(BINARY if self.stops else BINARY[1:])
            return Node(form, (self.expr(scope, depth - 1), self.expr(scope, depth - 1)))
        if roll < 0.72 and scope:
            return self.choice_by_index(scope, depth)
        return self.reduction(scope, depth)

    def choice_by_index(self, scope: Scope, depth: int) -> Node:
        letter, kind = self.rng.choice(scope)
        others = [other for other, same in scope if same == kind and other != letter]
        end = self.rng.choice([*RANGES[kind], *others])
        condition = f"{letter} {self.rng.choice(('==', '!=', '<', '<=', '>', '>='))} {end}"
        return Node(f"where({condition}, {{}}, {{}})", (self.expr(scope, depth - 1), self.expr(scope, depth - 1)))

    def reduction(self, scope: Scope, depth: int) -> Node:
        free = [(letter, kind) for kind, letters in LETTERS.items() for letter in letters if letter not in dict(scope)]
        if not free or len(scope) > 3:
            return self.read(scope, depth)
        letter, kind = self.rng.choice(free)
        binder, ops, extra = self.binder(letter, kind, scope)
        body = self.expr((*scope, (letter, kind)), depth - 1)
        if self.rng.random() < 0.2 and (pair := [f for f in free if f[0] != letter]):
            other, its = self.rng.choice(pair)
            binder = f"{binder} for {other}"
            body = self.expr((*scope, (letter, kind), (other, its)), depth - 1)
        op = self.rng.choice(ops)
        body = Node("(0.8 + tanh({}))", (body,)) if op == "prod" else body
        return Node(f"{op}({{}} for {binder}{extra})", (body,))

    def binder(self, letter: str, kind: str, scope: Scope) -> tuple[str, tuple[str, ...], str]:
        """(binder, reductions that may run over it, guard): what may be empty is summed or multiplied only."""
        every = ("sum", "sum", "sum", "prod", "max", "min", "mean", "logsumexp")
        lo, hi = RANGES[kind]
        around = [other for other, same in scope if same == kind]
        roll = self.rng.random()
        if around and roll < 0.2:
            return f"{letter} in {self.rng.choice(around)}+1..{hi}", ("sum", "sum", "prod"), ""
        if around and roll < 0.3:
            return f"{letter} in {lo}..{self.rng.choice(around)}", every, ""
        if around and roll < 0.45:
            sign = self.rng.choice(("!=", "<=", ">", "=="))
            return letter, ("sum", "sum", "prod"), f" if {letter} {sign} {self.rng.choice(around)}"
        if roll < 0.55:
            return letter, ("sum", "prod"), f" if {self.access(kind, ((letter, kind),))} {self.rng.choice(('>=', '<'))} 0.5"
        if roll < 0.6 and kind != "K":
            return f"{letter} in {lo}+1..{hi}", every, ""
        return letter, every, ""

    def access(self, kind: str, scope: Scope) -> str:
        names = [name for name, axes in INPUTS.items() if axes == kind]
        return f"{self.rng.choice(names)}[{scope[-1][0]}]"

    def read(self, scope: Scope, depth: int) -> Node:
        """An array at indices in scope; the letters that are missing are summed over."""
        if self.rng.random() < 0.06:
            return Node(self.rng.choice(("0.5", "2", "1.25", "0")))
        kinds = {kind for _, kind in scope}
        if {"K", "N"} <= kinds and self.rng.random() < 0.15:
            first, second = self.letter(scope, "K"), self.letter(scope, "N")
            return Node(f"z[{self.rng.choice((f'2*{first}+{second}', f'{first}+{second}', f'{second}-{first}+1'))}]")
        near = [name for name, axes in self.arrays.items() if set(axes) <= kinds]
        name = self.rng.choice(near if near and self.rng.random() < 0.8 else list(self.arrays))
        new: list[tuple[str, str]] = []
        indices = [self.index(kind, scope, new) for kind in self.arrays[name]]
        shown = f"{name}[{','.join(indices)}]" if indices else name
        if not new:
            return Node(shown)
        loops = " ".join(f"for {letter}" for letter, _ in new)
        return Node(f"{self.rng.choice(('sum', 'mean', 'logsumexp'))}({shown} {loops})")

    def letter(self, scope: Scope, kind: str) -> str:
        return self.rng.choice([letter for letter, same in scope if same == kind])

    def index(self, kind: str, scope: Scope, new: list[tuple[str, str]]) -> str:
        here = [letter for letter, same in (*scope, *new) if same == kind]
        roll = self.rng.random()
        if roll < 0.08:
            return RANGES[kind][roll < 0.04]
        if roll < 0.18 and (gathered := self.gathered(kind, scope)):
            return gathered
        if here and roll < 0.9:
            letter = self.rng.choice(here)
            return f"{''.join(RANGES[kind][::-1])[0]}+1-{letter}" if kind != "K" and roll < 0.24 else letter
        unused = [letter for letter in LETTERS[kind] if letter not in dict((*scope, *new))]
        if not unused:
            return self.rng.choice(here)
        new.append((unused[0], kind))
        return unused[0]

    def gathered(self, kind: str, scope: Scope) -> str | None:
        found = []
        for name, (axes, values) in WHOLE.items():
            letters = [[letter for letter, same in scope if same == axis] for axis in axes]
            if values == kind and all(letters):
                found.append(f"{name}[{','.join(self.rng.choice(c) for c in letters)}]" if axes else name)
        return self.rng.choice(found) if found else None

    # statements

    def statement(self, name: str) -> list[Line]:
        kinds = self.rng.choice(("", "", "N", "N", "K", "T", "NN", "NK", "KN", "TN", "NT", "NK", "NNK", "KNT"))
        roll = self.rng.random()
        if roll < 0.2:
            return self.recurrence(name)
        letters = self.targets(kinds)
        lines = self.parts(name, letters) if roll < 0.3 and kinds[:1] in ("N", "T") else self.plain(name, letters)
        self.arrays[name] = kinds
        return lines

    def targets(self, kinds: str) -> Scope:
        out: list[tuple[str, str]] = []
        for kind in kinds:
            out.append((self.rng.choice([c for c in LETTERS[kind] if c not in dict(out)]), kind))
        return tuple(out)

    def plain(self, name: str, scope: Scope) -> list[Line]:
        depth = self.rng.choice((1, 2, 2, 3, 4)) - (len(scope) > 2)
        if self.rng.random() < 0.15:
            kinds = "".join(kind for _, kind in scope)
            targets = [scope, self.targets(kinds)]
            return [Line(shown(name, letters), held(self.expr(letters, depth - 1)), "+=") for letters in targets]
        return [Line(shown(name, scope), held(self.expr(scope, depth)))]

    def parts(self, name: str, scope: Scope) -> list[Line]:
        """The first cell, then the others."""
        (letter, kind), *rest = scope
        indices = ",".join(["1", *(other for other, _ in rest)])
        after = f" for {letter} in 2..{kind}"
        return [
            Line(f"{name}[{indices}]", held(self.expr(tuple(rest), 2))),
            Line(shown(name, scope), held(self.expr(scope, 2)), "=", after),
        ]

    def recurrence(self, name: str) -> list[Line]:
        lines, axes = self.rng.choice((self.chain, self.lag, self.backward, self.coupled, self.table, self.rows))(name)
        self.arrays |= axes
        return lines

    def chain(self, name: str) -> tuple[list[Line], dict[str, str]]:
        step = Node(f"tanh(c*{name}[t-1] + {{}})", (self.expr((("t", "T"),), 2),))
        return [Line(f"{name}[0]", self.expr((), 1)), Line(f"{name}[t]", held(step))], {}

    def lag(self, name: str) -> tuple[list[Line], dict[str, str]]:
        step = Node(f"sin(c*{name}[t-1] - {name}[t-2]/2 + {{}})", (self.expr((("t", "T"),), 2),))
        start = [Line(f"{name}[0]", self.expr((), 1)), Line(f"{name}[-1]", self.expr((), 1))]
        return [*start, Line(f"{name}[t]", held(step))], {}

    def backward(self, name: str) -> tuple[list[Line], dict[str, str]]:
        step = Node(f"tanh(d*{name}[t+1] + {{}})", (self.expr((("t", "T"),), 2),))
        return [Line(f"{name}[T+1]", self.expr((), 1)), Line(f"{name}[t]", step)], {}

    def coupled(self, name: str) -> tuple[list[Line], dict[str, str]]:
        other = f"{name}o"
        one = Node(f"tanh(sum(A[i,j]*{name}[t-1,j] for j) + {{}})", (self.expr((("t", "T"), ("i", "N")), 2),))
        two = Node(f"{name}[t-1,i]*d + sin({other}[t,i])")
        lines = [Line(f"{name}[0,i]", self.expr((("i", "N"),), 1)), Line(f"{other}[t,i]", one), Line(f"{name}[t,i]", held(two))]
        return lines, {other: "TN"}

    def table(self, name: str) -> tuple[list[Line], dict[str, str]]:
        scope = (("t", "T"), ("i", "N"))
        step = Node(f"tanh({name}[t-1,i]*c - {name}[t,i-1]/2 + {name}[t-1,i-1]*d + {{}})", (self.expr(scope, 1),))
        first = Line(f"{name}[0,i]", self.expr((("i", "N"),), 1), after=" for i in 0..N")
        first = replace(first, value=Node("0.3*i*d"))
        return [first, Line(f"{name}[t,0]", self.expr((("t", "T"),), 1)), Line(f"{name}[t,i]", step)], {}

    def rows(self, name: str) -> tuple[list[Line], dict[str, str]]:
        more = self.expr((("t", "T"), ("i", "N")), 1)
        step = Node(f"tanh(sum({name}[t-1,j]*A[j,i] for j) + max({name}[t-1,m] for m) + {{}})", (more,))
        return [Line(f"{name}[0,i]", self.expr((("i", "N"),), 1)), Line(f"{name}[t,i]", step)], {}

    def reads_all(self, lines: list[Line]) -> Node:
        """A loss in which everything that was defined takes part."""
        terms = []
        for name in dict.fromkeys(re.match(r"\w+", line.left)[0] for line in lines):  # type: ignore[index]
            rank = next(line.left for line in lines if line.left.startswith((f"{name}[", f"{name} ")) or line.left == name)
            count = rank.count(",") + 1 if "[" in rank else 0
            letters = ("i", "j", "m", "k", "t")[:count]
            terms.append(self.whole(name, letters, lines))
        return Node(" + ".join(["{}"] * len(terms)), tuple(terms))

    def whole(self, name: str, letters: tuple[str, ...], lines: list[Line]) -> Node:
        line = [line for line in lines if re.match(rf"{name}(\[|$)", line.left)][-1]
        inside = re.search(r"\[(.*)\]", line.left)
        own = inside[1].split(",") if inside else []
        loops = " ".join(f"for {letter}" for letter in own)
        return Node(f"sum({name}[{','.join(own)}]^2 {loops})" if own else f"{name}*{self.rng.choice(('c', 'd', '1.5'))}")


def shown(name: str, scope: Scope) -> str:
    return f"{name}[{','.join(letter for letter, _ in scope)}]" if scope else name


def held(value: Node) -> Node:
    """Values that later statements build on stay moderate."""
    return Node("2*tanh(({})/2)", (value,))


def program(seed: int, most: int = 8, least: int = 1) -> Model:
    """The model of a seed, with `least` to `most` quantities, the loss among them."""
    writer = Writer(Random(seed), seed % 5 == 4)
    lines: list[Line] = []
    for number in range(1, writer.rng.randint(least, most) + 1):
        lines += writer.statement(f"e{number}")
    lines.append(Line("J", Node("{} + {} + " + ANCHOR, (writer.reads_all(lines), writer.expr((), 3)))))
    writer.rng.shuffle(lines)
    return Model(seed, tuple(lines))
