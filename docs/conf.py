"""How Sphinx builds these pages: Markdown through MyST, the reference from the docstrings."""

import re
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

INLINE = re.compile(r"(Shape|Fields|Returns|Raises|Reference|Attributes): ")


def one_line_sections(app, what, name, obj, options, lines):
    """`Raises: StateError` on one line becomes a paragraph of its own, and a star before a name stays a star."""
    out, inside = [], False
    for line in lines:
        code = line.lstrip().startswith((">>>", "..."))
        text = line if code else "`".join(part if i % 2 else re.sub(r"(?<![*\\])\*(?=\w)", r"\*", part)
                                          for i, part in enumerate(line.split("`")))
        if match := INLINE.match(text):
            out += ["", f"**{match[1]}:** {text[match.end():]}"]
            inside = True
        elif inside and text.startswith(" "):
            out[-1] += " " + text.strip()
        else:
            out += [""] * inside + [text]
            inside = False
    lines[:] = out


def setup(app):
    """Before napoleon, which knows sections of several lines only."""
    app.connect("autodoc-process-docstring", one_line_sections, priority=400)
