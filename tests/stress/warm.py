"""Processes that are cheap to start: forked by a server that has imported and made everything already.

multiprocessing's fork server has no threads and holds no lock, so its children begin clean; each is a
process of its own that can be killed like any other. `forked(target, ...)` gives a started one.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
_HERE = str(Path(__file__).parent)
_CONTEXT = multiprocessing.get_context("forkserver")


def _is_warm() -> None:
    sys.exit("warmed" not in sys.modules)


def forked(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """A started child of the warm server that calls `target`, a function of a module of this folder."""
    if forkserver._forkserver._forkserver_pid is None:  # type: ignore[attr-defined]
        _CONTEXT.set_forkserver_preload(["warmed"])
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (_HERE, before)))
        forkserver.ensure_running()
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
        first = _CONTEXT.Process(target=_is_warm)  # comes back when everything is warm
        try:
            first.start()
        except EOFError as error:  # whatever `warmed` raises ends the server without a word to us
            raise RuntimeError("warmed.py must be importable; its error is on stderr") from error
        first.join()
        if first.exitcode != 0:  # an ImportError alone is passed over by the server
            raise RuntimeError("the server must be warm; importing warmed.py failed in it")
    if _HERE not in sys.path:
        sys.path.insert(0, _HERE)
    process = _CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process
