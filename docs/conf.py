"""Configuration of the manual (``make docs``). Warnings are errors, and no page loads from a network."""

from __future__ import annotations

import sys
from pathlib import Path

import grainscout

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "Grainscout"
author = "The Grainscout developers"
project_copyright = author
version = release = grainscout.__version__

smartquotes_action = "qe"  # no dashes: --list is an option
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "myst_nb",
    "public_names",
    "sphinx.ext.napoleon",
    "made_pages",
]
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
root_doc = "index"
exclude_patterns = ["_ext", "**/.ipynb_checkpoints"]
html_theme = "furo"
html_title = f"Grainscout {release}"
html_static_path = ["_static"]
html_css_files = ["grainscout.css"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Tutorials are run at every build, each in a folder of its own; an error in one fails the build.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 1200  # a cell; machines are busy
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_number_source_lines = False

autodoc_typehints_format = "short"
autodoc_preserve_defaults = False  # cannot read the signature of a decorated function
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
add_module_names = False
maximum_signature_line_length = 90
default_role = "literal"
viewcode_line_numbers = True

# References to our own public names must exist. Those of other libraries are not resolved offline.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!grainscout\.).*"), (r"py:.*", r".*\._.*")]
suppress_warnings = ["ref.python"]  # a word of a type, such as shape, that several classes have
