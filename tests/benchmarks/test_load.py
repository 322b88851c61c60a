"""One call for whatever there is: the tables say what the files do."""

import numpy as np
import pandas as pd
import pytest
from flights import film_of, flown, scope_on
from rogues import campaign

from grainscout.analysis.curves.descriptors import describe
from grainscout.analysis.formats import write_gwy, write_nsid
from grainscout.benchmarks import CampaignStore, PolicySpec, load, run_campaign, write_results
from grainscout.journal import Journal, recording_of
from grainscout.records import ConfigError, DataError, JournalError


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run.gsj"
    flown(scope_on(film_of(3), 3, light=0.1), "dkl", 3, path, curves=14)
    return path


def test_a_journal_is_a_row_a_measurement(journal):
    loaded = load(journal)
    assert loaded.kind == "journal"
    with Journal.read(journal) as record:
        outcomes, proposals = record.outcomes(), record.proposals()
        data = recording_of(record)
        voltage = record.header().problem.waveform.voltage
    frame = loaded.frame
    assert frame[["row", "column"]].to_numpy().tolist() == [list(o.site) for o in outcomes]
    np.testing.assert_array_equal(frame["finished_s"], [o.finished for o in outcomes])
    expected = describe("loop_area", voltage, [o.curve.current for o in outcomes])
    np.testing.assert_array_equal(frame["loop_area"], expected.value)
    assert frame.attrs["units"] == {"loop_area": "A V"}
    # What the policy thought stands beside what came of it.
    thought = [np.nan if p.prediction is None else p.prediction for p in proposals]
    assert np.isfinite(thought).any()
    np.testing.assert_array_equal(frame["prediction"], thought)
    assert set(loaded.more["events"]["kind"]) >= {"start", "end"}
    np.testing.assert_array_equal(loaded.xarray()["curve"], data.current)


def test_failed_measurements_stay_in_the_table(tmp_path, journal):
    from grainscout.records import Outcome, Site

    path = tmp_path / "failed.gsj"
    with Journal.read(journal) as record:
        header = record.header()
        good = record.outcomes()[0]
    with Journal.create(path, header) as record:
        record.record_batch(0, [], 0.0)
        record.record_outcome(0, Outcome(site=Site(9, 9), status="failed", message="crash"))
    empty = load(path)
    assert empty.data is None
    assert empty.frame["status"].tolist() == ["failed"]
    with Journal.open(path) as record:
        record.record_outcome(0, good)
    frame = load(path).frame
    assert np.isnan(frame["loop_area"][0])
    assert np.isfinite(frame["loop_area"][1])
    assert frame["message"][0] == "crash"


def test_a_campaign_is_the_table_that_it_writes(tmp_path):
    plan = campaign(PolicySpec(name="random"))
    with CampaignStore(tmp_path / "campaign.sqlite", plan.identity()) as store:
        run_campaign(plan, store)
        results = write_results(plan, store, tmp_path)
    loaded = load(tmp_path)
    assert loaded.kind == "campaign"
    pd.testing.assert_frame_equal(loaded.frame, pd.read_parquet(results.files["table"]))
    pd.testing.assert_frame_equal(load(tmp_path / "campaign.sqlite").frame, loaded.frame)
    with pytest.raises(ConfigError, match="Take its frame"):
        loaded.xarray()


def test_files_of_other_programs(tmp_path, journal):
    with Journal.read(journal) as record:
        data = recording_of(record)
    write_nsid(data, tmp_path / "grid.h5")
    grid = load(tmp_path / "grid.h5")
    assert grid.kind == "recording"
    np.testing.assert_allclose(
        grid.frame["loop_area"], load(journal).frame["loop_area"], rtol=1e-12
    )
    write_gwy(data.scan, tmp_path / "image.gwy")
    image = load(tmp_path / "image.gwy")
    assert image.kind == "scan"
    np.testing.assert_allclose(
        image.frame["height"].to_numpy().reshape(data.scan.shape), data.scan.channel("height")
    )
    # Positions are those of the pixels, and the Dataset's.
    np.testing.assert_allclose(image.frame["x_m"], image.xarray()["x"].to_numpy().ravel())


def test_what_is_nothing_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is none"):
        load(tmp_path)
    strange = tmp_path / "strange.db"
    import sqlite3

    with sqlite3.connect(strange) as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    with pytest.raises(JournalError):
        load(strange)
