"""Every Python block of README and docs runs, top to bottom, page by page."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```", re.M | re.S)


def blocks(text: str) -> list[tuple[int, str]]:
    """Line number and source of each Python block."""
    return [(text[:match.start(1)].count("\n"), match[1]) for match in BLOCK.finditer(text)]


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
