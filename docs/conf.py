"""How Sphinx builds these pages: Markdown through MyST, the reference from the docstrings."""

from importlib.metadata import version as installed_version

project = "neurosim"
author = "the neurosim developers"
copyright = "the neurosim developers"
release = version = installed_version("neurosim-engine")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = ["Reference"]

exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"neurosim {release}"
