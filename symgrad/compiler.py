"""The whole pipeline on one page: Program → kernel.

batch → stabilize → normalize → reverse → collect → normalize → prune → merge → inline → reuse → schedule → text → load
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sympy import S

from symgrad.backends.entry import Part
from symgrad.backends.module import BACKENDS, module_text
from symgrad.calling import check_threads
from symgrad.core.collector import rare_collections
from symgrad.core.errors import SymgradError, did_you_mean
from symgrad.core.expr import access
from symgrad.core.graph import ancestors, find_loss
from symgrad.core.program import Program, Statement, Tensor, a_program, name_list
from symgrad.kernel import Kernel
from symgrad.schedule.blocks import blocked
from symgrad.schedule.checkpoint import checkpointed
from symgrad.schedule.kernels import Schedule
from symgrad.schedule.order import schedule
from symgrad.schedule.turned import turned
from symgrad.transform.batch import batch as add_batch
from symgrad.transform.collect import collect
from symgrad.transform.functions import expand
from symgrad.transform.gradients import expand_gradients
from symgrad.transform.normalize import normalize
from symgrad.transform.reuse import inline, merge, prune, reuse
from symgrad.transform.reverse import adjoint_names, reverse
from symgrad.transform.shares import shares
from symgrad.transform.stabilize import Fired
from symgrad.transform.stabilize import stabilize as stabilized

DTYPES = ("float64", "float32")


@rare_collections()
def compile(
    program: Program,
    loss: str | None = None,
    wrt: Iterable[str] | None = None,
    batch: Iterable[str] = (),
    dtype: str = "float64",
    backend: str = "numba",
    checkpoint: bool | int = False,
    threads: int | None = None,
    stabilize: bool = True,
) -> Kernel:
    """A kernel for the loss and its gradients.

    loss: as in `derive`. wrt: names; default the declared parameters, else all that is given.
    batch: inputs that get an example axis, first; the loss is then the mean over examples.
    dtype: "float64" or "float32". backend: "numba" (compiled) or "numpy", or an export: "jax", "torch" or "c".
    checkpoint: a recurrence over T steps keeps its state only where segments start, and computes the steps of a segment again
    when the gradient goes back through it: arrays for about 2√T steps in place of T, for the forward steps once more. True for √T
    segments, or how many (`symgrad.schedule.checkpoint`). `forward` returns whole arrays still.
    threads: how many share a call with many examples, with the same result to the last bit; by default what SYMGRAD_THREADS says,
    else as many as there are processors to use.
    stabilize: rewrite what overflows or loses its digits, such as log(sum(exp(…))), by `symgrad.transform.stabilize.RULES`
    (`kernel.rules` says what was done); False computes the formulas as they are written.

    Raises SG203 (unknown name), SG207 (unknown dtype or backend, threads below 1), SG210 (batch), SG311 (an extent that no
    array gives), SG402, SG403, SG406 (loss), SG408 (no recurrence that checkpoints fit), SG608 (`checkpoint` is no number),
    SG721 (`checkpoint` in an export).
    """
    choose("dtype", str(dtype), DTYPES)
    choose("backend", backend, BACKENDS)
    check_threads(threads)
    program = expand_gradients(a_program(program))
    loss = find_loss(program, loss)
    wrt = None if wrt is None else name_list(wrt)
    names = tuple(dict.fromkeys(program.known(name) for name in (wrt or program.params or _real(program))))
    batch = tuple(name_list(batch))
    primal = lower(program, loss, batch, stabilize)
    segments = _segments(checkpoint)
    parts = (gradient_part(primal, loss, names, segments, stabilize), front_part(program, primal, stabilize))
    text = module_text(program, parts, str(dtype), backend)
    return Kernel(program, primal, loss, names, batch, str(dtype), backend, text, segments, parts, threads, stabilize)


def _segments(checkpoint: bool | int) -> bool | int:
    if not isinstance(checkpoint, int) or (checkpoint < 1 and checkpoint is not False):
        raise SymgradError("SG608", f"checkpoint must be True, False or a number of segments, and is {checkpoint!r}")
    return checkpoint


def _real(program: Program) -> list[str]:
    return [name for name in program.free if program.tensors[name].values is None]


def choose(what: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise SymgradError(
            "SG207", f"there is no {what} {given}", hint=did_you_mean(given, known) or f"choose {' or '.join(known)}"
        )


@rare_collections()
def lower(program: Program, loss: str, batch: tuple[str, ...], stable: bool = True) -> Program:
    """The primal as kernels compute it."""
    batched = add_batch(expand(program), batch, loss)
    return normalize(stabilized(batched) if stable else batched)


@rare_collections()
def adjoint(primal: Program, loss: str, wrt: tuple[str, ...], stable: bool = True) -> Program:
    """Primal and adjoint statements, one reduction each."""
    joint = collect(reverse(primal, loss, wrt), "apart")
    return with_zeros(normalize(stabilized(joint) if stable else joint), loss, wrt)


def with_zeros(joint: Program, loss: str, wrt: tuple[str, ...]) -> Program:
    """A gradient of zeros for what the loss reads in conditions or under stop only."""
    bars = adjoint_names(joint, loss)
    for name in wrt:
        if name not in bars:
            axes = joint.tensors[name].axes
            bar = Tensor(joint.unused_name(f"{name}_bar"), axes, "defined", adjoint_of=(loss, name))
            zero = Statement(access(bar.name, *(axis.symbol for axis in axes)), S.Zero, axes)
            joint = joint.with_statements([*joint.statements, zero], [bar])
    return joint


def optimize(program: Program, outputs: Iterable[str], pinned: Iterable[str] = (), stable: bool = True) -> Program:
    """The same outputs from fewer and larger statements; `stable` as in `compile`."""
    keep = frozenset(outputs)
    program = inline(merge(prune(program, keep)), keep, frozenset(pinned))
    return prune(reuse(shares(program) if stable else program), keep)


def gradient_part(primal: Program, loss: str, wrt: tuple[str, ...], checkpoint: bool | int = False, stable: bool = True) -> Part:
    joint = adjoint(primal, loss, wrt, stable)
    bars = adjoint_names(joint, loss)
    part = back_part(joint, loss, {name: bars[name] for name in wrt}, f"{loss} and its gradients by {', '.join(wrt)}.", stable)
    if checkpoint is False:
        return part
    return replace(part, schedule=checkpointed(part.schedule, None if checkpoint is True else checkpoint))


def explained(kernel: Kernel) -> Schedule:
    """What a kernel that `compile` made does, in order: which sums are products of matrices, and why others are loops.

    >>> import symgrad as sg
    >>> p = sg.parse("y[n,j] = sum(W[j,i]*x[n,i] for i); J = sum(y[n,j]^2 for n, j)")
    >>> print(explained(sg.compile(p, wrt=["W"], backend="numpy")))
    |j| = extent of axis 1 of W
    |i| = extent of axis 2 of W
    |n| = extent of axis 1 of x
    Product  [n j i] y[n, j] = x·Wᵀ
    Contract [n j] J = …    loops: no two factors
    Map      [n j] y_bar[n, j] = …
    Product  [j n i] W_bar[j, i] = y_barᵀ·x
    """
    planned = kernel.parts[0].schedule
    return blocked(turned(planned)) if kernel.backend == "numba" else planned


def rules_of(kernel: Kernel) -> tuple[Fired, ...]:
    """What was done to the formulas, then to their derivatives, each once."""
    fired: list[Fired] = []
    primal = normalize(stabilized(add_batch(expand(kernel.program), kernel.batch, kernel.loss), fired))
    stabilized(collect(reverse(primal, kernel.loss, kernel.wrt), "apart"), fired)
    return tuple(dict.fromkeys(fired))


def back_part(joint: Program, value: str, results: Mapping[str, str], doc: str, stable: bool = True) -> Part:
    """The entry point that computes a value and derivatives, from all given quantities that they need or are by."""
    outputs = [value, *results.values()]
    needed = ancestors(joint, outputs) | set(results)
    arguments = [name for name in joint.free if name in needed]
    return Part(
        "value_and_grad", schedule(optimize(joint, outputs, stable=stable), arguments, outputs), {value: value, **results}, doc
    )


def front_part(program: Program, primal: Program, stable: bool = True) -> Part:
    """The entry point that computes all that the model defines."""
    defined = list(program.defined)
    needed = ancestors(primal, defined)
    given = [name for name in program.free if name in needed]
    planned = schedule(optimize(primal, defined, stable=stable), given, defined)
    return Part("forward", planned, {n: n for n in defined}, "Every quantity that the model defines.")


def front_kernel(kernel: Kernel, outputs: Sequence[str]) -> Kernel:
    """A kernel whose `forward` computes those quantities alone, over the same batch, from the arrays that they need.

    >>> import symgrad as sg
    >>> p = sg.parse("param w; input x, t; y = w*x; J = (y - t)^2; minimize J")
    >>> front_kernel(sg.compile(p, batch=["x", "t"], backend="numpy"), ["y"]).forward(w=2.0, x=[1.0, 3.0])
    {'y': array([2., 6.])}
    """
    program, needed = kernel.program, ancestors(kernel.primal, outputs)
    given = [name for name in program.free if name in needed]
    planned = schedule(optimize(kernel.primal, outputs, stable=kernel.stabilize), given, [*outputs])
    part = Part("forward", planned, {name: name for name in outputs}, f"{', '.join(outputs)} alone.")
    return replace(kernel, source=module_text(program, (part,), kernel.dtype, kernel.backend), parts=(part,))


def operator_kernel(
    program: Program, primal: Program, joint: Program, of: str, results: Mapping[str, str], dtype: str, backend: str
) -> Kernel:
    """The kernel of a Jacobian, a product with one, or a Hessian: a program that is differentiated already."""
    choose("dtype", str(dtype), DTYPES)
    choose("backend", backend, BACKENDS)
    joint = normalize(stabilized(joint))
    given = replace(program, tensors={**program.tensors, **{n: joint.tensors[n] for n in joint.free}})
    doc = f"{of} and {', '.join(results.values())}."
    parts = (back_part(joint, of, results, doc), front_part(program, primal))
    return Kernel(
        given,
        primal,
        of,
        tuple(results),
        (),
        str(dtype),
        backend,
        module_text(given, parts, dtype, backend),
        parts=parts,
        operator=True,
    )
