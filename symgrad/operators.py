"""Jacobians, their products with vectors, and second derivatives, as programs that print and compile.

    jacobian   dy_i/dx_k                     vjp   x_bar_k = sum_i y_bar_i dy_i/dx_k
    hessian    d²J/dx_k dx_l                 jvp   y_dot_i = sum_k dy_i/dx_k x_dot_k
                                             hvp   sum_l d²J/dx_k dx_l x_dot_l

>>> import symgrad as sg
>>> p = sg.parse("index i, k in 1..N; y[i] = tanh(sum(A[i,k]*x[k] for k))")
>>> print(jacobian(p, "y", "x").closed("x").text())
dy_i/dx_k = A_ik (1 − y_i²)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import sympy as sp

from symgrad.compiler import lower, operator_kernel
from symgrad.core.drawing import Drawing
from symgrad.core.errors import SymgradError
from symgrad.core.expr import access, name_of
from symgrad.core.graph import ancestors, descendants, find_loss, in_rings, ordered
from symgrad.core.layout import Layout
from symgrad.core.page import Page, Row, Section
from symgrad.core.program import Program, Statement, a_program, name_list
from symgrad.derivation import Gradient, differentiable, only
from symgrad.kernel import Kernel
from symgrad.printers.formats import DRAWINGS, Printed, choose
from symgrad.transform import reverse as adjoints
from symgrad.transform.chain import forward_line, slides
from symgrad.transform.closed import closed_form, renamed
from symgrad.transform.collect import collect
from symgrad.transform.drawing import drawing
from symgrad.transform.forward import forward, tangent_names
from symgrad.transform.gradients import expand_gradients
from symgrad.transform.reuse import prune
from symgrad.transform.simplify import assume, tidy


@dataclass(frozen=True)
class Built:
    """The model with the statements of a derivative as raw `+=`; see `Operator`."""

    raw: Program
    results: Mapping[str, str]
    inputs: tuple[str, ...] = ()
    tangents: Mapping[str, str] = field(default_factory=dict)  # of `inputs`, which is whose


@dataclass(frozen=True)
class Operator(Printed):
    """A derivative of `of` by `wrt`.

    `results` names its outputs: what it is by → the quantity that holds it. `inputs` are the arrays that it
    needs beside the model's: the cotangent or the tangents.
    """

    kind: str
    program: Program
    of: str
    wrt: tuple[str, ...]

    @cached_property
    def built(self) -> Built:
        return BUILD[self.kind](
            _readable(self.program, self.of, self.wrt) if self.kind in SECOND else self.program, self.of, self.wrt
        )

    @property
    def raw(self) -> Program:
        return self.built.raw

    @property
    def results(self) -> Mapping[str, str]:
        return MappingProxyType(dict(self.built.results))

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.built.inputs

    @cached_property
    def whole(self) -> Program:
        """The model and its derivative, each quantity of the derivative in as few equations as its parts need."""
        return self._pruned(collect(self.raw, "parts", self._added))

    @cached_property
    def backward(self) -> Program:
        """The equations of the derivative alone."""
        return only(self.whole, [s for s in self.whole.statements if s.name not in self.program.definitions])

    @property
    def _added(self) -> frozenset[str]:
        return frozenset(self.raw.defined) - frozenset(self.program.defined)

    def _pruned(self, program: Program) -> Program:
        return prune(program, [self.of, *self.results.values(), *self.program.defined])

    def page(self) -> Page:
        """The chain rule of a Jacobian; else the model and, below it, the equations of the derivative."""
        if self.kind == "jacobian":
            return Page(slides(self.program, self.raw, self.of))
        layout = Layout.of(self.whole, derivatives=True)
        needed = ancestors(self.whole, [self.of, *self.results.values()])
        rows = [
            (s, Row(forward_line(s.with_value(tidy(s.value)), self.whole, layout))) for s in ordered(self.whole) if s.name in needed
        ]
        model = tuple(row for s, row in rows if s.name in self.program.definitions)
        return Page((Section(("Model",), model), Section((TITLES[self.kind],), tuple(row for s, row in rows if row not in model))))

    def drawing(self) -> Drawing:
        """The graph of the model with the local derivatives of `of`, which every one of these derivatives multiplies."""
        return drawing(self.program, adjoints.jacobian(self.program, self.of, self.wrt), self.of)

    def graph(self, format: str = "svg") -> str:
        """The graph as "svg", "dot", "mermaid" or "tikz". Raises SG207.

        >>> import symgrad as sg
        >>> print(jacobian(sg.parse("index i in 1..N; y[i] = x[i]^2")).graph("mermaid").splitlines()[1])
          n0[["y#95;i = x#95;i²"]]
        """
        return DRAWINGS[choose(format, DRAWINGS)].write(self.drawing())

    def closed(self, name: str) -> Gradient:
        """One result in closed form, in quantities of the model that have names. Raises SG203, SG506."""
        if name not in self.results:
            raise SymgradError("SG203", f"there is no derivative by {name}", hint=f"there are {', '.join(self.results)}")
        whole = collect(self.raw, "one", self._added)
        target = self.results[name]
        invented = [name for name in whole.defined if name not in self.program.definitions]
        value, used = assume(closed_form(target, whole, self.program, invented), self.program.assumptions)
        tensor = whole.tensors[target]
        value = renamed(tidy(value), tensor, whole)
        statement = Statement(access(target, *(axis.symbol for axis in tensor.axes)), value, tensor.axes)
        found = only(whole, [statement])
        return Gradient(
            found.statements, found.tensors, ranges=found.ranges, written=found.written, functions=found.functions, used=tuple(used)
        )

    def compile(self, dtype: str = "float64", backend: str = "numba") -> Kernel:
        """A kernel: k(**arrays) → (the value of `of`, {name: derivative}); arrays are the model's and `inputs`."""
        primal = lower(self.program, self.of, ())
        built = BUILD[self.kind](primal, self.of, self.wrt)
        added = frozenset(built.raw.defined) - frozenset(primal.defined)
        joint, results = self._with_all(collect(built.raw, "apart", added), built.results)
        return operator_kernel(self.program, primal, joint, self.of, results, dtype, backend)

    def _with_all(self, joint: Program, found: Mapping[str, str]) -> tuple[Program, dict[str, str]]:
        """The results that are printed: a block of a Hessian may be seen to be zero in one form and not in another."""
        results: dict[str, str] = {}
        for name, own in self.results.items():
            results[name] = found.get(name) or joint.unused_name(own)
            if name not in found:
                zero = replace(self.raw.tensors[own], name=results[name])
                statement = Statement(access(zero.name, *(axis.symbol for axis in zero.axes)), sp.S.Zero, zero.axes)
                joint = joint.with_statements([*joint.statements, statement], [zero])
        return joint, results

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__


TITLES = {
    "vjp": "Cotangents, from the result down", "jvp": "Tangents", "hvp": "The gradient and its tangent",
    "hessian": "The gradient and its derivatives",
}  # fmt: skip


def jacobian(program: Program, of: str | None = None, wrt: Iterable[str] | None = None) -> Operator:
    """dy_i/dx_k of a quantity with any indices, by the chain rule dy_i/dx_k = Σ_j dy_i/du_j · du_j/dx_k.

    of: a defined quantity; default the one that nothing else uses. wrt: names; default the declared params, else all
    that is given but for targets and whole numbers.
    The result has the axes of y, then those of x. Raises SG203, SG402, SG405, SG406.
    """
    return _operator("jacobian", program, of, wrt)


def vjp(program: Program, of: str | None = None, wrt: Iterable[str] | None = None) -> Operator:
    """x_bar_k = Σ_i y_bar_i dy_i/dx_k for a cotangent y_bar, one more input with the shape of y."""
    return _operator("vjp", program, of, wrt)


def jvp(program: Program, of: str | None = None, wrt: Iterable[str] | None = None) -> Operator:
    """y_dot_i = Σ_k dy_i/dx_k x_dot_k for tangents x_dot, inputs with the shapes of `wrt`; forward mode.

    The result is named "y_dot".
    """
    return _operator("jvp", program, of, wrt)


def hvp(program: Program, loss: str | None = None, wrt: Iterable[str] | None = None) -> Operator:
    """Σ_l d²J/dx_k dx_l x_dot_l for tangents x_dot, over all of `wrt` together: forward mode over reverse mode."""
    return _operator("hvp", program, find_loss(a_program(program), loss), wrt)


@dataclass(frozen=True)
class Curvature:
    """The Hessian of what `of` computes times a vector, by `of.wrt`; `tangents` names the vector's parts as `kernel` does.

    There is no kernel where the Hessian is zero for all arrays.
    """

    of: Kernel
    kernel: Kernel | None
    tangents: Mapping[str, str]

    def __call__(self, params: Mapping[str, Any], along: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
        """Σ_l d²J/dx_k dx_l along_l for each x of `params`. Of `along`, what is left out is 0."""
        found: Mapping[str, Any] = {}
        if self.kernel is not None:
            given = {**data, **params}
            parts = {own: along[name] if name in along else np.zeros(np.shape(given[name])) for name, own in self.tangents.items()}
            _, found = self.kernel(**{name: given[name] for name in self.kernel.arguments if name in given}, **parts)
        return {name: found[name] if name in found else np.zeros(np.shape(each)) for name, each in params.items()}


@lru_cache(maxsize=64)
def curvature(kernel: Kernel) -> Curvature:
    """The second derivatives of a compiled kernel, over its batch as it is, as a product with a vector; kept for the next call.

    Forward mode over the gradient that the kernel computes, with the same rules of stability (Pearlmutter 1994).
    """
    try:
        built = _hvp(kernel.primal, kernel.loss, kernel.wrt)
    except SymgradError as error:
        if error.code != "SG406":
            raise
        return Curvature(kernel, None, {})
    added = frozenset(built.raw.defined) - frozenset(kernel.primal.defined)
    joint = collect(built.raw, "apart", added)
    made = operator_kernel(kernel.program, kernel.primal, joint, kernel.loss, built.results, kernel.dtype, kernel.backend)
    return Curvature(kernel, made, built.tangents)


def hessian(program: Program, loss: str | None = None, wrt: Iterable[str] | None = None) -> Operator:
    """d²J/dx_k dx_l. `results` are named "x" for the block of x with itself, "x,w" for that of x with w.

    Blocks that are zero for all arrays are left out.
    """
    return _operator("hessian", program, find_loss(a_program(program), loss), wrt)


def _operator(kind: str, program: Program, of: str | None, wrt: Iterable[str] | None) -> Operator:
    program = expand_gradients(a_program(program))
    of = _last(program) if of is None else program.known(of)
    if of not in program.definitions:
        raise SymgradError("SG402", f"{of} is given, not defined, so it has no derivative", hint="name a defined quantity")
    names = [*program.params] or differentiable(program) if wrt is None else name_list(wrt)
    names = [n for n in names if wrt is not None or n in ancestors(program, [of])]
    operator = Operator(kind, program, of, tuple(program.known(name) for name in names))
    if not operator.built.results:  # refused here, not when it is printed
        raise SymgradError("SG406", f"the derivative of {of} by {', '.join(names)} is zero", hint="name what it depends on in wrt")
    return operator


def _last(program: Program) -> str:
    """The defined quantity that nothing else uses."""
    found = [name for name in program.defined if all(s.name == name for s in program.users.get(name, ()))]
    if len(found) == 1:
        return found[0]
    raise SymgradError("SG402", f"which quantity to differentiate is not clear: {', '.join(found)}", hint="pass of=")


def _jacobian(program: Program, of: str, wrt: tuple[str, ...]) -> Built:
    raw = adjoints.jacobian(program, of, wrt)
    return Built(raw, _by(wrt, adjoints.adjoint_names(raw, of)))


def _vjp(program: Program, of: str, wrt: tuple[str, ...]) -> Built:
    cotangent = program.unused_name(f"{of}_bar")
    raw = adjoints.pullback(program, of, wrt, cotangent)
    bars = {name_of(part.read): s.name for s in raw.statements for part in s.origin.contributions}
    return Built(raw, _by(wrt, bars), (cotangent,))


def _jvp(program: Program, of: str, wrt: tuple[str, ...]) -> Built:
    raw, dots = forward(program, wrt), tangent_names(program, wrt)
    results = {dots[of]: dots[of]} if dots.get(of) in raw.definitions else {}
    return Built(raw, results, tuple(dots[name] for name in wrt))


def _hvp(program: Program, loss: str, wrt: tuple[str, ...]) -> Built:
    joint = _with_gradient(program, loss, wrt)
    bars, dots = adjoints.adjoint_names(joint, loss), tangent_names(joint, wrt)
    raw = forward(joint, wrt)
    results = {name: dots[bars[name]] for name in wrt if name in bars and dots.get(bars[name]) in raw.definitions}
    if not results:
        raise _no_curvature(loss, wrt)
    needed = ancestors(raw, results.values())
    tangents = {name: dots[name] for name in wrt if dots[name] in needed}
    return Built(raw, results, tuple(tangents.values()), tangents)


def _hessian(program: Program, loss: str, wrt: tuple[str, ...]) -> Built:
    raw = _with_gradient(program, loss, wrt)
    bars = adjoints.adjoint_names(raw, loss)
    results: dict[str, str] = {}
    for place, name in enumerate(wrt):
        others = [other for other in wrt[place:] if name in bars and bars[name] in descendants(raw, [other])]
        if others:
            raw = adjoints.jacobian(raw, bars[name], others)
            found = adjoints.adjoint_names(raw, bars[name])
            results |= {name if other == name else f"{name},{other}": found[other] for other in others if other in found}
    if not results:
        raise _no_curvature(loss, wrt)
    return Built(raw, results)


def _with_gradient(program: Program, loss: str, wrt: tuple[str, ...]) -> Program:
    """The model and the gradients by `wrt`, unless they are there in closed form."""
    there = adjoints.adjoint_names(program, loss)
    return program if there else collect(adjoints.reverse(program, loss, wrt), "one")


def _readable(program: Program, loss: str, wrt: tuple[str, ...]) -> Program:
    """The model with its gradients in closed form, which is what a person would differentiate again."""
    joint = collect(adjoints.reverse(program, loss, wrt), "one")
    if in_rings(joint):
        return program
    bars = adjoints.adjoint_names(joint, loss)
    statements = []
    for name in wrt:
        if name in bars:
            tensor = joint.tensors[bars[name]]
            try:
                value, _ = assume(closed_form(bars[name], joint, program), program.assumptions)
            except SymgradError:
                return program  # too large to read
            value = renamed(tidy(value), tensor, joint)
            statements.append(Statement(access(tensor.name, *(axis.symbol for axis in tensor.axes)), value, tensor.axes))
    more = [joint.tensors[statement.name] for statement in statements]
    return program.with_statements([*program.statements, *statements], more)


def _by(wrt: tuple[str, ...], bars: Mapping[str, str]) -> dict[str, str]:
    return {name: bars[name] for name in wrt if name in bars}


def _no_curvature(loss: str, wrt: tuple[str, ...]) -> SymgradError:
    return SymgradError("SG406", f"the second derivatives of {loss} by {', '.join(wrt)} are zero")


SECOND = ("hvp", "hessian")
BUILD: Mapping[str, Callable[[Program, str, tuple[str, ...]], Built]] = {
    "jacobian": _jacobian, "vjp": _vjp, "jvp": _jvp, "hvp": _hvp, "hessian": _hessian,
}  # fmt: skip
