"""A schedule with blocks of rows → the text that does them in chunks, which threads share.

    _rows_value_and_grad(N, M)              how many rows a block and a chunk have, from sizes alone
    _chunked_value_and_grad(threads, …)     the kernel: all at once, or its parts in turn, those of rows chunk by chunk

    w_bar[i] = sum(g[n]*x[n,i] for n)    →    w_bar[i] = (first chunk's) + (second's) + …, in this order for any threads

A chunk has so many rows that handing it to a thread, and adding up its sums, is little beside its work: 1/16 of all rows, or
more. The first adds to the results themselves, the others to arrays of their own. The threads are started in the call and
end with it: there is nothing that a fork could break, or that a process would have to wait for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import sympy as sp
from sympy import Expr, Symbol

from symgrad.backends.pycode import affine, python_name
from symgrad.core.expr import indices_of
from symgrad.core.program import Index
from symgrad.schedule.contractions import Product
from symgrad.schedule.kernels import Blocks, Contract, Kernel, Map, Scan, Schedule, flat

# where there are fewer chunks than FEW it is no use to cut, else they are some MANY, of whole blocks
FEW, MANY = 4, 16
# what one pass through a loop takes, and a multiplication in gemm 1 of; a chunk at least, some 300 µs; and a cell of its sums
PASS, LEAST, ADDED = 16, 2**23, 256
HEAD = ("_part", "_start", "_stop")
IMPORTS = ("_thread", "os")

SUPPORT = '''
_ALL = 2**62  # more than all rows


def _thread_count(given):
    """How many threads share a call: so many, else what the environment says, else as many as there are processors to use."""
    for name in ("SYMGRAD_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "").split(",")[0].strip()
        if given is None and text.isdecimal():
            given = int(text)
    if given is None:
        if hasattr(os, "process_cpu_count"):
            given = os.process_cpu_count() or 1
        else:
            given = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if "" not in _QUOTA:  # files of the system, which a process reads once
            _QUOTA[""] = _quota("/proc/self/cgroup", "/sys/fs/cgroup", given)
        given = min(given, _QUOTA[""])
    return max(1, given)


_QUOTA = {}


def _quota(own, root, most):
    """The processors whose time a container may use, a part of one as a whole one, where that is less than `most` (Linux)."""
    for line in _words(own, "\\n"):
        kinds, _, path = line.partition(":")[2].partition(":")
        if not path or (kinds and "cpu" not in kinds.split(",")):
            continue
        groups = [each for each in path.split("/") if each]
        for depth in range(len(groups) + 1):  # its own group and those around it, which a container may see as other paths
            place = "/".join([root, *(["cpu"] if kinds else []), *groups[:depth]])
            if kinds:  # the first version of such groups
                limit = _words(place + "/cpu.cfs_quota_us") + _words(place + "/cpu.cfs_period_us")
            else:
                limit = _words(place + "/cpu.max")
            if len(limit) == 2 and limit[0].isdecimal() and limit[1].isdecimal() and int(limit[1]) > 0:
                most = min(most, max(1, -(-int(limit[0])//int(limit[1]))))
    return most


def _words(path, between=None):
    """What a file says, or nothing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().split(between)
    except OSError:
        return []


def _in_chunks(run, threads, blocks, chunks, given, inner, places):
    """The kernel part by part, those of rows chunk by chunk; `inner` is what chunks are given."""
    found = run(0, 0, 0, *blocks, *given)
    for number, ((rows, chunk), (sums, short)) in enumerate(zip(chunks, places)):
        def some(own, start, part=2*number + 1, chunk=chunk):
            run(part, start, start + chunk, *blocks, *own)

        _Chunks(some, range(0, rows, chunk), inner, sums, short).shared(_thread_count(threads))
        found = run(2*number + 2, 0, 0, *blocks, *given)
    return found


class _Chunks:
    """Threads take chunks one after another, each into sums of its own, which are added in the order of the chunks."""

    def __init__(self, run, starts, given, sums, short):
        self.run, self.starts, self.given, self.sums, self.short = run, starts, given, sums, short
        self.lock, self.taken, self.added, self.done, self.free, self.errors = _thread.allocate_lock(), 0, 0, {}, [], []

    def shared(self, threads):
        """All chunks, by this thread and others, each of which has two or more to do; returns when they have ended."""
        ended = []
        try:
            for _ in range(min(threads, len(self.starts)//2) - 1):
                lock = _thread.allocate_lock()
                lock.acquire()
                try:
                    _thread.start_new_thread(self.help, (lock,))
                except RuntimeError:  # no more threads are to be had
                    break
                ended.append(lock)
            self.work(self.given)
            self.wait(ended)
        except BaseException:  # Ctrl-C: the arrays are in use until the others have done their chunks
            self.taken = len(self.starts)
            self.wait(ended)
            raise
        if self.errors:
            raise self.errors[0]

    def wait(self, ended):
        for lock in ended:
            with lock:
                pass

    def help(self, ended):
        try:
            self.work([np.empty_like(each) if index in self.short else each for index, each in enumerate(self.given)])
        except BaseException as error:
            self.errors.append(error)
            self.taken = len(self.starts)
        finally:
            ended.release()

    def work(self, given):
        while True:
            with self.lock:
                place, self.taken = self.taken, self.taken + 1
                own = self.free.pop() if self.free and place else None
            if place >= len(self.starts):
                return
            if place and own is None:
                own = {each: np.empty_like(self.given[each]) for each in self.sums}
            for array in own.values() if own else ():
                array[...] = 0
            totals = own or {each: self.given[each] for each in self.sums}  # the first adds to the results
            self.run([totals.get(index, each) for index, each in enumerate(given)], self.starts[place])
            with self.lock:
                self.done[place] = own
                self.add()

    def add(self):
        """The sums of chunks whose turn it is."""
        while self.added in self.done:
            own = self.done.pop(self.added)
            for each, array in own.items() if own else ():
                self.given[each][...] += array
            if own:
                self.free.append(own)
            self.added += 1
'''


def parts(kernels: Sequence[Kernel]) -> list[tuple[Kernel, ...]]:
    """Blocks have the odd places; what stands before, between and after them the even ones."""
    found: list[tuple[Kernel, ...]] = [()]
    for kernel in kernels:
        if isinstance(kernel, Blocks):
            found += [(kernel,), ()]
        else:
            found[-1] = (*found[-1], kernel)
    return found


def cells(schedule: Schedule) -> frozenset[str]:
    """Numbers that one part leaves for another, or for the caller: arrays without axes."""
    if not schedule.blocks:
        return frozenset()
    program = schedule.program
    written = {kernel.statement.name for kernel in flat(schedule.kernels)}
    touched = [{n for k in flat(part) for n in (k.statement.name, *k.statement.read_names)} for part in parts(schedule.kernels)]
    touched[0] |= schedule.zeroed
    count = Counter(name for names in [*touched, set(schedule.outputs)] for name in names)
    return frozenset(n for n in written if not program.tensors[n].axes and count[n] > 1 and n not in schedule.aliases)


def sums(blocks: Blocks) -> list[str]:
    """What the rows of a chunk add to."""

    def keeps(kernel: Map | Contract) -> bool:
        return indices_of(kernel.statement.target)[:1] == (blocks.axis.symbol,)

    return list(dict.fromkeys(kernel.statement.name for kernel in flat(blocks.body) if not keeps(kernel)))


def rows_lines(schedule: Schedule, block_lines: Sequence[str]) -> Iterator[str]:
    """The body of the function that says how rows are cut, and whether some part of them has more than one chunk."""
    pairs, whole = [], []
    for blocks, line in zip(schedule.blocks, block_lines, strict=True):
        block, chunk, rows = blocks.name, chunk_name(blocks), affine(blocks.axis.extent)
        yield line
        yield f"{chunk} = {chunk_text(blocks, schedule)}"
        yield f"{chunk} -= {chunk} % {block}"
        pairs.append(f"({rows}, {chunk})")
        whole.append(f"{rows} <= {FEW - 1}*{chunk}")
    yield f"return {' and '.join(whole)}, ({', '.join(block_names(schedule))},), ({', '.join(pairs)},)"


def chunk_name(blocks: Blocks) -> str:
    return blocks.name.replace("block", "chunk")


def block_names(schedule: Schedule) -> list[str]:
    return [blocks.name for blocks in schedule.blocks]


def chunk_text(blocks: Blocks, schedule: Schedule) -> str:
    """The rows of a chunk, at least a block: neither too few for their work nor for what their sums take."""
    each = work(blocks)
    least = [f"{LEAST}//max(1, {affine(each)})"]
    held = sp.Add(*(sp.Mul(*schedule.program.tensors[name].extents) for name in sums(blocks)))
    if held.free_symbols or held > LEAST // ADDED:
        least.append(f"({affine(ADDED * held)})//max(1, {affine(each)})")
    return f"max({blocks.name}, ({affine(blocks.axis.extent + MANY - 1)})//{MANY}, {', '.join(least)})"


def work(blocks: Blocks) -> Expr:
    """What a row takes, in multiplications of gemm."""
    return sp.Add(*_work(blocks.body, (blocks.axis,)))


def _work(kernels: Sequence[Kernel], around: tuple[Index, ...]) -> Iterator[Expr]:
    for kernel in kernels:
        if isinstance(kernel, Scan):
            start = {kernel.index.symbol: kernel.index.lo}  # ends may move with it, as those of a segment do
            names = {kernel.first[0].symbol: kernel.first[1].xreplace(start)} if kernel.first else {}
            for each in _work(kernel.body, (*around, kernel.index)):
                yield kernel.index.extent * each.xreplace(names).xreplace(start)
        elif isinstance(kernel, Map | Contract):
            yield _passes(kernel, {index.symbol for index in around})


def _passes(kernel: Map | Contract, around: set[Symbol]) -> Expr:
    domain = kernel.statement.domain
    last = {index.symbol: index.hi for index in domain}
    count = sp.Mul(*(index.extent for index in domain if index.symbol not in around))
    for _ in domain:  # an end may be another index, whose own end is yet another
        count = count.xreplace(last)
    return count if isinstance(kernel, Contract) and isinstance(kernel.product, Product) else PASS * count


def places(schedule: Schedule, given: Sequence[str]) -> str:
    """Where among what a kernel is given its sums are, and the temporaries as short as a block, for all blocks in turn."""

    def positions(names: Sequence[str]) -> str:
        found = [str(given.index(python_name(schedule.aliases.get(name, name)))) for name in names]
        return f"({', '.join(found)}{',' * (len(found) == 1)})"

    return "".join(f"({positions(sums(blocks))}, {positions(sorted(blocks.short))}), " for blocks in schedule.blocks).strip()
