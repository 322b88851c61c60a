"""`python tests/torture`: every check at its long size, and a table of what was lost.

Exit status 0: nothing was lost. 1: something was, or a check itself failed.
"""

import argparse
import os
import sys
import time
import traceback
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tally import POLICIES_KEY, SCALE, Check, Size, Tally, all_checks

from grainscout.policies import policy_names


def main() -> int:
    """Run the checks that were asked for, print the table, and say whether anything was lost."""
    parser = argparse.ArgumentParser(prog="python tests/torture", description=__doc__)
    parser.add_argument("checks", nargs="*", help="names of checks; none: all")
    parser.add_argument("--size", choices=("short", "long"), default="long")
    parser.add_argument("--scale", type=float, default=1.0, help="long sizes times this")
    parser.add_argument("--policies", default="", help="names, with commas: these instead of all")
    parser.add_argument("--list", action="store_true", help="print the names of the checks")
    options = parser.parse_args()
    sys.path.append(str(Path(__file__).parents[1] / "hardware"))  # the rigs, as pytest finds them
    unknown = set(filter(None, options.policies.split(","))) - set(policy_names())
    if unknown:
        parser.error(f"no such policy: {', '.join(sorted(unknown))}")
    os.environ[SCALE], os.environ[POLICIES_KEY] = str(options.scale), options.policies
    checks = all_checks()
    if options.list:
        print("\n".join(checks))
        return 0
    unknown = set(options.checks) - set(checks)
    if unknown:
        parser.error(f"no such check: {', '.join(sorted(unknown))}; known: {', '.join(checks)}")
    chosen = {name: checks[name] for name in options.checks or checks}
    console = Console()
    table = Table("check", "what was tried", "how often", "lost", "note", "s")
    lost, started = 0, time.monotonic()
    for name, function in chosen.items():
        began = time.monotonic()
        with console.status(f"{name} ..."):
            tallies = _run(function, options.size)
        spent = f"{time.monotonic() - began:.0f}"
        for tally in tallies:
            bad = tally.lost > 0 or tally.tried == 0
            lost += bad
            style = "red" if bad else ""
            table.add_row(
                name,
                tally.what,
                f"{tally.tried:,}",
                str(tally.lost),
                tally.note,
                spent,
                style=style,
            )
        console.print(f"{name}: {spent} s")
    console.print(table)
    console.print(f"All in {time.monotonic() - started:.0f} s.")
    console.print(f"{lost} checks lost something." if lost else "Nothing was lost.")
    return 1 if lost else 0


def _run(function: Check, size: Size) -> list[Tally]:
    try:
        return function(size)
    except Exception as error:  # noqa: BLE001 -- one broken check must not hide the others
        traceback.print_exc()
        return [
            Tally(what="the check itself", tried=1, lost=1, note=f"{type(error).__name__}: {error}")
        ]


if __name__ == "__main__":
    sys.exit(main())
