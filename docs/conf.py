"""How Sphinx builds these pages: Markdown through MyST, the reference from the docstrings."""

import importlib
import inspect
import re
from importlib.metadata import version as installed_version

from sphinx.util import logging

from neurosim import Layer
from neurosim._param import declared

project = "neurosim"
author = "the neurosim developers"
copyright = "the neurosim developers"
release = version = installed_version("neurosim-engine")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
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


def declared_parameters(app, what, name, obj, options, lines):
    """A table of what a layer declares: the line that validation and `.p` read is what the reference shows."""
    if not (inspect.isclass(obj) and issubclass(obj, Layer)) or not (params := declared(obj)):
        return
    rows = [("parameter", "default", "unit", "range", "meaning")]
    rows += [(f"``{key}``", "" if param.default is None else f"{param.default:g}", param.unit, param.range, param.doc)
             for key, param in params.items()]
    lines += ["", ".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {'*' if i == 0 else ' '} - {cell.replace('|', chr(92) + '|')}" for i, cell in enumerate(row)]
    lines.append("")


def public_bases(app, name, obj, options, bases):
    """Bases that a reader can look up, in place of what classes share behind the scenes."""
    shown = [next((base for base in getattr(each, "__mro__", ()) if not base.__name__.startswith("_")), each) for each in bases]
    bases[:] = [base for base in dict.fromkeys(shown) if base is not object] or [object]


def all_public_names_are_there(app, env):
    """Warns, which ends the build, of names that a documented module offers in its `__all__` and the pages leave out."""
    objects = env.get_domain("py").objects
    documented = [name for name, entry in objects.items() if entry.objtype == "module"]
    for module in documented:
        found = importlib.import_module(module)
        for name in found.__all__:
            value = getattr(found, name)
            if not inspect.ismodule(value) and f"{module}.{name}" not in objects:
                logging.getLogger("neurosim.docs").warning("%s.%s is public and on no page of docs/api", module, name)


def setup(app):
    """Docstrings before napoleon, which knows sections of several lines only."""
    app.connect("autodoc-process-docstring", one_line_sections, priority=400)
    app.connect("autodoc-process-docstring", declared_parameters, priority=450)
    app.connect("autodoc-process-bases", public_bases)
    app.connect("env-check-consistency", all_public_names_are_there)
