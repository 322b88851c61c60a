"""Processes that are cheap to start: forked by a server that has imported and made everything already.

multiprocessing's fork server has no threads and holds no lock, so its children begin clean; each is a
process of its own that can be killed like any other.
"""

import multiprocessing
import os
import sys
from multiprocessing import forkserver
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")
PATIENCE_S = 600.0  # for what takes a second: this is a hang
_CONTEXT = multiprocessing.get_context("forkserver")


def _is_warm():
    sys.exit("warmed" not in sys.modules)


def forked(target, *arguments):
    """A started child of the warm server that calls `target`, a function of a module of this folder."""
    if forkserver._forkserver._forkserver_pid is None:
        _CONTEXT.set_forkserver_preload(["warmed"])
        with patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):
            forkserver.ensure_running()
        first = _CONTEXT.Process(target=_is_warm)  # comes back when everything is warm
        first.start()
        first.join()
        assert first.exitcode == 0, "importing warmed.py must not fail in the server"
    process = _CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def ended(target, *arguments, seconds=PATIENCE_S):
    """The exit code of such a child; one that hangs is killed."""
    process = forked(target, *arguments)
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode
