"""A run on a fake controller in another process, that is killed in mid-sweep."""

import json
import sys

from grainscout.hardware import Guard, Limits, make_microscope
from grainscout.records import Site, Waveform

with Guard(make_microscope("nanonis", json.loads(sys.argv[1])), Limits()) as guard:
    guard.scan()
    print("scanned", flush=True)
    guard.measure(Site(1, 1), Waveform.triangle(1.0, 21, 0.1))
