"""Every example in README and manual is one that works: commands, Python, TOML."""

import ast
import importlib
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import commands
import pytest

from grainscout.config import load_campaign, load_run

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    p
    for p in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    if "generated" not in p.parts
)
FENCE = re.compile(
    r"^(?P<run><!-- test: run -->\n)?(?P<ticks>`{3,})(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=ticks)\s*$",
    re.M | re.S,
)
#: Pages whose examples name a package that the page makes: tests/benchmarks makes it and races it.
MAKE_A_PACKAGE = {"own-policy.md"}
SHELL = {"", "sh", "bash", "console", "text", "shell"}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    body: str
    run: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            info = match["info"].strip()
            language = info.removeprefix("{code-cell}").split()[0] if info else ""
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(page, line, language, match["body"], bool(match["run"])))
    return found


BLOCKS = blocks()


def spoken(page: Path) -> list[str]:
    """Every command of ours in a page: lines of shell and indented blocks, and inline code."""
    text = page.read_text(encoding="utf-8")
    lines: list[str] = []
    for block in BLOCKS:
        if block.page == page and block.language in SHELL:
            lines += block.body.splitlines()
    prose = FENCE.sub("", text)
    lines += [line.strip() for line in prose.splitlines() if line.startswith("    ")]
    lines += re.findall(r"`(grainscout [^`]+)`", prose.replace("\n", " "))
    said = (
        re.search(r"(?:^|[\s/])grainscout ([a-z].*)", line.removeprefix("$ ")) for line in lines
    )
    return [m[1] for m in said if m and not m[0].strip().startswith("import")]


def wrong_with(command: str) -> str | None:
    """What the program would say to this command, or None."""
    plain = re.split(r" #|\s[|&;>]+\s|\s2>", command)[0]
    try:
        words = shlex.split(plain.replace("…", ""))
    except ValueError:
        words = plain.split()
    name, *rest = words
    if name.isupper():
        return None  # a placeholder
    known = commands.commands()
    if name.strip(".,;:") not in known:
        return f"no command {name!r}"
    allowed = commands.options(name.strip(".,;:"))
    for word in rest:
        option = word.split("=")[0].strip(".,;:)]")
        if (
            option.startswith("-")
            and not re.fullmatch(r"-\d.*|-+", option)
            and option not in allowed
        ):
            return f"{name} has no option {option}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_named_in_a_page_exist_with_these_options(page: Path) -> None:
    wrong = {command: w for command in spoken(page) if (w := wrong_with(command))}
    assert not wrong


def test_the_check_of_commands_finds_what_is_wrong() -> None:
    assert wrong_with("brew coffee") == "no command 'brew'"
    assert wrong_with("bench quick --colour red") == "bench has no option --colour"
    assert wrong_with("bench quick --jobs 2  # two workers") is None
    assert any("simulate Gong2026" in c for c in spoken(ROOT / "README.md"))


PYTHON = [b for b in BLOCKS if b.language == "python"]


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_compiles_and_what_it_imports_is_there(block: Block) -> None:
    source = "\n".join(
        "pass" if line.lstrip().startswith(("!", "%")) else line for line in block.body.splitlines()
    )
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("grainscout"):
            module = importlib.import_module(node.module or "")
            missing = [a.name for a in node.names if not hasattr(module, a.name)]
            for name in missing:
                importlib.import_module(f"{node.module}.{name}")  # or it is a sub-module


@pytest.mark.parametrize("block", [b for b in PYTHON if b.run], ids=str)
def test_python_marked_to_be_run_runs(block: Block, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", block.body], cwd=tmp_path, check=True, timeout=120)


TOML = [b for b in BLOCKS if b.language == "toml"]


@pytest.mark.parametrize("block", TOML, ids=str)
def test_toml_is_what_the_program_takes(block: Block, tmp_path: Path) -> None:
    """A whole experiment or campaign is loaded; a part of one must at least be TOML."""
    document = tomllib.loads(block.body)
    file = tmp_path / "example.toml"
    file.write_text(block.body, encoding="utf-8")
    if block.page.name in MAKE_A_PACKAGE:
        return
    if "films" in document and "policy" in document:
        load_campaign(str(file))
    elif {"task", "policy"} <= document.keys():
        load_run(file)


def test_there_are_examples_of_each_kind() -> None:
    """A parser that finds nothing would pass everything."""
    assert len(PYTHON) > 20
    assert len(TOML) > 8
    assert sum(b.run for b in PYTHON) >= 3
    assert sum(len(spoken(p)) for p in PAGES) > 60
