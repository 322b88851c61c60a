"""Commands as a user calls them: exit status, one message, nothing overwritten."""

import base64
import re
import subprocess
import sys
from inspect import cleandoc

import numpy as np
import pytest
from samples import package

from grainscout.analysis.formats import Recording, write_nsid
from grainscout.benchmarks import MicroscopeSpec, Task, make_environment, tasks
from grainscout.cli.listing import documented
from grainscout.journal import Journal
from grainscout.policies import policy_class
from grainscout.policies.registry import BUILTIN
from grainscout.records import Scan, Waveform
from grainscout.simulator import Film

RUN = """
seed = {seed}
[task]
light_suns = 0.1
curves = {curves}
microscope = {{ film = "tiny" }}
waveform = {{ samples = 51 }}
[policy]
name = "{policy}"
"""


def experiment(folder, name="run.toml", policy="random", curves=8, seed=1, extra=""):
    path = folder / name
    path.write_text(RUN.format(policy=policy, curves=curves, seed=seed) + extra)
    return path


def test_a_run_its_report_and_its_resume(call, tmp_path):
    experiment(tmp_path, policy="dkl", curves=14)
    status, out, _ = call("run", "run.toml")
    assert status == 0
    assert "14 measurements, 0 failed" in out
    assert call("report", "run.gsj")[0] == 0
    page = (tmp_path / "run.html").read_text()
    assert "budget: 14 curves" in page
    assert page.count("<img") >= 6
    for title in (
        "Properties of the chosen sites",
        "Other descriptors of the same curves",
        "Against the truth",
    ):
        assert title in page
    table = re.search(r'download="The run.csv" href="data:text/csv;base64,([^"]+)"', page)
    assert "measurements,14" in base64.b64decode(table[1]).decode()
    assert call("report", "run.gsj", "--svg")[0] == 0
    assert 'src="data:image/svg+xml' in (tmp_path / "run.html").read_text()
    status, out, _ = call("report", "run.gsj", "run.gsj", "--out", "two.html")
    assert status == 0
    assert "One run each decides nothing" in out
    assert "One run each" in (tmp_path / "two.html").read_text()
    with Journal.read(tmp_path / "run.gsj") as journal:
        before = [o.curve.current.tobytes() for o in journal.outcomes()]
    assert call("run", "--resume", "run.gsj")[0] == 0
    with Journal.read(tmp_path / "run.gsj") as journal:
        assert [o.curve.current.tobytes() for o in journal.outcomes()] == before


def test_a_journal_is_not_overwritten_nor_continued_by_another_experiment(call, tmp_path):
    experiment(tmp_path)
    assert call("run", "run.toml")[0] == 0
    before = (tmp_path / "run.gsj").read_bytes()
    experiment(tmp_path, "other.toml", seed=2)
    for words, said in (
        (["run.toml"], "not overwritten"),
        (["other.toml", "--resume", "run.gsj"], "another experiment"),
    ):
        status, _, err = call("run", *words)
        assert status == 1
        assert said in err
        assert (tmp_path / "run.gsj").read_bytes() == before


def test_a_dry_run_touches_nothing(call, tmp_path):
    experiment(tmp_path)
    status, out, _ = call("run", "run.toml", "--dry-run")
    assert status == 0
    assert "1089 candidate sites" in out
    assert [p.name for p in tmp_path.iterdir()] == ["run.toml"]


@pytest.mark.parametrize(
    ("extra", "status", "said"),
    [
        ("[limits]\nvoltage_V = 1.0\n", 1, "1.5 V, 0.5 V beyond the limit voltage_V"),
        ("[limits]\nslew_V_per_s = 1.0\n", 1, "beyond the limit slew_V_per_s"),
        ("options = { seed_pts = 3 }\n", 2, "seed_pts"),
    ],
)
def test_wrong_settings_end_with_one_message(call, tmp_path, extra, status, said):
    experiment(tmp_path, extra=extra)
    found, _, err = call("run", "run.toml")
    assert found == status
    assert said in err


@pytest.mark.parametrize(
    ("old", "new", "status", "said"),
    [
        ('film = "tiny"', 'film = "gold"', 2, "film must be a preset"),
        ('film = "tiny"', 'film = "tiny", instrument = "x"', 2, "instrument"),
        ('film = "tiny"', 'kind = "replay", file = "absent.3ds"', 1, "absent.3ds"),
        ('film = "tiny"', 'kind = "replay", file = "run.toml"', 1, "run.toml"),
        ('film = "tiny"', 'kind = "teleport"', 2, "microscope kind must be one of"),
        ("curves = 8", "curves = 8\nwindow_px = 64", 2, "smaller side, 48; got 64"),
        ("seed = 1", "decision_s = nan", 2, "decision_s must be finite [s]; got nan"),
        ("seed = 1", "checkpoint_every = 0", 2, "checkpoint_every must be at least 1; got 0"),
        ('"random"', '"oracle"', 2, "given the truth; it runs in campaigns only"),
    ],
)
def test_an_impossible_measurement_ends_with_one_message(call, tmp_path, old, new, status, said):
    path = experiment(tmp_path)
    path.write_text(path.read_text().replace(old, new))
    found, _, err = call("run", "run.toml")
    assert found == status
    assert said in err
    assert not (tmp_path / "run.gsj").exists()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["run"], 2, "experiment file"),
        (["run", "absent.toml"], 2, "there is none at absent.toml"),
        (["run", "--resume", "absent.gsj"], 1, "there is none at absent.gsj"),
        (["run", "--resume", "text.gsj"], 1, "not readable"),
        (["report", "absent"], 1, "nothing at absent"),
        (["report", "."], 1, "there is none at campaign.sqlite"),
        (["report", ".", "text.gsj"], 2, "two of a kind"),
        (["bench", "absent"], 2, "one of cost, faults"),
        (["bench", "smoke", "--out", "text.gsj"], 2, "--out must be a folder"),
        (["bench", "smoke", "--replay", "absent.3ds"], 2, "there is none at absent.3ds"),
        (["simulate", "gold"], 2, "film preset must be one of"),
        (["simulate", "tinny"], 2, "closest: 'tiny'"),
        (["list", "polices"], 2, "closest: 'policies'"),
        (["control", "text.gsj", "puase"], 2, "closest: 'pause'"),
        (["run", "grainscout[watch].toml"], 2, "there is none at grainscout[watch].toml"),
        (["simulate", "tiny", "--seed", "-1"], 2, "--seed"),
        (["list", "colours"], 2, "colours"),
        (["check-policy", "random", "--options", '{"x": 1}'], 2, "no option 'x'"),
        (["fly"], 2, "fly"),
    ],
)
def test_bad_usage_ends_with_its_status_and_one_message(call, tmp_path, words, status, said):
    (tmp_path / "text.gsj").write_text("no database at all " * 60)
    found, out, err = call(*words)
    assert found == status
    assert said in out + err


def test_a_report_replaces_nothing_but_a_report(call, tmp_path):
    experiment(tmp_path)
    assert call("run", "run.toml")[0] == 0
    before = (tmp_path / "run.gsj").read_bytes()
    status, _, err = call("report", "run.gsj", "--out", "run.gsj")
    assert status == 2
    assert "is not overwritten" in err
    assert (tmp_path / "run.gsj").read_bytes() == before


def test_a_badly_installed_policy_does_not_hide_the_others(call, tmp_path, monkeypatch):
    package(tmp_path, "lab", "", policies="lost = absent_module:Lost")
    monkeypatch.syspath_prepend(str(tmp_path))
    status, out, _ = call("list", "policies")
    assert status == 0
    assert "dual-novelty" in out
    assert "cannot be loaded" in " ".join(out.split())


def test_lists_have_the_names_for_files_and_a_line_for_each_task(call, monkeypatch):
    monkeypatch.setattr("grainscout.cli.console.console._width", 80)
    status, out, _ = call("list")
    assert status == 0
    for name in ("dual-novelty", "tiny", "reference", "replay", "loop_area", "quick"):
        assert name in out
    for task in tasks().values():
        assert re.search(rf"^ {task.id} +{re.escape(task.about().split(': ')[-1])} *$", out, re.M)


@pytest.mark.parametrize("name", sorted(BUILTIN))
def test_what_a_list_reads_from_the_source_is_the_docstring(name):
    assert cleandoc(documented(BUILTIN[name])) == cleandoc(policy_class(name).__doc__)


def test_lists_import_no_mathematics():
    """What takes seconds: names and phrases are told without it."""
    code = "import sys; from grainscout.cli import app; app(['list'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "grainscout" in imported
    assert not imported & {"scipy", "skimage", "torch", "matplotlib", "pandas", "h5py", "tornado"}


def test_units_in_brackets_are_printed(call):
    out = call("list", "descriptors")[1]
    assert "[log10 A]" in out
    assert "[A V]" in out


def test_a_film_is_made_with_its_picture_and_not_overwritten(call, tmp_path):
    assert call("simulate", "tiny", "--seed", "4", "--out", "film")[0] == 0
    assert (tmp_path / "film" / "film.png").stat().st_size > 10_000
    before = (tmp_path / "film" / "film.h5").read_bytes()
    status, _, err = call("simulate", "tiny", "--out", "film")
    assert status == 2
    assert "not overwritten" in err
    assert (tmp_path / "film" / "film.h5").read_bytes() == before
    # The film of an experiment with this seed, measured again from its file.
    path = experiment(tmp_path, seed=4)
    path.write_text(path.read_text().replace('film = "tiny"', 'film_file = "film/film.h5"'))
    assert call("run", "run.toml", "--out", "file.gsj")[0] == 0
    experiment(tmp_path, seed=4)
    assert call("run", "run.toml", "--out", "made.gsj")[0] == 0
    curves = []
    for name in ("file.gsj", "made.gsj"):
        with Journal.read(tmp_path / name) as journal:
            curves.append([o.curve.current for o in journal.outcomes()])
    np.testing.assert_array_equal(*curves)


def test_grain_contrast_changes_the_grains_of_an_image(call, tmp_path):
    """The film that is looked at is the one that is raced on."""
    assert call("simulate", "tiny", "--out", "film")[0] == 0
    scan = Film.load(tmp_path / "film" / "film.h5").scan()
    write_nsid(scan, tmp_path / "image.h5")
    found = {}
    for contrast in (0.1, 50.0):
        words = [
            "--topography",
            "image.h5",
            "--grain-contrast",
            contrast,
            "--out",
            f"on-{contrast}",
        ]
        assert call("simulate", "tiny", *words)[0] == 0
        found[contrast] = Film.load(tmp_path / f"on-{contrast}" / "film.h5").structure.labels
    assert found[50.0].max() == 0  # one grain
    assert found[0.1].max() > 0
    spec = MicroscopeSpec(
        kind="topography", film="tiny", file=tmp_path / "image.h5", grain_contrast=50.0
    )
    film = make_environment(Task(microscope=spec, curves=1), seed=0).film
    np.testing.assert_array_equal(film.structure.labels, found[50.0])
    status, _, err = call("simulate", "tiny", "--grain-contrast", "1.5", "--out", "other")
    assert status == 2
    assert "needs --topography" in err
    assert not (tmp_path / "other").exists()
    status, _, err = call(
        "simulate", "tiny", "--topography", "image.h5", "--grain-contrast", "0", "--out", "other"
    )
    assert status == 2
    assert "segmentation contrast must be" in err


def test_a_run_is_exported_and_replayed(call, tmp_path):
    """What was measured once can be measured again, from the exported file, curve for curve."""
    path = experiment(tmp_path, curves=20)  # the first loses its contact: a second look replaces it
    path.write_text(path.read_text().replace("curves = 20", "curves = 20\nsecond_look = 0"))
    assert call("run", "run.toml")[0] == 0
    for name in ("run.h5", "run.csv"):
        assert call("export", "run.gsj", name)[0] == 0
        status, _, err = call("export", "run.gsj", name)
        assert status == 1
        assert f"{name} exists and is not overwritten" in err
        assert "--force" in err
        status, out, _ = call("import", name)
        assert status == 0
        assert "20 curves of 51 samples" in out
    status, _, err = call("export", "run.gsj", "run.gwy")
    assert status == 1
    assert "images only" in err
    (tmp_path / "again.toml").write_text(
        '[task]\ncurves = 20\nwindow_px = 1\nmicroscope = { kind = "replay", file = "run.h5" }\n'
        'waveform = { kind = "recorded" }\n[policy]\nname = "grid"\n'
    )
    assert call("run", "again.toml")[0] == 0
    runs = []
    for name in ("run.gsj", "again.gsj"):
        with Journal.read(tmp_path / name) as journal:
            runs.append({tuple(o.site): o.curve.current.tobytes() for o in journal.outcomes()})
    assert runs[0] == runs[1]


def test_preflight_reports_the_run_and_the_limits_it_would_break(call, tmp_path):
    experiment(tmp_path)
    status, out, _ = call("preflight", "run.toml")
    assert status == 0
    assert "1.5 V" in out
    assert "budget: 8 curves" in out
    experiment(tmp_path, extra="[limits]\nvoltage_V = 1.2\ncurves = 5\n")
    status, _, err = call("preflight", "run.toml")
    assert status == 1
    assert "beyond the limit voltage_V" in err
    assert "beyond the limit curves" in err


def test_sites_outside_the_allowed_frame_are_no_candidates(call, tmp_path):
    experiment(tmp_path, extra="[limits]\nframe_m = [0.0, 0.0, 4e-7, 3e-7]\n")
    assert call("run", "run.toml")[0] == 0
    with Journal.read(tmp_path / "run.gsj") as journal:
        problem = journal.header().problem
    x, y = problem.scan.positions(problem.candidates).T
    assert x.max() <= 4e-7
    assert y.max() <= 3e-7
    experiment(tmp_path, "none.toml", extra="[limits]\nframe_m = [5.0, 5.0, 6.0, 6.0]\n")
    status, _, err = call("run", "none.toml")
    assert status == 2
    assert "none of its candidates" in err


def test_the_report_of_an_ising_run_has_its_truth(call, tmp_path):
    (tmp_path / "ising.toml").write_text(
        '[task]\ntarget = "max_current"\nwindow_px = 1\ncurves = 6\n'
        'microscope = { kind = "ising", options = { property = "magnetisation" } }\n'
        'waveform = { kind = "recorded" }\n[policy]\nname = "random"\n'
    )
    assert call("run", "ising.toml", "--out", "ising.gsj")[0] == 0
    assert call("report", "ising.gsj")[0] == 0
    page = (tmp_path / "ising.html").read_text()
    assert 'id="truth"' in page


@pytest.mark.parametrize(("window", "offered"), [(1, None), (4, "49 of 100 recorded sites")])
def test_a_replay_says_how_many_of_its_sites_a_window_leaves(call, tmp_path, window, offered):
    sweep = Waveform.triangle(1.0, 51, 0.5)
    sites = np.argwhere(np.ones((10, 10), bool))
    scan = Scan(channels={"height": np.arange(100.0).reshape(10, 10)}, pixel_size=(1e-8, 1e-8))
    current = (1 + np.arange(100.0))[:, None] * 1e-12 * sweep.voltage
    write_nsid(
        Recording(scan=scan, sites=sites, waveform=sweep, current=current), tmp_path / "g.h5"
    )
    (tmp_path / "run.toml").write_text(
        f"[task]\ncurves = 3\nwindow_px = {window}\n"
        'target = "max_current"\nmicroscope = { kind = "replay", file = "g.h5" }\n'
        'waveform = { kind = "recorded" }\n[policy]\nname = "random"\n'
    )
    for more in ([], ["--dry-run"]):
        status, out, _ = call("run", "run.toml", *more)
        assert status == 0
        said = " ".join(out.split())
        assert ("recorded sites" in said) == (offered is not None)
        assert offered is None or f"{offered} can be measured with window_px = 4" in said
