"""Where a work lies: in one zip or in parts, in which of the site's buckets."""

from __future__ import annotations

import pytest

from ao_workflows.aws.connections import AwsConnection
from ao_workflows.errors import ObjectError, ObjectMissing, RidError
from ao_workflows.glacier.client import Glacier
from ao_workflows.glacier.finding import WorkFinder
from ao_workflows.glacier.rules import Target
from ao_workflows.glacier.work_parts import WorkListing
from ao_workflows.site.sections import IntakeSection
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.s3_server import Held, S3Server

NEW, OLD = "Archive2/60/W60/", "Archive1/60/W60/"


@pytest.fixture
def server(s3_server: S3Server) -> S3Server:
    return s3_server


def finder(server: S3Server, aws: Aws, **layouts: str) -> WorkFinder:
    """Of an intake for each bucket, with its layout."""
    way = AwsConnection(
        region="r-1",
        profile=aws.connection.profile,
        endpoint_url=server.url,
        credentials_file=aws.connection.credentials_file,
    )
    intakes = {
        name: IntakeSection.model_validate(
            {"queue": "q", "bucket": f"{name}-b", "region": "r-1", "environment": "demo", "layout": layout}
        )
        for name, layout in layouts.items()
    }
    return WorkFinder(intakes, Glacier(dict.fromkeys(intakes, way)))


def put(server: S3Server, *paths: str) -> None:
    for path in paths:
        server.objects[f"/{path}"] = Held(b"zip", "e", {"x-amz-storage-class": "DEEP_ARCHIVE"})


def test_a_work_in_parts_is_found_where_parts_are_put_now_and_its_old_zip_where_zips_were(
    server: S3Server, aws: Aws
) -> None:
    """A work of 2020 of which one group was changed since: without its zip it is one group."""
    put(server, f"one-b/{NEW}W60-I1.bag.zip", f"one-b/{OLD}W60.bag.zip")
    found = finder(server, aws, one="either").find(Target("W60"))
    assert isinstance(found, WorkListing)
    assert [known.listed.key for known in found.parts] == [f"{OLD}W60.bag.zip", f"{NEW}W60-I1.bag.zip"]


@pytest.mark.parametrize("folder", [NEW, OLD])
def test_a_work_in_one_zip_is_found_in_either_place(server: S3Server, aws: Aws, folder: str) -> None:
    """Half of the zips before 2024 lie in another folder than parts do."""
    put(server, f"one-b/{folder}W60.bag.zip", f"one-b/{folder}notes.txt")
    found = finder(server, aws, one="either").find(Target("W60"))
    assert not isinstance(found, WorkListing)
    assert found[0].key == f"{folder}W60.bag.zip"


def test_an_intake_of_whole_works_is_not_listed(server: S3Server, aws: Aws) -> None:
    """Its profile need not be allowed to, and a folder of it may hold another work that looks like a group."""
    put(server, f"one-b/{NEW}W60.bag.zip", f"one-b/{NEW}W60-I1.bag.zip")
    found = finder(server, aws, one="whole").find(Target("W60"))
    assert not isinstance(found, WorkListing)
    assert server.listed == []


def test_a_work_in_two_buckets_is_not_guessed(server: S3Server, aws: Aws) -> None:
    """Half of it would come from each."""
    put(server, f"one-b/{NEW}W60-I1.bag.zip", f"two-b/{NEW}W60.bag.zip")
    with pytest.raises(ObjectError, match=r"s3://one-b \(intake one\), s3://two-b \(intake two\).*--intake says which"):
        finder(server, aws, one="either", two="either").find(Target("W60"))


def test_a_bucket_that_cannot_be_listed_is_told_unless_another_has_the_work(server: S3Server, aws: Aws) -> None:
    """Told as missing, the work would be given up."""
    server.list_fault = lambda prefix: (403, "AccessDenied") if "W60" in prefix and not server.listed[1:] else None
    put(server, f"two-b/{NEW}W60-I1.bag.zip")
    assert isinstance(finder(server, aws, one="either", two="either").find(Target("W60")), WorkListing)
    server.listed.clear()
    server.objects.clear()
    with pytest.raises(ObjectError, match="s3:ListBucket"):
        finder(server, aws, one="either", two="either").find(Target("W60"))


def test_a_work_that_is_nowhere_is_missing_with_each_place(server: S3Server, aws: Aws) -> None:
    """Where it was looked for is the first thing that one asks."""
    with pytest.raises(ObjectMissing, match=f"one-b/{NEW}W60.bag.zip.*one-b/{OLD}W60.bag.zip"):
        finder(server, aws, one="either").find(Target("W60"))


def test_an_address_of_a_part_means_that_part_of_its_work(server: S3Server, aws: Aws) -> None:
    """Noted in DRS as a work of its own, the work would never be whole."""
    one = finder(server, aws, one="either", two="whole")
    assert one.target(f"s3://one-b/{NEW}W60-I1.bag.zip") == Target("W60", "one-b", f"{NEW}W60-I1.bag.zip", "W60-I1")
    assert one.target(f"s3://two-b/{NEW}W60-I1.bag.zip").rid == "W60-I1"
    assert one.target(f"s3://one-b/{NEW}W60.bag.zip") == Target("W60", "one-b", f"{NEW}W60.bag.zip")
    assert one.target("W60") == Target("W60")
    with pytest.raises(RidError):
        one.target("s3://one-b/x.txt")
    with pytest.raises(ObjectError, match="the bucket of no intake; they have one-b, two-b"):
        one.find(Target("W60", "three-b", "W60.bag.zip"))


def test_a_folder_of_all_works_is_not_taken_for_one_of_parts(server: S3Server, aws: Aws) -> None:
    """The keys of ten other works begin with the same letters."""
    flat = IntakeSection.model_validate(
        {"queue": "q", "bucket": "one-b", "region": "r-1", "environment": "demo", "places": ["{rid}.bag.zip"]}
    )
    put(server, "one-b/W6-I1.bag.zip", "one-b/W60.bag.zip", "one-b/W6x/W6-I2.bag.zip")
    one = finder(server, aws, one="either")
    one._buckets["one-b"] = ("one", flat)
    found = one.find(Target("W6"))
    assert isinstance(found, WorkListing)
    assert [known.part.name for known in found.parts] == ["W6-I1"]
