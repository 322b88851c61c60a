"""Generated pages of the manual are complete, and links are checked."""

import re
from pathlib import Path

import commands
import docstrings
import links
import pictures
import policy_pages
import pytest
import reference_pages

import grainscout
from grainscout.policies.registry import BUILTIN, policy_options

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_command_page_has_every_command_and_option() -> None:
    page = commands.page()
    for name, command in commands.commands().items():
        section = page.split(f"## grainscout {name}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            assert all(f"`{spelt}`" in section for spelt in parameter.opts if spelt != "--help")
            assert parameter.name == "help" or parameter.help, f"{name} {parameter.name}: no help"


@pytest.mark.parametrize("name", BUILTIN)
def test_every_option_of_every_policy_is_described(name: str) -> None:
    described = policy_pages.meanings(name)
    assert [o for o in policy_options(name) if not described.get(o)] == []
    assert policy_pages.SOURCES[name]


def test_reference_has_every_package_with_public_names() -> None:
    packages = {f"grainscout.{p}" for p in ("records", "simulator", "policies", "hardware")}
    assert packages | {"grainscout.journal"} | {"grainscout.simulator.instrument"} <= set(
        reference_pages.modules()
    )
    assert set(reference_pages.BESIDE) <= set(reference_pages.modules())


def test_shown_pictures_are_made_and_made_pictures_are_shown() -> None:
    text = "\n".join(p.read_text(encoding="utf-8") for p in DOCS.rglob("*.md"))
    shown = set(re.findall(r"generated/pictures/(\w+)\.png", text))
    assert shown == {maker.__name__ for maker in pictures.MAKERS}
    alone = re.findall(r"!\[\s*\]\(", text)
    assert not alone, "a picture needs a text for those who cannot see it"


def test_broken_links_and_foreign_scripts_are_found(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<script src="https://cdn.example/x.js"></script><h1 id="top">a</h1>'
        '<a href="other.html#there">b</a><a href="gone.html">c</a><a href="#top">d</a>'
        '<a href="other.html#nowhere">e</a><a href="https://example.org">f</a>'
    )
    (tmp_path / "other.html").write_text('<p id="there"></p>')
    assert links.faults(tmp_path) == [
        "index.html: loads https://cdn.example/x.js from a network",
        "index.html: no anchor for other.html#nowhere",
        "index.html: no file for gone.html",
    ]
    assert links.faults(tmp_path / "empty") != []


def test_changelog_and_citation_name_the_version() -> None:
    version = grainscout.__version__
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{version}]" in changes or ("## [Unreleased]" in changes and version in changes)


def test_options_are_read_from_the_comments_of_fields() -> None:
    source = """class Random:
    #: Share of all sites,
    #: 0 to 1.
    share: float = option(0.5, low=0.0)
    rest: float = 0.0  #: The others
    #: Their names.
    target: str = option(
        "a",
    )
    bare: str = ""
"""
    assert docstrings.field_comments(source) == {
        "share": "Share of all sites, 0 to 1.",
        "rest": "The others",
        "target": "Their names.",
    }
    doc = "Random sites.\n\nNotes\n-----\nSee there."
    assert list(docstrings.sections(doc)) == ["", "Notes"]


def test_each_public_object_is_described_once() -> None:
    from grainscout.microstructure import Structure
    from grainscout.simulator import Film

    assert reference_pages.homes()[id(Structure)] == "grainscout.microstructure.Structure"
    assert reference_pages.homes()[id(Film)] == "grainscout.simulator.Film"
    assert "Film" in reference_pages.pages()["grainscout.simulator.film.md"].split("exclude")[1]
