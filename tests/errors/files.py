"""SG7xx: files, folders, the command line, and programs that symgrad calls."""

from symgrad.backends.checks import CHECKS
from symgrad.backends.saved import VERSION
from symgrad.backends.signed import line, signed
from tests.errors.rows import Call, Example, Link, command, made

FAILS = "#!/bin/sh\necho '! LaTeX Error: File `amsmath.sty not found.'\nexit 1\n"
EDITED = f'"""J and its gradients by w.\n\n{line("0.1.0")}\n"""\n'
NEWER = signed(
    "\n\n\n".join((EDITED, "import numpy as np", "F = np.float64\n_D = np.dtype(F)", CHECKS, VERSION, "_needs_numba(0, 61)\n"))
)

FILES = (
    command("SG701", "compile", "J = x^2", "--backend", "numpy", "-o", "net.py", files={"net.py": "mine"}, promised=True),
    command(
        "SG701", "compile", "J = x^2", "--backend", "numpy", "-o", "net.py",
        files={"net.py": Link("elsewhere.py")}, promised=True,
    ),
    command("SG702", "compile", "J = x^2", "--backend", "numpy", "-o", "folder", files={"folder": None}, promised=True),
    command("SG702", "derive", "J = x^2", "-o", "missing/page.tex", "--format", "latex"),
    Example("SG703", "J = x^2 + 7*x^9", calls=(Call("compile", backend="numpy"), Call("__call__", x=1.0)), files={"cache": None},
            what="SYMGRAD_CACHE is a folder that anyone may write to"),
    command("SG704", "derive", "modl.sg"),
    command("SG704", "check", "J = x^2", "answers", files={"answers": None}),
    command("SG706", "derivee", "J = x^2"),
    command("SG706", "derive", "J = x^2", "--fromat", "latex"),
    command("SG706", "derive", "J = x^2", "--format", "pdf"),
    command("SG707", "derive", "J = x^2", "--format", "pdf", "-o", "page.pdf", files={"bin/pdflatex": FAILS},
            what="TeX is not complete"),
    Example("SG708", library=("net.kernel.so", "0" * 64, ()), files={"net.kernel.so": b"other code"},
            what="net.py and net.kernel.so were saved apart"),
    Example("SG709", library=("net.kernel.so", "", ("AVX9000",)), files={"net.kernel.so": b"code"},
            what="net.kernel.so was saved on a newer machine"),
    Example("SG710", "J = x^2", calls=(Call("compile"), Call("save_native", "net.py")), without=("gcc",),
            what="no C compiler is installed"),
    Example("SG711", calls=(Call("load", "net.py"),), files={"net.py": EDITED}),
    Example("SG712", calls=(Call("load", "own.py"),), files={"own.py": "print('hello')"}),
    Example("SG713", "input x; J = x^2", calls=(Call("compile", batch=["x"], backend="numpy"),
                                                Call("save", "net.py", optimizer=Call("Adam")))),
    Example("SG714", calls=(Call("load", "net.py"),), files={"net.py": NEWER}, numba="0.60.0", what="numba 0.60.0 is installed"),
    Example("SG710", "J = x^2", calls=(Call("compile", backend="c"), Call("__call__", x=1.0)), without=("gcc",),
            what="no C compiler is installed"),
    made("SG721", "h[0] = 0; h[t] = sin(w*h[t-1] + x[t]) for t in 1..T; J = h[T]^2",
         Call("compile", backend="jax", checkpoint=True)),
    command("SG721", "compile", "h[0] = 0; h[t] = sin(w*h[t-1] + x[t]) for t in 1..T; J = h[T]^2",
            "--backend", "c", "--checkpoint", "-o", "net.c"),
    command("SG722", "compile", "J = x^2", "--backend", "c", "-o", "my-net.c"),
    command("SG722", "compile", "J = x^2", "--backend", "c", "-o", "double.c"),
    command("SG723", "compile", "J = x^2", "--backend", "c", "-o", "net.py"),
    command("SG723", "compile", "J = x^2", "--backend", "torch", "-o", "net.c"),
    made("SG724", "J = (w*x - 1)^2", Call("compile", backend="jax", wrt=["w"]),
         Call("fit", {"w": 0.0}, {"x": 1.0}, Call("SGD", 0.1))),
    made("SG724", "J = x^2", Call("compile", backend="c"), Call("bind", x=1.0)),
)  # fmt: skip
