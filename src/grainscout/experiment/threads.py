"""Pin every pool of threads to one."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Run BLAS, OpenMP and torch on one thread inside the block.

    Sums that are split over threads round differently from one run to the next, and a policy that
    takes an argmax then takes another path: with two BLAS threads resumed runs were seen to differ.
    It also keeps workers on as many cores from fighting.
    """
    # For libraries that the block is the first to import.
    absent = "OMP_NUM_THREADS" not in os.environ
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with threadpool_limits(limits=1):
        _take_work_memory()
        torch = sys.modules.get("torch")
        before = None if torch is None else torch.get_num_threads()
        if torch is not None:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch is not None and before is not None:
                torch.set_num_threads(before)
            if absent:
                os.environ.pop("OMP_NUM_THREADS", None)


def _take_work_memory() -> None:
    """Let numpy's BLAS and scipy's take their work memory while there is some.

    An OpenBLAS that finds none tries for ever instead of failing (OpenMathLib/OpenBLAS issue 5289): a run
    whose memory ends later hung in its next matrix, with the tip withdrawn but without a word.
    """
    np.linalg.cholesky(np.eye(2))
    lapack.dpotrf(np.eye(2))
