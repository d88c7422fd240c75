"""Every example stands in the gallery, with its picture if it leaves one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PAGE = PROJECT / "docs" / "gallery.md"
ENTRIES = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S))
EXAMPLES = sorted((PROJECT / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_gallery_shows_it(example: Path) -> None:
    assert example.name in ENTRIES, f"docs/gallery.md needs an entry: ## {example.name}, what it shows, its picture"
    if "savefig" in example.read_text():
        assert "](images/" in ENTRIES[example.name], f"{example.name} leaves a picture: show it in docs/gallery.md"


def test_entries_are_examples_and_pictures_are_there_and_small() -> None:
    assert set(ENTRIES) == {path.name for path in EXAMPLES}
    for picture in re.findall(r"\]\((images/\S+)\)", PAGE.read_text()):
        assert (PROJECT / "docs" / picture).stat().st_size < 60_000
