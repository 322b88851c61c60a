"""Command ``grainscout mcp``: experiments of one folder for an assistant, by the Model Context Protocol.

An assistant can look, rehearse and ask. It starts only what a person approved, and each run is a process
of its own behind its guard.
"""

import functools
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from typer import Argument

from grainscout.cli.console import extra
from grainscout.records import ConfigError, DataError, GrainscoutError, one_of

#: Requests that an assistant may send to a run. None of them names a file.
REQUESTS = ("pause", "resume", "abort", "veto", "add")
_LATEST = 5  # outcomes and events that `watch` tells


class Desk:
    """What an assistant may do, as plain functions. Every file is one of the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def list_files(self) -> dict[str, list[str]]:
        """List experiment and campaign files (TOML), journals of runs, and which experiments are approved."""
        found = {
            kind: sorted(p.name for p in self._folder.glob(f"*.{kind}")) for kind in ("toml", "gsj")
        }
        return {**found, "approved": [n for n in found["toml"] if self._approved(self._folder / n)]}

    def preflight(self, experiment: str) -> str:
        """Fly an experiment on its simulated twin: limits, time, wear and expected result."""
        return self._call("preflight", str(self._file(experiment, ".toml")))

    def bench(self, campaign: str) -> str:
        """Start a campaign on simulated or recorded films, beside this server."""
        file = self._file(campaign, ".toml")
        return self._start("bench", str(file), "--out", str(file.with_suffix("")))

    def run(self, experiment: str) -> str:
        """Start an experiment that a person approved as it is, beside this server."""
        from grainscout.config.approval import load_approved

        file = self._file(experiment, ".toml")
        load_approved(file)
        return self._start("run", "--approved", str(file))

    def watch(self, journal: str) -> dict[str, Any]:
        """Tell how a run is: counts, latest outcomes and events."""
        from grainscout.journal import Journal

        with Journal.read(self._file(journal, ".gsj")) as run:
            outcomes, events, budget = run.outcomes(), run.events(), run.header().problem.budget
            return {
                "budget": {k: v for k, v in vars(budget).items() if v is not None},
                "measured": len(outcomes),
                "failed": sum(o.curve is None for o in outcomes),
                "ended": events[-1].detail.get("reason")
                if events and events[-1].kind == "end"
                else None,
                "latest": [
                    {"site": list(o.site), "status": o.status, "message": o.message}
                    for o in outcomes[-_LATEST:]
                ],
                "events": [f"{e.wall} {e.kind} {dict(e.detail)}" for e in events[-_LATEST:]],
            }

    def control(
        self, journal: str, request: str, id: str = "", row: int = -1, column: int = -1
    ) -> str:
        """Ask a run: pause, resume, abort, veto (proposal id) or add (row, column). Its guard decides."""
        one_of("request", request, REQUESTS)
        words = ["control", str(self._file(journal, ".gsj")), request]
        words += [f"--id={id}"] if request == "veto" else []
        words += [f"--row={row}", f"--column={column}"] if request == "add" else []
        return self._call(*words)

    def _file(self, name: str, suffix: str) -> Path:
        path = (self._folder / name).resolve()
        if path.parent != self._folder or path.suffix != suffix or not path.is_file():
            raise DataError(f"file must be a {suffix} file of {self._folder}; got {name!r:.80}")
        return path

    def _approved(self, path: Path) -> bool:
        from grainscout.config.approval import load_approved

        try:
            return bool(load_approved(path))
        except (ConfigError, DataError):
            return False

    def _call(self, *words: str) -> str:
        command = [sys.executable, "-m", "grainscout.cli", *words]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        return f"{done.stdout}{done.stderr}exit status {done.returncode}"

    def _start(self, *words: str) -> str:
        log = self._folder / f"{Path(words[-1]).stem}.log"
        with log.open("a", encoding="utf-8") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "grainscout.cli", *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # it outlives this server
            )
        threading.Thread(target=process.wait, daemon=True).start()  # no zombie remains
        return f"started; its words are in {log.name}"


def _told(tool: Callable[..., Any], error: type[Exception]) -> Callable[..., Any]:
    """The function, with our errors as those that the protocol tells the assistant."""

    @functools.wraps(tool)
    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return tool(*args, **kwargs)
        except GrainscoutError as refused:
            raise error(str(refused)) from None

    return told


def mcp(folder: Annotated[Path, Argument(help="Folder of the experiment files.")]) -> None:
    """Serve a folder's experiments to an assistant over standard input and output (MCP)."""
    with extra("mcp", "mcp"):
        from mcp.server import MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
    desk = Desk(folder)
    server = MCPServer("grainscout")
    for tool in (desk.list_files, desk.preflight, desk.bench, desk.run, desk.watch, desk.control):
        server.tool()(_told(tool, ToolError))
    server.run()
