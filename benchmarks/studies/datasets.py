"""Make the files of `grainscout.datasets`: ``python benchmarks/studies/datasets.py [FOLDER]``."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from grainscout import datasets
from grainscout.analysis.formats import write_nsid
from grainscout.benchmarks import CampaignStore, run_campaign
from grainscout.config import load_campaign
from grainscout.hardware import SimulatedMicroscope
from grainscout.records import Recording, Site, Waveform, spawn_streams

SEED, SUNS, DIGITS = 5, 0.1, 4


def main(folder: Path) -> None:
    """Write grid and campaign."""
    (folder / "campaign").mkdir(parents=True, exist_ok=True)
    microscope = SimulatedMicroscope(
        datasets.film(), "reference", seed=spawn_streams(SEED).instrument
    )
    scan = microscope.scan(["height"])
    sites = np.argwhere(np.ones(scan.shape, bool))
    sites = sites[(sites % 2 == 0).all(axis=1)]
    waveform = Waveform.triangle(1.5, 41, 0.5)
    microscope.light(SUNS)
    curves = [microscope.measure(Site(int(r), int(c)), waveform) for r, c in sites]
    current = np.array([c.current for c in curves])
    # Four digits are more than the noise leaves, and pack better.
    unit = 10.0 ** (np.floor(np.log10(np.maximum(np.abs(current), 1e-16))) - DIGITS + 1)
    data = Recording(
        scan=replace(scan, metadata={}),
        sites=sites,
        waveform=waveform,
        current=np.round(current / unit) * unit,
        saturated=np.array([c.saturated for c in curves]),
        metadata={"source": "Grainscout simulator", "film": "tiny", "seed": SEED, "suns": SUNS},
    )
    write_nsid(data, folder / "grid.h5", overwrite=True)
    campaign = load_campaign("smoke")
    with CampaignStore(folder / "campaign" / "campaign.sqlite", campaign.identity()) as store:
        run_campaign(campaign, store, jobs=0)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else datasets.grid_file().parent)
