"""The site's settings: `make docs` builds it from the repository's Markdown.

The source folder is the repository, so that links between docs/, the README
and the recipes are checked like all others.
"""

from speechbrain_ligru_fast import __version__

project = "speechbrain_ligru_fast"
author = "The authors of speechbrain_ligru_fast"
copyright = f"2026, {author}"
release = __version__

root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/**.md",
    "recipes/**.md",
    "upstream/**.md",
]
exclude_patterns = [".*", "build", "**/results", "**/files"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_title = project

# Links to headings, as GitHub makes them.
myst_heading_anchors = 3

# SpeechBrain's docstrings: "Arguments", "Returns", "Example", underlined.
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
