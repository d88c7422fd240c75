"""Every Python block of README and docs runs, top to bottom, page by page."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```", re.M | re.S)


def blocks(text: str) -> list[tuple[int, str]]:
    """Line number and source of each Python block."""
    return [(text[:match.start(1)].count("\n"), match[1]) for match in BLOCK.finditer(text)]


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")  # what lightning says to everybody
@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated")
@pytest.mark.parametrize("page", [page for page in PAGES if page.exists() and blocks(page.read_text())],
                         ids=lambda page: str(page.relative_to(PROJECT)))
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # what a page writes does not stay
    names: dict[str, object] = {"__name__": "__main__"}
    for line, source in blocks(page.read_text()):
        if source.lstrip().startswith(">>>"):
            case = doctest.DocTestParser().get_doctest(source, names, page.name, str(page), line)
            result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(case, clear_globs=False)
            names.update(case.globs)
            assert not result.failed, f"{page.name}:{line}: the block shows something else than it prints"
        else:
            exec(compile("\n" * line + source, str(page), "exec"), names)  # the traceback shows the page's line


def test_blocks_are_found_with_their_lines() -> None:
    assert blocks("a\n```python\nx = 1\n```\n```text\nno\n```\n```python\n>>> x\n1\n```\n") == [
        (2, "x = 1\n"), (8, ">>> x\n1\n")]


def named(path: str) -> object:
    """What a dotted name below neurosim is. Raises AttributeError."""
    found: object = importlib.import_module("neurosim")
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(f"{found.__name__}.{part}")  # type: ignore[attr-defined]
    return found


TABLE = (PROJECT / "docs" / "usage.md").read_text().split("## Where the names are")[1]
NAMES = re.findall(r"^\|(.+?)\|(.+?)\|.*\|$", TABLE, re.M)


def test_every_counterpart_is_there() -> None:
    counterparts = [name for _, here in NAMES for name in re.findall(r"`([\w.]+)`", here)]
    assert len(counterparts) > 80 and all(named(name) is not None for name in counterparts)


@pytest.mark.parametrize("library, known", [
    ("filters", "Conv1d Conv2d Conv3d Delay Diff NLRectify NLRectifyScale NLRectifySquare NLSquare RF SmoothConv Sum "
                "TimePadding VariableDelay"),
    ("models", "Dict L LN LNCascade LNFDLNF LNLN LNLNLN LNLNLNLN List McIntosh Parallel RF RFN Sequential"),
    ("retina", "Bipolar GanglionInput GanglionSpiking OPL Retina"),
    ("spiking", "FitzHughNagumo IntegrativeMotionSensor Izhikevich Poisson"),
    ("streams", "HDF5Reader HDF5Writer NumpyReader NumpyWriter ProcessingStream RandomStream RepeatingStream SequenceStream "
                "TimedResampleStream VideoReader VideoWriter"),
])
def test_names_that_users_of_convis_know_are_kept_and_listed(library: str, known: str) -> None:
    listed = " ".join(here for _, here in NAMES)
    missing = [name for name in known.split() if f"`{library}.{name}`" not in listed]
    assert not missing
