"""Write the golden results anew that a meant change of behaviour moves.

    OMP_NUM_THREADS=1 python tests/golden/update_results.py [policies] [campaigns]

Journals, films and stores here were written before the modules got folders (c0a26f9; the script that
made them is in the history) and stay as they are. The commit says which results changed and why.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from golden_rig import HERE, columns, course, golden, unpacked

from grainscout.benchmarks import CampaignStore, load, run_campaign
from grainscout.config import load_campaign
from grainscout.simulator import Film


def write(name, values):
    """A JSON file with a line an entry."""
    listed = isinstance(values, list)
    entries = values if listed else values.items()
    lines = [_json(e) if listed else f"{_json(e[0])}:{_json(e[1])}" for e in entries]
    first, last = "[]" if listed else "{}"
    text = f"{first}\n" + ",\n".join(lines) + f"\n{last}\n"
    (HERE / f"{name}.json").write_text(text, encoding="utf-8")


def _json(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def policies(folder):
    """The course of every policy."""
    film = Film.load(unpacked("film.h5", folder))
    names = ("policy", "options", "batch", "curves")
    cases = [{n: case[n] for n in names} for case in golden("policies")]
    write("policies", [{**case, **course(case, film)} for case in cases])


def campaigns(folder):
    """The end of the stored campaign, and of the smoke campaign."""
    path, out = unpacked("campaign.sqlite", folder), folder / "smoke"
    with CampaignStore(path) as store:
        run_campaign(load_campaign(str(HERE / "campaign.toml")), store)
    ended = load(path)
    tables = {"table": columns(ended.frame), "maps": columns(ended.more["maps"])}
    write("campaign", {**golden("campaign"), **tables})
    call = [sys.executable, "-m", "grainscout.cli", "bench", "smoke", "--jobs", "0"]
    subprocess.run([*call, "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    tables = {t: columns(pd.read_parquet(out / f"{t}.parquet")) for t in ("table", "maps")}
    text = {"leaderboard.md": (out / "leaderboard.md").read_text("utf-8")}
    write("smoke", {**golden("smoke"), **tables, **text})


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        for name, update in (("policies", policies), ("campaigns", campaigns)):
            if name in sys.argv[1:] or len(sys.argv) == 1:
                update(Path(scratch))
