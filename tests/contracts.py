"""Run the tests that need packages which do not fit beside ours, each set in an environment of its own.

    python tests/contracts.py [--seconds N] [name ...]

The environments stay in build/contracts.  A contract is skipped, and the reason printed, where its Python
or its packages cannot be had or the time is over; the exit status is 1 if a test failed, 3 if none ran.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "contracts"
TREE = BUILD / "tree"
#: What the spine needs, without what learns and what draws statistics.
SPINE = (
    "numpy scipy h5py igor2 pandas pyarrow matplotlib scikit-image joblib threadpoolctl jinja2 "
    "pydantic tomli-w typer rich pytest hypothesis"
)
ASYLUM = "tests/hardware/adapters/test_asylum.py tests/hardware/adapters/test_streams.py tests/hardware/test_one_file.py"


@dataclass(frozen=True, kw_only=True)
class Contract:
    """pythons : versions that will do;  alone : packages installed without what they depend on (the
    rest of aecroscopywave needs OpenCV and more; its COM class needs numpy)."""

    pythons: tuple[str, ...]
    packages: str
    alone: str = ""
    constrained: bool = True
    tests: str


CONTRACTS = {
    "aecroscopy": Contract(
        pythons=("3.12", "3.13"),
        packages=SPINE,
        alone="aecroscopywave==0.1.21",
        tests=f"{ASYLUM} -k aecroscopy",
    ),
    "aespm": Contract(
        pythons=("3.11", "3.12"),
        packages=f"{SPINE} aespm==1.1.4 ipython numpy==1.26.4",
        constrained=False,  # numpy < 2
        tests=f"{ASYLUM} -k aespm",
    ),
    "files": Contract(
        pythons=("3.11", "3.12"),  # pySPM, which AFMReader needs
        packages="numpy scipy h5py igor2 pytest pyNSID==0.0.7.2 sidpy==0.12.9 gwyfile==0.3.0 nexusformat==2.1.0 "
        "scikit-image AFMReader==0.0.7 access2theMatrix==0.4.4 NSFopen==2.2.4 pspylib==0.1.2 pyUSID==0.0.12",
        alone="rhkpy==1.3.10",
        tests="tests/analysis/formats/test_other_readers.py tests/analysis/formats/test_plain_images.py "
        "tests/analysis/formats/test_makers.py",
    ),
}


class Skipped(Exception):
    """Why a contract could not be tested."""


def main() -> int:
    """Test the contracts side by side; 1 if one is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(CONTRACTS))
    parser.add_argument("--seconds", type=float, default=900.0, help="for all of them together")
    given = parser.parse_args()
    if unknown := set(given.names) - set(CONTRACTS):
        parser.error(f"name must be one of {', '.join(CONTRACTS)}; got {', '.join(unknown)}")
    names = given.names or list(CONTRACTS)
    deadline = time.monotonic() + given.seconds
    plant_tree()
    with ThreadPoolExecutor(len(names)) as pool:
        results = list(pool.map(lambda name: judge(name, deadline), names))
    if all(broken is None for broken in results):
        print("no contract was tested: this is no success")
        return 3
    return int(any(results))


def plant_tree() -> None:
    """The packages as they are imported, so that no build is needed."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shutil.rmtree(TREE, ignore_errors=True)
    left_out = shutil.ignore_patterns("__pycache__")
    for package, folder in settings["tool"]["setuptools"]["package-dir"].items():
        there = TREE / package.replace(".", "/")
        shutil.copytree(ROOT / folder, there, dirs_exist_ok=True, ignore=left_out)


def judge(name: str, deadline: float) -> bool | None:
    """Test a contract and print one line about it; whether it is broken, None if it was skipped."""
    begun, log, broken = time.monotonic(), BUILD / f"{name}.log", None
    try:
        python = environment(name, CONTRACTS[name], deadline)
        words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *CONTRACTS[name].tests.split()]
        broken = bool(run([python, *words], log, deadline, PYTHONPATH=str(TREE)))
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        if broken:
            print("\n".join(lines[-60:]))
        verdict = (lines or ["nothing was said"])[-1]
    except Skipped as reason:
        verdict = f"SKIPPED, not tested: {reason}"
    print(f"contract {name}: {verdict} [{time.monotonic() - begun:.0f} s]", flush=True)
    return broken


def environment(name: str, contract: Contract, deadline: float) -> str:
    """The Python of the contract's environment, which is made unless it is there."""
    home, log = BUILD / name, BUILD / f"{name}.install.log"
    python = str(home / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    recipe = repr(contract).encode() + (ROOT / "constraints.txt").read_bytes()
    wanted, stamp = hashlib.sha256(recipe).hexdigest(), home / "contract"
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(home, ignore_errors=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    pins = ["--constraint", "constraints.txt"] if contract.constrained else []
    steps = [
        [interpreter(contract.pythons), "-m", "venv", str(home)],
        [*pip, "--no-compile", *pins, *contract.packages.split()],
        # Compiled here, because their doubtful escape sequences are warnings, and errors in tests.
        *([[*pip, "--no-deps", *contract.alone.split()]] if contract.alone else []),
    ]
    for step in steps:
        if run(step, log, deadline):
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            errors = [line for line in lines if "error" in line.lower()] or [f"see {log}"]
            raise Skipped(f"its packages cannot be installed: {errors[-1]}")
    stamp.write_text(wanted)
    return python


def interpreter(versions: tuple[str, ...]) -> str:
    """A Python of one of these versions that starts, from the path or from pyenv."""
    code, pyenv = (
        "import sys; print('%d.%d' % sys.version_info[:2])",
        Path.home() / ".pyenv/versions",
    )
    for version in versions:
        installed = sorted(map(str, pyenv.glob(f"{version}.*/bin/python")))
        for place in filter(None, [sys.executable, shutil.which(f"python{version}"), *installed]):
            found = subprocess.run([place, "-c", code], capture_output=True, text=True, check=False)
            if found.returncode == 0 and found.stdout.strip() == version:
                return place
    raise Skipped(f"no Python {' or '.join(versions)} on this machine")


def run(command: list[str], log: Path, deadline: float, **variables: str) -> int:
    """Exit status of a command whose output goes to `log`."""
    left, env = deadline - time.monotonic(), {**os.environ, **variables}
    try:
        with log.open("w", encoding="utf-8") as out:
            told = {"stdout": out, "stderr": subprocess.STDOUT, "env": env, "cwd": ROOT}
            return subprocess.run(command, timeout=max(left, 0.0), check=False, **told).returncode
    except subprocess.TimeoutExpired:
        text = f"the time was over during {' '.join(command[1:5])}; give it more --seconds"
        raise Skipped(text) from None


if __name__ == "__main__":
    sys.exit(main())
