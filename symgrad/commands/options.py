"""The options of each command, and a parser whose refusals are a `SymgradError` with the nearest option.

>>> read(["check", "J = x^2", "dJ/dx = 2*x", "--quiet"]).quiet
True
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any

from symgrad.commands.check import check_answers
from symgrad.commands.compile import compile_module
from symgrad.commands.derive import derive
from symgrad.commands.train import RATES, train
from symgrad.core.errors import SymgradError, did_you_mean

MODEL_HELP = "a .sg or .tex file, - for standard input, or the equations themselves"
JSON_HELP = "a refusal as one JSON object on standard error"


def read(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options, `command` among them. Raises SG706 for what cannot be read."""
    commands: dict[str, _Parser] = {}
    options, left = _parser(commands).parse_known_args(argv)
    if left:
        name = options.name
        known = re.findall(r"(?<![\w-])--?[a-z][a-z-]*", commands[name].format_help())
        what = "has no option" if left[0].startswith("-") else "has no use for"
        given = left[0].partition("=")[0]
        near = did_you_mean(given, known) if given.startswith("-") else None
        raise SymgradError("SG706", f"symgrad {name} {what} {given}", hint=near or f"symgrad {name} --help")
    return options


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        unknown = re.search(r"invalid choice: '(.*?)'", message)
        if unknown:
            hint = did_you_mean(unknown[1], COMMANDS) or f"choose {', '.join(COMMANDS)}"
            raise SymgradError("SG706", f"there is no command {unknown[1]}", hint=hint)
        raise SymgradError("SG706", f"the command line cannot be read: {message}", hint=f"{self.prog} --help")


def _parser(commands: dict[str, _Parser]) -> argparse.ArgumentParser:
    parser = _Parser(prog="symgrad", description="Equations in index notation → their backward pass, printed and compiled.")
    parser.add_argument("--version", action="version", version=_version())
    choices = parser.add_subparsers(title="commands", required=True, parser_class=_Parser, dest="name", metavar="COMMAND")
    for name, (add_options, purpose) in COMMANDS.items():
        commands[name] = choices.add_parser(name, help=purpose)
        add_options(commands[name])
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
    parser.add_argument("--json", action="store_true", help=JSON_HELP)
    parser.set_defaults(command=derive)


def _check_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="FILE|-|EQUATIONS", help=MODEL_HELP)
    parser.add_argument(
        "answers", nargs="+", metavar="ANSWERS", help="files or folders of claims, - , or a claim itself: 'dJ/dx = 2*x'"
    )
    parser.add_argument("--loss", type=_name, help="the loss; default: the model's goal, or its one unused scalar")
    parser.add_argument("--json", action="store_true", help="results as JSON, and a refusal as one JSON object on standard error")
    parser.add_argument("--quiet", action="store_true", help="print only what is wrong")
    parser.set_defaults(command=check_answers)


def _compile_options(parser: argparse.ArgumentParser) -> None:
    _model_options(parser)
    parser.add_argument(
        "-o", "--output", required=True, metavar="net.py", help="the module to write, or net.c, with net.h beside it"
    )
    parser.add_argument("--batch", type=_names, default=(), help="inputs with an example axis, separated by commas")
    parser.add_argument("--dtype", default="float64", help="float64 (default) or float32")
    parser.add_argument("--backend", default="numba", help="numba (default), numpy, jax, torch or c")
    native = "machine code beside the module, net.kernel.so, so that it starts at once and needs NumPy alone"
    parser.add_argument("--native", action="store_true", help=native)
    trains = f"what the module's step and fit train by: {', '.join(RATES)}; default sgd"
    parser.add_argument("--optimizer", help=trains)
    rate = "NUMBER|EQUATION"
    parser.add_argument("--learning-rate", "--rate", metavar=rate, help="its learning rate, as of symgrad train; default: its own")
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    explain = "say which rules keep formulas right, which sums are products of matrices, and why others are loops"
    parser.add_argument("--explain", action="store_true", help=explain)
    kept = "keep a recurrence's steps at so many places only, by default √T, and compute those between again"
    parser.add_argument("--checkpoint", nargs="?", const=True, default=False, type=int, metavar="SEGMENTS", help=kept)
    literal = "compute the formulas as they are written, also where that overflows"
    parser.add_argument("--no-stabilize", dest="stabilize", action="store_false", help=literal)
    parser.add_argument("--json", action="store_true", help=JSON_HELP)
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
    parser.add_argument("--json", action="store_true", help=JSON_HELP)
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


COMMANDS = {
    "derive": (_derive_options, "print the backward pass"),
    "check": (_check_options, "are these hand-derived gradients right?"),
    "compile": (_compile_options, "write a Python module with the kernel"),
    "train": (_train_options, "train a model on data"),
}
