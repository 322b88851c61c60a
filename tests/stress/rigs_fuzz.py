"""Mutations, and a child process in which a case may crash, hang or fill the memory."""

import contextlib
import copy
import multiprocessing
import random
import resource
import time
import warnings

import psutil

from grainscout.records import GrainscoutError

#: Numbers at which parsers break.
NUMBERS = (
    *(0, -1, 1, 2, 255, 10**9 + 1, 10**12 + 1, 2**15, -(2**31), 2**31, 2**32),
    *(2**53, 2**63, 2**64, -(2**63), 10**12),
    *(10**30, 0.5, -0.0, 1e308, -1e308, 5e-324, 1e-300, float("nan"), float("inf"), -float("inf")),
)
ODDITIES = (
    *("", "x", "\0", "\ud800", "\x1b[2J", "../../etc/passwd", "/etc/passwd", "a" * 5000, "é" * 300),
    *(None, True, False, [], {}, [[]], [None], {"": 0}, {"__array__": ["float64", [3]]}),
    *({"__array__": ["uint8", [10**12]]}, {"__array__": ["object", [1]]}),
    *({"__array__": "float64", "values": [[1, 2], [3]]}, {"__array__": 0}, {"__array__": -1}),
    *({"__float__": "nan"}, {"__float__": "x" * 50}),
)


class Mutator:
    """Mutations drawn from one generator."""

    def __init__(self, seed):
        self.random = random.Random(repr(seed))

    def value(self):
        """Something that does not belong there."""
        kind = self.random.random()
        if kind < 0.45:
            return self.random.choice(NUMBERS)
        if kind < 0.9:
            return copy.deepcopy(self.random.choice(ODDITIES))
        nested = 1
        for _ in range(self.random.choice((3, 60, 300))):
            nested = [nested] if self.random.random() < 0.5 else {"a": nested}
        return nested

    def tree(self, value):
        """The tree with some places changed, lost, doubled or swapped."""
        value = copy.deepcopy(value)
        for _ in range(self.random.choice((1, 1, 2, 5))):
            with contextlib.suppress(RecursionError):  # deeper than Python itself can copy
                places = list(_places(value))
                if not places:
                    return self.value()
                self._change(*self.random.choice(places), places)
        return value

    def _change(self, holder, key, places):
        kind = self.random.random()
        if kind < 0.7:
            holder[key] = self.value()
        elif kind < 0.85:
            del holder[key]
        elif isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        else:
            other = self.random.choice(places)
            holder[key] = copy.deepcopy(other[0][other[1]])

    def raw(self, data):
        """The bytes with some flipped, cut, doubled, inserted or overwritten."""
        raw = bytearray(data)
        for _ in range(self.random.choice((1, 1, 2, 4, 16))):
            size = len(raw)
            # Headers are where it hurts.
            reach = size if self.random.random() < 0.5 else min(size, 600)
            at = self.random.randrange(reach + 1)
            kind = self.random.randrange(7)
            if kind == 0 and at < size:
                raw[at] ^= 1 << self.random.randrange(8)
            elif kind == 1:
                del raw[at : at + self.random.choice((1, 2, 4, 100, size))]
            elif kind == 2:
                raw[at:at] = raw[at : at + self.random.choice((1, 4, 64, 1000))]
            elif kind == 3:
                raw[at:at] = self.random.randbytes(self.random.choice((1, 2, 8)))
            elif kind == 4:
                width = self.random.choice((1, 2, 4, 8))
                number = self.random.choice((0, 1, -1, 2**31 - 1, -(2**31), 10**12, 2**62))
                order = self.random.choice(("little", "big"))
                raw[at : at + width] = (number % 2 ** (8 * width)).to_bytes(width, order)
            elif kind == 5:
                word = str(self.random.choice((*NUMBERS, "nan", "x", "", "1e99", "[", '"', "=")))
                raw[at : at + self.random.choice((0, 1, len(word)))] = word.encode("utf-8")
            elif size:
                end = self.random.randrange(size)
                raw[at : at + 50] = raw[end : end + 50]
        return bytes(raw)


def _places(value):
    """(holder, key) of everything in a tree."""
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def refused(action):
    """ "" if the action came back or raised one of our errors, else what it did."""
    try:
        action()
    except GrainscoutError as error:
        text = str(error)
        if "MemoryError" in text:  # there is less memory here than elsewhere: it was asked for
            return text[:200]
        return "" if 0 < len(text) < 20_000 else f"an error of {len(text)} characters"
    except Exception as error:  # noqa: BLE001 -- whatever else comes out is what is looked for
        return f"{type(error).__name__}: {error!s:.150}"
    return ""


def siege(cases, one, *, seconds=10.0, memory=1_500_000_000):
    """Run one(case) for each case in child processes; (what was lost, largest growth in bytes).

    A case that crashes its process, takes longer than `seconds` or needs more than `memory` bytes of
    address space above what its process had is lost; the next child goes on behind it.
    """
    context = multiprocessing.get_context("fork")
    at, peak, found = context.Value("q", cases.start), context.Value("q", 0), []
    while at.value < cases.stop:
        lost = context.SimpleQueue()  # its own: a child that dies may hold its lock
        child = context.Process(target=_besieged, args=(at, peak, lost, cases.stop, one, memory))
        child.start()
        here, since, hung = at.value, time.monotonic(), False
        while child.exitcode is None:
            child.join(0.05)
            while not lost.empty():
                found.append(lost.get())
            if at.value != here:
                here, since = at.value, time.monotonic()
            if time.monotonic() - since > seconds and child.exitcode is None:
                hung = True
                child.kill()
                child.join()
        if at.value < cases.stop:
            what = f"hung for {seconds:g} s" if hung else f"ended with {child.exitcode}"
            found.append(f"case {at.value}: {what}")
            at.value += 1
    return found, peak.value


def _besieged(at, peak, lost, stop, one, memory):
    warnings.simplefilter("error", RuntimeWarning)
    before = psutil.Process().memory_info()
    resource.setrlimit(resource.RLIMIT_AS, (before.vms + memory, before.vms + memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while at.value < stop:
        if found := one(at.value):
            lost.put(f"case {at.value}: {found}")
        at.value += 1
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peak.value = max(peak.value, most - before.rss)
