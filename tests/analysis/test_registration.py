"""Registration: the displacement that made an image is found, and a wrong place is not believed."""

import numpy as np
import pytest

from grainscout.analysis.registration import register, richest_part
from grainscout.experiment.drift import MIN_QUALITY
from grainscout.records import DataError
from grainscout.simulator import PRESETS, Film
from grainscout.simulator.instrument.drift import shifted

FILMS = [Film.generate(PRESETS["reference"], seed) for seed in (31, 32)]


@pytest.mark.parametrize("by", [(0.0, 0.0), (2.37, -1.61), (-0.5, 3.2)])
@pytest.mark.parametrize("side", [32, 128])
def test_displacement_is_found_to_parts_of_a_pixel(by, side):
    reference = FILMS[0].scan().height
    start = richest_part(reference, side)
    later = shifted(FILMS[0].scan(repeat=1).height, np.tile(by, (side, 1)), start, side)
    found = register(reference, later, start)
    assert (found.rows - start[0], found.columns - start[1]) == pytest.approx(by, abs=0.25)
    assert found.quality > 0.95
    elsewhere = register(FILMS[1].scan().height, later, start)
    assert elsewhere.quality < MIN_QUALITY


def test_an_image_larger_than_the_reference_is_refused():
    with pytest.raises(DataError, match="8 x 8 to"):
        register(np.eye(16), np.eye(17))
