"""The journal of an upload: what a killed process has left in it is what can be believed."""

from __future__ import annotations

from pathlib import Path

from ao_workflows.aws.uploads import SentPart
from ao_workflows.deep_copy.journal import JournalFound, UploadJournal, read_journal
from ao_workflows.deep_copy.part_bag import FoundFile

ABOUT = {"bag": "b", "part_size": 5, "bucket": "deep", "key": "k"}
FILE, PART = FoundFile(7, {"sha512": "ab"}), SentPart('"e"', "00ff")


def _written(path: Path) -> JournalFound:
    with UploadJournal(path) as journal:
        journal.begin(ABOUT)
        journal.note_upload("u")
        journal.note_file(FILE)
        journal.note_part(1, PART)
    found = read_journal(path)
    assert found
    return found


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    """What is lost of it is sent again; what is read wrong ends in a wrong zip."""
    found = _written(tmp_path / "j")
    assert (found.about, found.upload, found.files, found.parts) == (ABOUT, "u", [FILE], {1: PART})
    with UploadJournal(tmp_path / "j") as journal:
        journal.go_on(found)
        journal.note_part(2, PART)
    again = read_journal(tmp_path / "j")
    assert again
    assert (again.begun, again.files, again.parts) == (found.begun, [FILE], {1: PART, 2: PART})


def test_a_line_that_is_not_whole_ends_it(tmp_path: Path) -> None:
    """A process is killed in the middle of one, and a machine that stops may leave anything."""
    path = tmp_path / "j"
    _written(path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        found = read_journal(path)
        assert found is None or not found.parts
    path.write_bytes(whole.replace(b'["file"', b'["\0\0\0\0"'))
    assert (found := read_journal(path)) and not found.files and not found.parts


def test_what_is_no_journal_is_none(tmp_path: Path) -> None:
    """It must not stop the work's next copy."""
    assert read_journal(tmp_path / "j") is None
    for text in ("", "[]\n", "{}\n", '{"about": 1, "begun": "x"}\n'):
        (tmp_path / "j").write_text(text)
        assert read_journal(tmp_path / "j") is None
