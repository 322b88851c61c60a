"""Single files that once hung a reader or filled the memory, one for each hole that was closed."""

import importlib
import os
import resource
import signal
import sys
import threading

import h5py
import numpy as np
import pytest
from rigs_fuzz import siege

from grainscout.analysis.formats import read, write_csv, write_gwy, write_nsid
from grainscout.analysis.formats.metadata import from_json
from grainscout.records import DataError, Scan
from grainscout.records.encoding import hdf5
from grainscout.simulator import PRESETS, Film

SCAN = Scan(channels={"height": np.eye(4)}, pixel_size=(1e-8, 1e-8), metadata={"m": np.ones(3)})
READERS = """
import os, time
def hangs(path): time.sleep(60)
def crashes(path): os.kill(os.getpid(), 9)
def raises(path): raise ValueError(path)
def reads(path): return path.read_bytes()
"""


@pytest.fixture
def readers(tmp_path, monkeypatch):
    (tmp_path / "odd_readers.py").write_text(READERS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(hdf5, "PATIENCE", 1.5)
    yield importlib.import_module("odd_readers")
    del sys.modules["odd_readers"]


@pytest.fixture(params=["forked", "started"])
def process(request):
    """Another thread makes forking unsafe."""
    done = threading.Event()
    if request.param == "started":
        threading.Thread(target=done.wait, daemon=True).start()
    elif threading.active_count() > 1:
        pytest.skip("other threads are running")
    yield
    done.set()


@pytest.mark.usefixtures("process")
def test_a_library_that_hangs_or_crashes_does_so_elsewhere(readers, tmp_path):
    with pytest.raises(DataError, match=r"read within 1.5 s"):
        hdf5.survived(tmp_path / "x", readers.hangs)
    with pytest.raises(DataError, match="crashes its library"):
        hdf5.survived(tmp_path / "x", readers.crashes)
    hdf5.survived(tmp_path / "x", readers.raises)  # told by the reading that follows
    hdf5.survived(tmp_path / "odd_readers.py", readers.reads)


def test_hdf5_is_read_elsewhere_first(tmp_path, monkeypatch):
    write_nsid(SCAN, tmp_path / "a.h5")
    asked = []
    monkeypatch.setattr(
        "grainscout.analysis.formats.nsid.reader.survived",
        lambda p, r: asked.append((p, r.__name__)),
    )
    read(tmp_path / "a.h5")
    assert asked == [(tmp_path / "a.h5", "read_hdf5")]


@pytest.mark.parametrize("own", [True, False])
def test_chunks_that_were_never_written_are_not_allocated(tmp_path, own):
    path = tmp_path / "bomb.h5"
    write_nsid(SCAN, path)
    with h5py.File(path, "r+") as file:
        if not own:
            del file.attrs["grainscout_format"]
        group = file["Measurement_000/Channel_000/height"]
        attributes = dict(group["height"].attrs)
        del group["height"]
        bomb = group.create_dataset("height", (20_000, 20_000), "f8", chunks=(1000, 1000))
        bomb.attrs.update({k: v for k, v in attributes.items() if k != "DIMENSION_LIST"})
        for name in "xy":
            del group[name]
            group.create_dataset(name, data=np.linspace(0, 1, 20_000)).attrs["units"] = "m"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="as many as are written"):
        read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB


def test_a_truncated_export_says_which_images_are_whole(tmp_path):
    image = np.random.default_rng(0).random((40, 50))
    scan = Scan(channels={"a": image, "b": image}, pixel_size=(1e-9, 1e-9))
    for write, name in ((write_nsid, "x.h5"), (write_gwy, "x.gwy")):
        path = tmp_path / name
        write(scan, path)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * 3 // 4])
        with pytest.raises(DataError, match=r"It is truncated. Whole are (a|\S*/a/a)[;,]"):
            read(path)
    half = read(path, crop_px=(0, 0, 40, 50))
    np.testing.assert_array_equal(half.channels["a"], image)


def test_metadata_hold_arrays_of_numbers_only():
    for kind in ("S1000000000", "U99999999", "object", "M8[s]", "V10", "f8,f8", ",float64"):
        with pytest.raises(ValueError, match="arrays of numbers"):
            from_json(f'{{"x": {{"__array__": "{kind}", "values": [1, 2, 3]}}}}')


def test_numbers_of_a_picture_that_are_none_are_refused(tmp_path):
    path = tmp_path / "a.gwy"
    write_gwy(SCAN, path)
    good = path.read_bytes()
    at = good.index(b"xoff\0d")
    path.write_bytes(good[: at + 5] + b"s:......\0" + good[at + 14 :])  # a text in its place
    with pytest.raises(DataError, match="Gwyddion file"):
        read(path)


@pytest.mark.parametrize("way", ["external", "virtual", "link"])
def test_a_file_that_takes_values_of_another_is_refused(tmp_path, way):
    secret, path = tmp_path / "secret.bin", tmp_path / "a.h5"
    secret.write_bytes(np.arange(float(SCAN.height.size)).tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = np.ones(SCAN.height.T.shape)
    write_nsid(SCAN, path)
    with h5py.File(path, "r+") as file:
        group = next(iter(file["Measurement_000/Channel_000"].values()))
        name, shape = group.attrs["signal"], SCAN.height.T.shape
        attributes = dict(group[name].attrs)
        del group[name]
        if way == "link":
            group[name] = h5py.ExternalLink("other.h5", "x")
        elif way == "external":
            group.create_dataset(
                name, shape, "<f8", external=[(str(secret), 0, h5py.h5f.UNLIMITED)]
            )
        else:
            layout = h5py.VirtualLayout(shape, "<f8")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", shape)
            group.create_virtual_dataset(name, layout)
        if way != "link":
            for key in ("data_type", "quantity", "units"):
                group[name].attrs[key] = attributes[key]
    with pytest.raises(DataError, match="must hold its own values"):
        read(path)


@pytest.mark.parametrize("harm", ["external", "bomb", "hang"])
def test_a_film_file_is_read_with_the_same_care(tmp_path, monkeypatch, harm):
    path = tmp_path / "film.h5"
    Film.generate(PRESETS["tiny"], 1).save(path)
    asked = []
    if harm == "hang":
        monkeypatch.setattr(
            "grainscout.simulator.film.store.survived", lambda p, r: asked.append(p)
        )
        Film.load(path)
        assert asked == [path]
        return
    with h5py.File(path, "r+") as file:
        del file["truth/hidden"]
        if harm == "external":
            (tmp_path / "secret").write_bytes(bytes(80))
            file.create_dataset(
                "truth/hidden", (10,), "<f8", external=[(str(tmp_path / "secret"), 0, 80)]
            )
        else:
            file.create_dataset("truth/hidden", (100_000, 100_000), "<f8", chunks=(1000, 1000))
    with pytest.raises(
        DataError, match="its own values" if harm == "external" else "are written"
    ) as e:
        Film.load(path)
    assert "cannot be read" not in str(e.value)


def test_a_table_of_one_far_site_makes_no_picture_of_it(tmp_path):
    path = tmp_path / "far.csv"
    path.write_text("row,column,Voltage [V],Current [nA]\n99999,99999,0,0\n99999,99999,1,1\n")
    with pytest.raises(DataError, match="a picture of at most"):
        read(path)


def test_a_site_of_our_own_export_is_not_rounded(tmp_path):
    from rigs_formats import recording

    path = tmp_path / "own.csv"
    write_csv(recording(), path)
    lines = path.read_text().splitlines()
    at = len(lines) - lines[::-1].index("# section,current")
    for cell in ("0.5", "nan", "1e300"):
        changed = [*lines[:at], cell + lines[at][1:], *lines[at + 1 :]]
        path.write_text("\n".join(changed) + "\n")
        with pytest.raises(DataError, match="whole numbers"):
            read(path)


def test_the_siege_itself_sees_a_hang_a_crash_and_a_fat_case():
    def one(case):
        if case == 1:
            threading.Event().wait(60)
        if case == 2:
            np.ones(10**9)
        if case == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return "bad" if case == 4 else ""

    lost, _ = siege(range(6), one, seconds=1.5, memory=1_000_000_000)
    assert [text[:12] for text in lost] == [
        *("case 1: hung", "case 2: ende", "case 3: ende", "case 4: bad")
    ]
