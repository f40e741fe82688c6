"""The command line: symgrad derive | check | compile | train. What each does is in `symgrad/commands`.

Exit status: 0 done; 1 a claim that was checked is wrong; 2 a refusal, told on standard error, with nothing written;
70 a fault of symgrad, with a report; 130 ended by Ctrl-C.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence

from symgrad.core.errors import SymgradError

DONE, REFUSED, FAULT, INTERRUPTED = 0, 2, 70, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Unicode shows codes, not a failure
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(given)
    except SymgradError as error:
        return _refuse(error, given)
    except MemoryError:
        return _refuse(SymgradError("SG508", "there is not enough memory for this"), given)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # the reader has gone; keep the interpreter from saying so at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if os.environ.get("SYMGRAD_DEBUG"):
            raise
        return _confess(error, given)


def _run(argv: Sequence[str]) -> int:
    from symgrad.commands.options import read

    options = read(argv)
    status: int | None = options.command(options)
    sys.stdout.flush()
    return status or DONE


def _as_object(argv: Sequence[str]) -> bool:
    """True where --json is asked for; the options themselves may be what cannot be read."""
    return "--json" in argv


def _refuse(error: SymgradError, argv: Sequence[str]) -> int:
    # ASCII, so that the object is whole on every terminal and holds no character that turns text round
    print(json.dumps(error.as_dict()) if _as_object(argv) else error, file=sys.stderr)
    return REFUSED


def _confess(error: Exception, argv: Sequence[str]) -> int:
    """Say that symgrad is at fault, and where the report is."""
    from symgrad.commands.fault import report, write

    path = write(report(error, argv))
    message = f"internal error, {type(error).__name__}: {error}"
    if _as_object(argv):
        print(json.dumps({"code": None, "message": message, "report": path}), file=sys.stderr)
        return FAULT
    print(f"symgrad: {message}", file=sys.stderr)
    where = f"the report to send is {path}" if path else "SYMGRAD_DEBUG=1 shows where"
    print(f"This is a fault of symgrad; please report it: {where}", file=sys.stderr)
    return FAULT
