"""symgrad check: a verdict on every claim of files, folders or the command line itself."""

from __future__ import annotations

from typing import Any

from symgrad.commands.given import model


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
