"""Kernels of a test run are cached in a folder of its own."""

from __future__ import annotations

import os
import tempfile

# before symgrad is imported anywhere; subprocesses inherit it
os.environ.setdefault("SYMGRAD_CACHE", tempfile.mkdtemp(prefix="symgrad-tests-"))
