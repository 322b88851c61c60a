"""What docs/security.md claims about the code, and that each test that it names is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("src", "simulator", "policies", "hardware", "analysis", "benchmarks")
SHIPPED = sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "yaml", "jsonpickle"}
CALLS = {
    "torch.load",
    "joblib.load",
    "os.system",
    "os.popen",
    "pandas.read_pickle",
    "pd.read_pickle",
}


def dangers(source: str) -> list[str]:
    """What in a file could run what it reads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module] if (node.module or "").split(".")[0] in MODULES else []
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            given = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if isinstance(node.func, ast.Name) and name in (
                "eval",
                "exec",
                "compile",
                "__import__",
            ):
                found.append(name)
            if name in CALLS or given.get("shell") == "True":
                found.append(name)
            pickled = given.get("allow_pickle", "False") != "False"
            if pickled or (name in ("np.load", "numpy.load") and len(node.args) > 2):
                found.append(f"{name}(allow_pickle)")
    return found


def test_no_shipped_code_can_run_what_it_reads():
    assert len(SHIPPED) > 100
    found = {str(p.relative_to(ROOT)): d for p in SHIPPED if (d := dangers(p.read_text("utf-8")))}
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import cloudpickle as c",
        "eval('1')",
        "exec(x)",
        "torch.load(p)",
        "joblib.load(p)",
        "np.load(p, allow_pickle=True)",
        "np.load(p, allow_pickle=flag)",
        "np.load(p, None, True)",
        "subprocess.run(x, shell=True)",
        "os.system(x)",
        "import yaml",
    ],
)
def test_the_search_finds_what_it_looks_for(line):
    assert dangers(line)
    assert not dangers("np.load(p, allow_pickle=False); model.eval(); np.load(p); json.loads(t)")


def test_every_test_that_the_page_names_is_there():
    page = (ROOT / "docs/security.md").read_text("utf-8")
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", page))
    there = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        there |= set(re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE))
    assert len(named) > 15
    assert named - there == set()
