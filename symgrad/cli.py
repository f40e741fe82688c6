"""The command line: symgrad derive | check | compile | train.

A refusal goes to standard error and exits with 2, nothing is written then; a fault of symgrad exits with 70.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symgrad.core.errors import SymgradError, did_you_mean
from symgrad.core.program import Program

if TYPE_CHECKING:
    from symgrad.core.page import Page
    from symgrad.derivation import Derivation
    from symgrad.trainer import Settings

RATES = {"adam": 0.005, "adamw": 0.005, "sgd": 0.1, "momentum": 0.02, "nesterov": 0.02, "rmsprop": 0.005, "adagrad": 0.05}
PICTURED = ("graph", "network")  # styles of a picture of the model
PICTURES = (".png", ".svg", ".pdf")
LANGUAGES = ("auto", "text", "latex")
MODEL_HELP = "a .sg or .tex file, - for standard input, or the equations themselves"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Unicode shows codes, not a failure
    try:
        options = _parser().parse_args(argv)
        command: Callable[[Any], int | None] = options.command
        status = command(options)
        sys.stdout.flush()
        return status or 0
    except SymgradError as error:
        print(error, file=sys.stderr)
        return 2
    except MemoryError:
        print("SG508: there is not enough memory for this\nhint: smaller extents, or fewer examples", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader has gone; keep the interpreter from saying so at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("SYMGRAD_DEBUG"):
            raise
        print(f"symgrad: internal error, {type(error).__name__}: {error}", file=sys.stderr)
        print("This is a fault of symgrad; please report it. SYMGRAD_DEBUG=1 shows where.", file=sys.stderr)
        return 70


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise SymgradError("SG706", f"the command line cannot be read: {message}", hint=f"{self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="symgrad", description="Equations in index notation → their backward pass, printed and compiled.")
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(title="commands", required=True, parser_class=_Parser)
    _derive_options(commands.add_parser("derive", help="print the backward pass"))
    _check_options(commands.add_parser("check", help="are these hand-derived gradients right?"))
    _compile_options(commands.add_parser("compile", help="write a Python module with the kernel"))
    _train_options(commands.add_parser("train", help="train a model on data"))
    return parser


def _version() -> str:
    from importlib.metadata import version

    return f"symgrad {version('symgrad')}"


def _model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="FILE|-|EQUATIONS", help=MODEL_HELP)
    _language_option(parser)
    parser.add_argument("--loss", type=_name, help="the loss; default: the model's goal, or its one unused scalar")
    parser.add_argument("--wrt", type=_names, help="names, separated by commas")


def _language_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        dest="language",
        default="auto",
        metavar="latex|text",
        help="what the equations are written in; default: as they look",
    )


def _derive_options(parser: argparse.ArgumentParser) -> None:
    from symgrad.printers.formats import DRAWINGS, FORMATS

    _model_options(parser)
    styles = "slides (default), steps, modules, closed or matrix; of a picture graph (default) or network"
    parser.add_argument("--style", help=styles)
    choices = f"{', '.join(FORMATS)}; or a picture of the model as {', '.join(DRAWINGS)}"
    parser.add_argument("--format", default="text", help=f"{choices} (default: text)")
    parser.add_argument("--standalone", action="store_true", help="a whole document instead of a fragment of latex or tikz")
    size = "how many values the index whose range ends with D has in the picture of the network; default 3"
    parser.add_argument("--size", action="append", default=[], metavar="D=2", help=size)
    parser.add_argument("--gradient", metavar="NAME", type=_name, help="print only dJ/dNAME, in closed form")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file instead of the terminal")
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    parser.add_argument("--explain", action="store_true", help="say how LaTeX was read, and the rules behind closed forms")
    parser.set_defaults(command=derive)


def _check_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="FILE|-|EQUATIONS", help=MODEL_HELP)
    parser.add_argument(
        "answers", nargs="+", metavar="ANSWERS", help="files or folders of claims, - , or a claim itself: 'dJ/dx = 2*x'"
    )
    parser.add_argument("--loss", type=_name, help="the loss; default: the model's goal, or its one unused scalar")
    parser.add_argument("--json", action="store_true", help="results as JSON")
    parser.add_argument("--quiet", action="store_true", help="print only what is wrong")
    parser.set_defaults(command=check_answers)


def _compile_options(parser: argparse.ArgumentParser) -> None:
    _model_options(parser)
    parser.add_argument("-o", "--output", required=True, metavar="net.py", help="the module to write")
    parser.add_argument("--batch", type=_names, default=(), help="inputs with an example axis, separated by commas")
    parser.add_argument("--dtype", default="float64", help="float64 (default) or float32")
    parser.add_argument("--backend", default="numba", help="numba (default) or numpy")
    native = "machine code beside the module, net.kernel.so, so that it starts at once and needs NumPy alone"
    parser.add_argument("--native", action="store_true", help=native)
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    parser.add_argument(
        "--explain",
        action="store_true",
        help="say which rules keep formulas right, which sums are products of matrices, and why others are loops",
    )
    parser.set_defaults(command=compile_module)


def _train_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="FILE|-|EQUATIONS", help=MODEL_HELP)
    _language_option(parser)
    parser.add_argument(
        "--data", required=True, help="digits, breast_cancer, a .npz file (X, y, or the model's arrays by name) or a .csv file"
    )
    parser.add_argument("--column", help="the target's column of a .csv file (default: the last) or its array in a .npz file")
    parser.add_argument("--target", type=_name, help="the model's input for the labels; default: the starred one")
    parser.add_argument(
        "--prediction", type=_name, help="the quantity that is scored; default: what the loss compares with the target"
    )
    parser.add_argument(
        "--size",
        action="append",
        default=[],
        metavar="D=32",
        help="how many values the index takes whose range ends with D, or the index of that name; default 32",
    )
    parser.add_argument("--bias-unit", action="store_true", help="put a constant feature 1 before the others, the slides' x_0")
    parser.add_argument("--optimizer", default="adam", help=f"{', '.join(RATES)}; default adam")
    parser.add_argument(
        "--learning-rate",
        metavar="NUMBER|EQUATION",
        help="e.g. 0.01, or '0.1/(1 + t/1000)' over the step t, epoch, and the run's steps and epochs; default: "
        + ", ".join(f"{name} {rate}" for name, rate in RATES.items()),
    )
    parser.add_argument("--clip-norm", type=float, help="scale the gradients to this norm at most, over all parameters")
    parser.add_argument("--patience", type=int, help="stop after so many epochs without a better training loss; keep the best")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--batch-size", type=int, help="examples a step; default 32")
    parser.add_argument("--seed", type=int, default=0, help="of the split, the start and the shuffling")
    parser.add_argument("--dtype", default="float64", help="float64 (default) or float32")
    parser.add_argument("--backend", default="numba", help="numba (default) or numpy, which is slower but needs no compiling")
    parser.add_argument("--test-fraction", type=float, help="the share of the examples that is held back; default 0.2")
    parser.add_argument("--save", metavar="params.npz", help="write the trained parameters and the features' shift and scale")
    parser.add_argument("--picture", metavar="loss.png", help="write the loss curve, as .png, .svg or .pdf (extra demo)")
    parser.add_argument("--force", action="store_true", help="overwrite files")
    parser.set_defaults(command=train)


def _names(text: str) -> tuple[str, ...]:
    from symgrad.frontend.syntax import canonical

    names = tuple(canonical(part.strip()) for part in text.split(",") if part.strip())
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} holds no name")
    return names


def _name(text: str) -> str:
    names = _names(text)
    if len(names) > 1:
        raise argparse.ArgumentTypeError(f"{text!r} holds {len(names)} names, and one is needed")
    return names[0]


def model(given: str, language: str = "auto") -> Program:
    """The program of a positional argument."""
    return reading(given, language)[0]


def reading(given: str, language: str = "auto") -> tuple[Program, tuple[str, ...]]:
    """The program of a positional argument, with notes on how LaTeX was read."""
    from symgrad.frontend.latex import looks_like_latex, read_latex
    from symgrad.frontend.text import parse

    _choose("language", language, LANGUAGES)
    text, name = _given_text(given)
    tex = Path(name).suffix.lower() == ".tex" or (Path(name).suffix.lower() != ".sg" and looks_like_latex(text))
    if language == "latex" or (language == "auto" and tex):
        found = read_latex(text, name=name)
        return found.program, found.notes
    return parse(text, name), ()


def _given_text(given: str) -> tuple[str, str]:
    """The text and the name of a file, of standard input, or of equations."""
    from symgrad.frontend.files import decode, read_text
    from symgrad.frontend.syntax import LIMITS

    if given == "-":
        return decode(sys.stdin.buffer.read(4 * LIMITS["characters"] + 1), "<stdin>"), "<stdin>"
    if os.path.exists(given) or ("=" not in given and "\n" not in given and Path(given).suffix in (".sg", ".tex")):
        return read_text(Path(given)), given
    if "=" not in given and r"\equiv" not in given and given.strip():
        shown = given if len(given) < 80 else given[:77] + "…"
        hint = "give a file, - for standard input, or equations such as 'J = x^2'"
        raise SymgradError("SG704", f"there is no file {shown}, and it holds no equation", hint=hint)
    return given, "<equations>"


def _choose(what: str, given: str, known: Sequence[str]) -> str:
    if given not in known:
        raise SymgradError("SG207", f"there is no {what} {given}", hint=did_you_mean(given, known) or f"choose {', '.join(known)}")
    return given


def derive(options: Any) -> None:
    """Print or write the backward pass."""
    from symgrad.derivation import derive as run
    from symgrad.kernel import save_bytes
    from symgrad.printers.formats import DRAWINGS, FORMATS

    _choose("format", options.format, (*FORMATS, *DRAWINGS))
    _check_derive(options, [name for name, row in FORMATS.items() if row.binary], DRAWINGS)
    if options.output is not None:
        _check_output(options.output, options.force)
    program, notes = reading(options.model, options.language)
    d = run(program, options.loss, options.wrt)
    shown = _drawn(d, options) if options.format in DRAWINGS else _printed(d, options)
    if options.explain:
        # what a program reads next stays alone on standard output
        print("\n".join([f"{program}\n", *notes, ""]), file=sys.stdout if options.format == "text" else sys.stderr)
    if options.output is None:
        assert isinstance(shown, str)
        print(shown.removesuffix("\n"))
        return
    data = shown if isinstance(shown, bytes) else f"{shown.removesuffix(chr(10))}\n".encode()
    print(f"wrote {save_bytes(options.output, data, options.force)}")


def _check_derive(options: Any, binary: Collection[str], drawings: Collection[str]) -> None:
    """Options that do not go together."""
    if options.format in binary and options.output is None:
        raise SymgradError("SG706", f"{options.format} is not for a terminal", hint=f"write it to a file: -o page.{options.format}")
    pictured = options.format in drawings
    if pictured and options.style is not None:
        _choose("style of a picture", options.style, PICTURED)
    meant = {"--gradient": not pictured, "--size": pictured and options.style == "network"}
    for option, meaning in meant.items():
        if getattr(options, option[2:]) and not meaning:
            what = f"{options.format} in the style {options.style or (PICTURED[0] if pictured else 'slides')}"
            raise SymgradError("SG706", f"{option} has no meaning for {what}", hint=f"leave {option} out")


def _drawn(d: Derivation, options: Any) -> str:
    """The graph, or the network."""
    from symgrad.printers.formats import DRAWINGS, NETWORKS, choose
    from symgrad.transform.network import network

    if options.style == "network":
        row = NETWORKS[choose(options.format, NETWORKS, "picture of the network")]
        return row.writer(options.standalone)(network(d.program, d.loss, _sizes(options.size)))
    return DRAWINGS[options.format].writer(options.standalone)(d.drawing())


def _printed(d: Derivation, options: Any) -> str | bytes:
    from symgrad.printers.formats import FORMATS
    from symgrad.printers.latex import LATEX
    from symgrad.printers.pages import equation

    make: Callable[[Page], str | bytes] = FORMATS[options.format].writer(options.standalone)
    if not options.gradient:
        return make(d.page(options.style or "slides", options.explain))
    gradient = d.gradient(options.gradient)
    if options.format == "latex" and not options.standalone:
        # one formula, to stand in a formula
        return "\n".join([gradient.latex(), *(rf"\quad \text{{given }} {equation(line, LATEX)}" for line in gradient.given())])
    return make(gradient.page())


def check_answers(options: Any) -> int:
    """Judge every claim; 0 if all are right, 1 if some are wrong, 2 if some cannot be read."""
    from symgrad.answers.files import as_json, as_text, status, submissions
    from symgrad.checking import check

    program = model(options.model)
    found = submissions(options.answers, lambda text, name: check(program, text, options.loss, name))
    report = as_json(found) if options.json else as_text(found, options.quiet)
    if report:
        print(report)
    return status(found)


def compile_module(options: Any) -> None:
    """Write the kernel's module."""
    from symgrad.compiler import compile as run
    from symgrad.compiler import explained

    k = run(model(options.model, options.language), options.loss, options.wrt, options.batch, options.dtype, options.backend)
    written = k.save_native(options.output, options.force) if options.native else (k.save(options.output, options.force),)
    print(f"wrote {', '.join(map(str, written))}: {k.loss} and its gradients by {', '.join(k.wrt)}")
    if options.explain:
        print("\n".join(map(str, (*k.rules, explained(k)))))


def _sizes(given: Sequence[str]) -> dict[str, int]:
    out = {}
    for item in given:
        name, _, count = item.partition("=")
        if not (count.isascii() and count.isdigit() and len(count) < 16) or int(count) < 1:
            raise SymgradError("SG614", f"--size {item} is no size", hint="write --size D=32")
        out[name.strip()] = int(count)
    return out


def train(options: Any) -> int:
    """Train, report, save; 130 where Ctrl-C ended it, with what was trained up to there."""
    from symgrad.data import load_table
    from symgrad.named import arrays_for, train_on_arrays
    from symgrad.trainer import Job, summary

    settings = _settings(options)
    _check_outputs(options)
    program = model(options.model, options.language)
    arrays = arrays_for(program, options.data)
    if arrays is not None:
        _check_whole(options)
        result, name = train_on_arrays(program, arrays, settings, print), ""
    else:
        job = Job(program, load_table(options.data, options.column), settings)
        summary(job, print)
        result, name = job.run(), job.score_name
    _report(result, name, settings.backend)
    _save(options, result)
    return 130 if result.fit.stopped == "interrupted" else 0


def _settings(options: Any) -> Settings:
    from symgrad import optimizers
    from symgrad.trainer import Settings

    rules = {rule.__name__.lower(): rule for rule in optimizers.ALL}
    chosen = _choose("optimizer", options.optimizer, tuple(RATES))
    rate = RATES[chosen] if options.learning_rate is None else options.learning_rate
    batch_size = 32 if options.batch_size is None else options.batch_size
    test_fraction = 0.2 if options.test_fraction is None else options.test_fraction
    if not 0 <= test_fraction < 1:
        raise SymgradError("SG608", f"--test-fraction must be at least 0 and below 1, and is {test_fraction}")
    patience = 1 if options.patience is None else options.patience
    counts = (("epochs", options.epochs, 0), ("batch-size", batch_size, 1), ("seed", options.seed, 0), ("patience", patience, 1))
    for name, value, least in counts:
        if value < least:
            raise SymgradError("SG608", f"--{name} must be at least {least}, and is {value}")
    return Settings(
        optimizers.clipped(rules[chosen](rate), None, options.clip_norm),
        options.epochs,
        batch_size,
        options.seed,
        _choose("dtype", options.dtype, ("float64", "float32")),
        test_fraction,
        options.target,
        options.prediction,
        options.bias_unit,
        _sizes(options.size),
        _choose("backend", options.backend, ("numba", "numpy")),
        options.patience,
    )


def _check_whole(options: Any) -> None:
    """Options for tables of examples, where the data are the model's own arrays."""
    for name in ("column", "target", "prediction", "size", "bias_unit", "batch_size", "test_fraction"):
        if getattr(options, name):
            option = f"--{name.replace('_', '-')}"
            message = f"{options.data} holds the model's arrays by name, so {option} has no meaning"
            raise SymgradError("SG706", message, hint=f"leave {option} out")


def _report(result: Any, score_name: str, backend: str) -> None:
    history = result.fit.history[result.loss]
    if len(history):
        values = " → ".join(f"{value:.6g}" for value in (history[0], history[-1])[: len(history)])
        epochs = f"{len(history)} epoch{'s' if len(history) > 1 else ''}"
        compiling = " with compiling" if backend == "numba" else ""
        print(f"{result.loss} {values} in {epochs}, {result.seconds:.1f} s{compiling}")
    if result.fit.stopped == "interrupted":
        print("interrupted: the parameters are those after the last step")
    elif result.fit.stopped == "patience":
        print(f"stopped early: the parameters are those of epoch {result.fit.best_epoch}")
    for part, score in (("training", result.train_score), ("test", result.test_score)):
        if score is not None:
            print(f"{part} {score_name} {score:.4f}")


def _check_outputs(options: Any) -> None:
    """Refuse before training what could not be written after it."""
    if options.picture is not None:
        _choose("picture format", Path(options.picture).suffix.lower() or "without a suffix", PICTURES)
        _figure()
    if options.save and options.picture and os.path.abspath(options.save) == os.path.abspath(options.picture):
        raise SymgradError("SG701", f"{options.save} is asked for twice", hint="--save and --picture need two names")
    for given in (options.save, options.picture):
        if given is None:
            continue
        _check_output(given, options.force)


def _check_output(given: str, force: bool) -> None:
    """Raises SG701, SG702 for a file that could not be written."""
    path = Path(given)
    if path.is_dir() or not path.parent.is_dir():
        raise SymgradError(
            "SG702", f"{path} cannot be written: {'it is a folder' if path.is_dir() else 'its folder does not exist'}"
        )
    if (path.exists() or path.is_symlink()) and not force:
        raise SymgradError("SG701", f"{path} exists already", hint="choose another name, or --force")


def _save(options: Any, result: Any) -> None:
    if options.save:
        from symgrad.kernel import save_bytes

        print(f"wrote {save_bytes(options.save, _npz({**result.scaling, **result.fit.params}), options.force)}")
    if options.picture:
        from symgrad.kernel import save_bytes

        print(f"wrote {save_bytes(options.picture, _picture(result, Path(options.picture).suffix[1:].lower()), options.force)}")


def _npz(params: Any) -> bytes:
    import numpy as np

    out = io.BytesIO()
    np.savez(out, **params)
    return out.getvalue()


def _figure() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SymgradError("SG611", "the picture needs matplotlib, which is not installed", hint="pip install matplotlib") from None
    return Figure(figsize=(6, 4), layout="constrained")


def _picture(result: Any, kind: str) -> bytes:
    """The loss over epochs."""
    figure = _figure()
    history = result.fit.history[result.loss]
    axes = figure.subplots()
    axes.plot(range(1, len(history) + 1), history)
    axes.set(xlabel="epoch", ylabel=f"mean {result.loss} of the training examples")
    axes.grid(alpha=0.3)
    out = io.BytesIO()
    figure.savefig(out, format=kind, dpi=150)
    return out.getvalue()
