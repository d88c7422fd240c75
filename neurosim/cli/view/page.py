"""The page of a result: what it is, its input, its maps, courses and spikes, and the parameters that made it."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import Any

from neurosim import StreamError
from neurosim._tree import html_table
from neurosim.streams._paths import writable

from . import pictures
from .contents import Contents, Frames, Spikes, read_contents

# Nothing may be fetched and no script run, whatever a file says about itself.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
body { font-family: sans-serif; color: #1f2d3d; max-width: 1120px; margin: 1.5em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; border-bottom: 1px solid #c8d3df; margin-top: 1.8em; }
img { max-width: 100%; } table { border-collapse: collapse; font-size: 0.9em; }
td, th { padding: 0.15em 0.9em 0.15em 0.4em; vertical-align: top; } tr:nth-child(even) td { background: #f3f6f9; }
.note { color: #5b6b7b; font-size: 0.9em; }
"""
SHORT, MOST = 150, 2000  # letters of a value, rows of a table


def write_page(file: str | Path, page: str | Path, *, overwrite: bool = False) -> Contents:
    """Writes the page of a result; pictures are part of it, scripts and the network are not needed.

    Args:
        file: HDF5 file that `neurosim run` or `demo` wrote, or another with frames along first axes.
        page: .html file.
        overwrite: whether an existing page is replaced.
    Returns: what was shown.
    Raises: StreamError.
    """
    target = Path(page)
    if target.exists() and not overwrite:
        raise StreamError(f"--output: the file {target} exists; --overwrite replaces it")
    writable("--output", target, "w", ("w",))
    contents = read_contents(file)
    try:
        target.write_text(page_of(contents), encoding="utf-8")
    except OSError as error:
        raise StreamError(f"--output: {target} cannot be written ({error})") from error
    return contents


def page_of(contents: Contents) -> str:
    """The whole page."""
    about = contents.about
    title = html.escape(f"{about['model']}: {contents.path.name}" if "model" in about else contents.path.name)
    degrees = about.get("pixels_per_degree")
    degrees = float(degrees) if isinstance(degrees, int | float) and degrees > 0 else None
    sections = [_section("Overview", _overview(contents)), *_input(about), *_model(about)]
    sections += [_section(frames.name, _frames(frames, degrees)) for frames in contents.frames]
    sections += [_section(spikes.name, _spikes(spikes, about)) for spikes in contents.spikes]
    sections += _parameters(about)
    return (f"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
            f"<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">"
            f"<meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head>\n"
            f"<body><h1>{title}</h1>\n{''.join(sections)}</body></html>\n")


def _section(title: str, body: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>\n{body}</section>\n"


def _image(address: str, what: str) -> str:
    return f"<p><img alt=\"{html.escape(what)}\" src=\"{address}\"></p>\n"


def _note(text: str) -> str:
    return f"<p class=\"note\">{html.escape(text)}</p>\n"


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else f"{value:.6g}" if isinstance(value, float) else json.dumps(value)
    return text if len(text) <= SHORT else f"{text[:SHORT]} ... ({len(text):,} letters)"


def _overview(contents: Contents) -> str:
    plain = {name.replace("_", " "): _text(value) for name, value in contents.about.items()
             if not isinstance(value, dict | list) and name != "graph"}
    rows = [*plain.items(), ("file", f"{contents.path.name}, {contents.path.stat().st_size / 1e6:.3g} MB")]
    rows += [(frames.name, f"{frames.length} frames of shape {frames.shape}"
              + (f", {frames.length / frames.rate:.4g} s at {frames.rate:g} Hz" if frames.rate else "")
              + (f", in {frames.units}" if frames.units else "")) for frames in contents.frames]
    rows += [(spikes.name, f"{spikes.count:,} spikes") for spikes in contents.spikes]
    more = _note(f"not shown, being too many: {', '.join(contents.left_out)[:2000]}") if contents.left_out else ""
    return html_table(("", ""), [(name, value) for name, value in rows], MOST) + more


def _input(about: dict[str, Any]) -> list[str]:
    if "input_preview" not in about:
        return []
    try:
        return [_section("Input", _image(pictures.preview(about["input_preview"]), "frames of the input"))]
    except (ValueError, KeyError, TypeError, UnboundLocalError):
        return [_section("Input", _note("the preview of the input is damaged"))]


def _model(about: dict[str, Any]) -> list[str]:
    if not isinstance(svg := about.get("graph"), str):
        return []
    address = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"  # as an image no script in it runs
    return [f"<details><summary>Graph of the model</summary>{_image(address, 'graph of the model')}</details>\n"]


def _frames(frames: Frames, degrees: float | None) -> str:
    if not frames.length:
        return _note("no frame was written")
    parts = [_image(pictures.maps(frames, degrees), f"maps of {frames.name}")] if frames.some is not None else []
    parts.append(_image(pictures.course(frames), f"time course of {frames.name}"))
    if len(frames.shape) == 3 and frames.some is not None:
        parts.append(_note(f"maps are those of channel 0 of {frames.shape[0]}"))
    if frames.read < frames.length:
        parts.append(_note(f"made from {frames.read:,} of {frames.length:,} frames, spread evenly"))
    return "".join(parts)


def _spikes(spikes: Spikes, about: dict[str, Any]) -> str:
    given = about.get("units")
    ranges = {str(layer): (int(pair[0]), int(pair[1])) for layer, pair in given.items()
              if isinstance(pair, list) and len(pair) == 2} if isinstance(given, dict) else {}
    note = _note(f"{len(spikes.unit):,} of {spikes.count:,} spikes are drawn; the rate counts all") \
        if len(spikes.unit) < spikes.count else ""
    return _image(pictures.raster(spikes, ranges), f"raster and rate of {spikes.name}") + note


def _parameters(about: dict[str, Any]) -> list[str]:
    if not isinstance(values := about.get("values"), dict) or not values:
        return []
    said = about.get("meanings")
    said = said if isinstance(said, dict) else {}
    rows = []
    for path, value in values.items():
        unit, meaning = (*map(str, said[path]), "", "")[:2] if isinstance(said.get(path), list) else ("", "")
        rows.append((str(path), _text(value), unit, meaning))
    return [_section("Parameters", html_table(("parameter", "value", "unit", "meaning"), rows, MOST))]
