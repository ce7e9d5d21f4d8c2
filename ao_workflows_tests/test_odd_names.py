"""Works with odd names, from the queue to the archive, with the real script: taken whole, or refused harmlessly."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import pytest

from ao_workflows.bags.member_names import PART_LENGTH, PATH_LENGTH
from ao_workflows.clients import resources
from ao_workflows.staging.receipt_files import read_receipts
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.sites import TrialSite, trial_site
from ao_workflows_tests.support.zip_bytes import bag_files, entries_of, zip_bytes

RID = "W1NLM4712"
MACS = "images/W1NLM4712-I1/Icon\r"
ODD = [MACS, "sources/field notes ", "sources/ideographic\u3000", "sources/a%25b", "sources/a%b", "sources/ \u00a0"]
HOSTILE = ["sources/a\x1b[2Jb", "sources/two\nlines", "sources/c1\x9b2J", "sources/cr\rcr", "sources/line\u2028"]


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Iterator[TrialSite]:
    with trial_site(tmp_path, aws) as trial:
        yield trial


def bag(files: Mapping[str, bytes]) -> bytes:
    return zip_bytes(entries_of(bag_files(files), f"{RID}.bag"))


def in_archive(site: TrialSite) -> dict[str, bytes]:
    place = site.place(RID)
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file() and not path.is_relative_to(place / f"{RID}.bag")
    }


def said(result: dg.ExecuteInProcessResult) -> str:
    """Everything that the run wrote into its log and the web page."""
    return json.dumps([event.message for event in result.all_events], ensure_ascii=False) + "".join(
        str(found.metadata) + str(found.description) for found in result.get_asset_check_evaluations()
    )


def is_harmless(text: str) -> bool:
    """A text of several lines, none of which has what the names have."""
    text = text.replace("\n", "")
    return not any(character in text for name in HOSTILE for character in name if not character.isprintable())


def test_a_macs_icon_and_names_that_end_in_spaces_stand_in_the_archive_as_they_were_bagged(site: TrialSite) -> None:
    """Taken out of the zip rightly, a name may still be lost on a way of lines: in the script, in rsync, in a list."""
    files = {name: name.encode() for name in ODD}
    result = site.run(RID, site.restore(RID, bag(files)))
    assert result.success
    assert in_archive(site) == files
    warnings = next(
        str(event.step_materialization_data.materialization.metadata["warnings"].value)
        for event in result.get_asset_materialization_events()
        if "warnings" in event.step_materialization_data.materialization.metadata
    )
    assert "Icon\\r: " in warnings
    assert warnings.isprintable()


def test_the_longest_path_that_is_taken_goes_all_the_way_in_each_way_of_writing(site: TrialSite) -> None:
    """Where a zip had a name as long as Linux takes, the work was unpacked, and no run could read it again: what stands
    before it on the disk was too much. Each run failed, and told people to start from the download.
    """
    folders = PATH_LENGTH - len(f"{RID}.bag/data//") - PART_LENGTH
    longest = "/".join(["d" * (folders // 15 - 1)] * 15).ljust(folders, "d") + "/" + "f" * PART_LENGTH
    for hour, word in ((7, {}), (8, {}), (9, {"replace": True})):
        files = {longest: b"%d" % hour, "sources/a": b"unchanged"}
        body = site.restore(RID, bag(files)).replace("06:32:44", f"{hour:02d}:00:00")
        assert site.run(RID, body, word=word).success
        assert in_archive(site) == files
    refused = site.run(RID, site.restore(RID, bag({f"d{longest}": b"x"})).replace("06:32:44", "10:00:00"))
    failure = refused.failure_data_for_node("debagged_work")
    assert failure
    assert f"its path over {PATH_LENGTH}" in str(failure.user_failure_data)


def test_control_characters_are_refused_and_printed_nowhere(site: TrialSite) -> None:
    """A name that a stranger chose must not write into an archivist's terminal or page."""
    result = site.run(RID, site.restore(RID, bag(dict.fromkeys(HOSTILE, b"x"))))
    assert not result.success
    failure = result.failure_data_for_node("debagged_work")
    assert failure
    assert "control_characters" in str(failure.user_failure_data)
    assert is_harmless(said(result) + str(failure.user_failure_data and failure.user_failure_data.description))
    report = site.layout.report(RID).read_text(encoding="utf-8")
    assert is_harmless(report)
    assert json.loads(report)["problems"][0]["path"] == f"{RID}.bag/data/{HOSTILE[0]}", "a program is told the name"
    assert not site.place(RID).exists()


def test_a_site_that_takes_control_characters_has_them_in_the_archive(site: TrialSite) -> None:
    """The word of the site goes all the way: a tab in a name is refused nowhere on the way."""
    files = {name: name.encode() for name in [*HOSTILE, MACS]}
    debag = site.site.debag.model_copy(update={"control_characters": True})
    debagger = resources(site.site.model_copy(update={"debag": debag}))["debagger"]
    result = site.run(RID, site.restore(RID, bag(files)), debagger=debagger)
    assert result.success
    assert in_archive(site) == files
    assert is_harmless(said(result))


def test_what_is_wrong_with_a_file_is_shown_without_its_control_characters(site: TrialSite) -> None:
    """The table of a failed check has every file's name, and the archive's own errors too."""
    files = bag_files({MACS: b"x", "sources/a": b"y"})
    changed = files | {f"data/{MACS}": b"other"}
    result = site.run(RID, site.restore(RID, zip_bytes(entries_of(changed, f"{RID}.bag"))))
    assert not result.success
    assert "Icon\\r" in said(result)
    assert is_harmless(said(result))


def test_a_fake_end_record_in_a_comment_takes_no_room_from_a_work(site: TrialSite) -> None:
    """The room of such a zip was promised as nothing, and it filled the disk under the others."""
    with zipfile.ZipFile(out := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in bag_files({"zeros": bytes(900_000), "noise": bytes(range(256)) * 100}).items():
            archive.writestr(f"{RID}.bag/{name}", content)
        archive.comment = b"signed " + b"PK\5\6" + bytes(18) + b" by hand"
    data = out.getvalue()
    result = site.run(RID, site.restore(RID, data), select="+downloaded_bag")
    assert result.success
    downloaded = read_receipts(site.layout, RID).downloaded
    assert downloaded
    assert downloaded.room > len(data) + 900_000
