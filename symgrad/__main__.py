"""`python -m symgrad` is the command line."""

from symgrad.cli import main

raise SystemExit(main())
