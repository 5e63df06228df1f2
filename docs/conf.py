"""How Sphinx builds the pages. Nothing that they show is loaded from the network."""

import sys
from pathlib import Path

from sphinx.errors import ExtensionError

import maskfusion
from docs.shown import notebook
from docs.shown.page import Numbers

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "maskfusion"
author = "The maskfusion developers"
project_copyright = "2026, the maskfusion developers"
release = maskfusion.__version__

extensions = [
    "mathml",
    "offline",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "dollarmath", "substitution"]
myst_substitutions = {
    module: Numbers(module)
    for module in (
        "benchmarks",
        "held_out",
        "learned",
        "nyuv2",
        "people",
        "results",
        "study",
        "trade",
        "zeta",
    )
}
myst_heading_anchors = 3
nb_execution_mode = "force"  # results.md reads files that may have changed
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 120
nb_merge_streams = True
nb_render_markdown_format = "myst"
suppress_warnings = ["mystnb.unknown_mime_type"]

autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
napoleon_custom_sections = [("Shape", "notes_style"), ("Reference", "notes_style")]
napoleon_use_rtype = False
maximum_signature_line_length = 90
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"maskfusion {release}"
html_static_path = ["_static"]
html_css_files = ["maskfusion.css"]
html_math_renderer = "mathml"
html_show_sphinx = False
html_copy_source = False


def setup(app):
    """Read the pages again that are made from files of results, which Sphinx does not watch; hold the notebook against its page."""
    if notebook.NOTEBOOK.read_text(encoding="utf-8") != notebook.made():
        raise ExtensionError("examples/quickstart.ipynb is not docs/quickstart.md: `make notebook`.")
    app.connect(
        "env-get-outdated",
        lambda *_: ["benchmarks", "choosing", "results", "smaller-network", "study", "zeta"],
    )
