"""A sample taken apart: as the parts lie that their tool made."""

from __future__ import annotations

import zipfile
from pathlib import Path

from ao_workflows.demo.taken_apart import taken_apart

RID = "W1NLM4700"


def test_a_work_is_laid_down_as_their_tool_lays_it_down(shared_data: Path) -> None:
    """A demo of another layout than the archive's shows nothing."""
    groups = (f"{RID}-I1NLM4700_001", f"{RID}-I1NLM4700_002")
    pages = [f"{group.partition('-')[2]}000{number}.jpg" for group in groups for number in (1, 2, 3)]
    payload = {f"{kind}/{RID}-{page[:13]}/{page}": b"" for kind in ("images", "archive") for page in pages}
    payload |= {"sources/catalogue/notes.txt": b"", "eBooks/W1NLM4700.txt": b""}
    parts = dict(taken_apart(RID, payload))
    assert sorted(parts) == [RID, *groups]
    for name, files in parts.items():
        with zipfile.ZipFile(shared_data / f"parts/{name}.bag.zip") as theirs:
            there = {path.partition("/data/")[2] for path in theirs.namelist() if not path.endswith("/")} - {""}
        assert set(files) == there
