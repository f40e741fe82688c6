"""A module's text → the definitions that other models have too, each in a file of its own, and the rest.

A module that is saved stands alone. In the cache folder, though, `_tanh` of float32 is the same for every
model: numba compiles it once, keeps it with its bitcode, so that LLVM still inlines it, and the next model only loads it.
A file holds one compiled function, what it calls that is not compiled, and imports of the rest:

>>> texts = apart("F = np.float32" + GAP + "@njit(**_INNER)" + chr(10) + "def _f(u):" + chr(10) + "    return u" + GAP + "_f(1)")
>>> list(texts)
['_f', '']
"""

from __future__ import annotations

import re

from symgrad.backends import entry, numba
from symgrad.backends.sealed import module_name

GAP = "\n\n\n"
DEFINED = re.compile(r"^(?:@.*\n)*def (\w+)\(", re.MULTILINE)
NAMES = re.compile(r"\b_\w+\b")
CACHE = re.compile(r"^@njit\(cache=(?:True|_CACHED), ", re.MULTILINE)
# what asks numba whether it can keep code
PROBE = entry.CACHED.strip("\n").split(GAP)
# that are compiled into whatever calls them, and so cannot be loaded
INLINED = 'inline="always"'


def apart(text: str) -> dict[str, str]:
    """The text of each shared function's file by the function's name, callees first; the rest is called ''."""
    blocks = text.rstrip("\n").split(GAP)
    own = {found[1]: block for block in blocks if (found := DEFINED.match(block))}
    constants = next((block for block in blocks if block.startswith("F = ")), "").split("\n")
    texts: dict[str, str] = {}
    for name, block in own.items():
        if is_shared(block):
            _add(name, own, constants, texts)
    left = [_import(name, texts) if (name := _name(block)) in texts else _bare(block) for block in blocks if block not in PROBE]
    return {**texts, "": GAP.join(left) + "\n"}


def is_shared(block: str) -> bool:
    """Whether compiled code alone calls a function, which then knows nothing of a model; or it is the shuffle."""
    head, _, rest = block.partition("\n")
    return head.startswith("@njit(") and INLINED not in head and ("**_INNER" in head or rest.startswith("def _shuffle("))


def _name(block: str) -> str:
    found = DEFINED.match(block)
    return found[1] if found else ""


def _import(name: str, texts: dict[str, str]) -> str:
    return f"from {module_name(texts[name])} import {name}"


def _add(name: str, own: dict[str, str], constants: list[str], texts: dict[str, str]) -> None:
    """The file of a function, after those of what it calls."""
    if name in texts:
        return
    imports: list[str] = []
    copied: list[str] = []
    todo, seen = [own[name]], {name}
    for block in todo:  # which grows
        for word in dict.fromkeys(NAMES.findall(block)):
            if word in seen or word not in own:
                continue
            seen.add(word)
            if is_shared(own[word]):
                _add(word, own, constants, texts)
                imports.append(_import(word, texts))
            else:
                copied.append(own[word])
                todo.append(own[word])
    code = GAP.join([*reversed(copied), _bare(own[name])])
    head = numba.imports_of(code, "@intrinsic" in code)
    used = [line for line in constants if re.search(rf"\b{line.partition(' ')[0]}\b", code)]
    texts[name] = GAP.join(part for part in (head, "\n".join(used), "\n".join(imports), code) if part) + "\n"


def _bare(block: str) -> str:
    """Without a cache of numba's own: load.py puts a safer one in its place."""
    return CACHE.sub("@njit(", block, count=1)
