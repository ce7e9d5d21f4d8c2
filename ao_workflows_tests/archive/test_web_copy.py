"""The web's copy of a work's images, on S3 over HTTP, compared with what was bagged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ao_workflows.archive.web_copy import ComparedWeb, compare_web
from ao_workflows.aws import s3
from ao_workflows.aws.connections import make_client
from ao_workflows.errors import ObjectError, ServiceError
from ao_workflows.fixity.trees import Depth, FileFixity
from ao_workflows_tests.support.moto_server import Aws, without_checksums

CONTENT = {
    "images/I1/0001.jpg": b"one",
    "images/I1/བསྟན 2+%.jpg": b"two",
    "images/empty": b"",
    "images/large.tif": bytes(5 << 20) + b"the second part",
    "text/not-for-the-web.txt": b"no",
}
KEYS = {name: f"Works/a8/W1/{name}" for name in CONTENT if name.startswith("images/")}


@dataclass
class Web:
    """A prefix on S3, and the work in a folder of its own."""

    aws: Aws
    bucket: str
    local: Path

    def put(self, name: str, content: bytes, **how: Any) -> None:
        self.aws.s3.put_object(Bucket=self.bucket, Key=KEYS.get(name, name), Body=content, **how)

    def put_in_parts(self, name: str, parts: list[bytes]) -> None:
        where = {"Bucket": self.bucket, "Key": KEYS[name]}
        upload = self.aws.s3.create_multipart_upload(**where)["UploadId"]
        done = [
            {
                "PartNumber": number,
                "ETag": self.aws.s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=part)["ETag"],
            }
            for number, part in enumerate(parts, 1)
        ]
        self.aws.s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": done})

    def compared(self, how: Depth, content: Mapping[str, bytes] = CONTENT) -> ComparedWeb:
        files = [
            FileFixity("W1", name, len(data), {"sha512": hashlib.sha512(data).hexdigest()})
            for name, data in content.items()
        ]
        prefix = f"s3://{self.bucket}/Works/a8/W1/images/"
        return compare_web(self.aws.connection, prefix, files, self.local, how)

    def compare(
        self, how: Depth = "checksum", content: Mapping[str, bytes] = CONTENT
    ) -> tuple[int, list[tuple[str, str]]]:
        seen = self.compared(how, content)
        return seen.images, [(problem.path, problem.kind) for problem in seen.problems]


@pytest.fixture
def web(aws: Aws, tmp_path: Path) -> Web:
    """A web that has every image, each sent in another way."""
    for name, content in CONTENT.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    web = Web(aws, aws.make_bucket(), tmp_path)
    web.put("images/I1/0001.jpg", b"one", ChecksumAlgorithm="SHA256")
    web.put("images/I1/བསྟན 2+%.jpg", b"two", ChecksumAlgorithm="CRC32C")
    web.put("images/empty", b"")
    web.put_in_parts("images/large.tif", [bytes(5 << 20), b"the second part"])
    return web


@pytest.mark.parametrize("how", ["checksum", "size"])
def test_a_web_that_has_every_image_has_no_problem(web: Web, how: Depth) -> None:
    """However each was sent, in parts or whole; and what else is there is no business of the comparison's."""
    web.put("Works/a8/W1/images/old.jpg", b"old")
    assert web.compare(how) == (4, [])


def _missing(web: Web) -> None:
    web.aws.s3.delete_object(Bucket=web.bucket, Key=KEYS["images/empty"])


@pytest.mark.parametrize(
    ("spoil", "found", "by_size_too"),
    [
        (_missing, ("images/empty", "missing"), True),
        (lambda web: web.put("images/I1/0001.jpg", b"longer"), ("images/I1/0001.jpg", "size"), True),
        (lambda web: web.put("images/I1/0001.jpg", b"onE"), ("images/I1/0001.jpg", "checksum"), False),
        (
            lambda web: web.put("images/I1/0001.jpg", b"onE", ChecksumAlgorithm="SHA256"),
            ("images/I1/0001.jpg", "checksum"),
            False,
        ),
        (
            lambda web: web.put_in_parts("images/large.tif", [bytes(5 << 20), b"The second part"]),
            ("images/large.tif", "checksum"),
            False,
        ),
    ],
)
def test_an_image_that_is_not_as_bagged_is_named(
    web: Web, spoil: Callable[[Web], None], found: tuple[str, str], by_size_too: bool
) -> None:
    """A reader would see it before any of the staff."""
    spoil(web)
    assert web.compare() == (4, [found])
    assert web.compare("size") == (4, [found] if by_size_too else [])


def test_an_image_without_a_checksum_that_means_its_bytes_is_compared_by_size(web: Web) -> None:
    """Encrypted with a key of KMS's, an object's ETag is no MD5: it must not be taken for another image's."""
    web.put("images/I1/0001.jpg", b"onE", ServerSideEncryption="aws:kms")
    head = web.aws.s3.head_object(Bucket=web.bucket, Key=KEYS["images/I1/0001.jpg"], ChecksumMode="ENABLED")
    stated = [name for name in head if name.startswith("Checksum")]
    assert web.compare() == (4, [("images/I1/0001.jpg", "checksum")] if stated else [])


def test_images_that_were_compared_by_size_alone_are_counted(web: Web) -> None:
    """Among thousands that were read, those of which no byte was compared would count as proven."""
    assert (web.compared("checksum").by_size, web.compared("size").by_size) == (0, 4)
    without_checksums(web.aws).put_object(
        Bucket=web.bucket, Key=KEYS["images/I1/0001.jpg"], Body=b"onE", ServerSideEncryption="aws:kms"
    )
    assert (web.compared("checksum").by_size, web.compared("checksum").problems) == (1, [])


def test_a_list_of_several_pages_is_read_to_its_end(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 lists at most a thousand objects a page: a work's other images would all be missing."""
    asked: list[object] = []

    def three_a_page(params: dict[str, Any], **_: object) -> None:
        params["MaxKeys"] = 3
        asked.append(params)

    def client(*words: Any, **named: Any) -> Any:
        made = make_client(*words, **named)
        made.meta.events.register("before-parameter-build.s3.ListObjectsV2", three_a_page)
        return made

    monkeypatch.setattr(s3, "make_client", client)
    content = {f"images/{number}.jpg": b"x" for number in range(10)}
    for name in content:
        web.put(f"Works/a8/W1/{name}", b"x")
    assert web.compare("size", content) == (10, [])
    assert len(asked) == 5


def test_a_web_that_is_not_there_is_told_at_once(web: Web) -> None:
    """A bucket's name that is wrong does not mend itself; a server that is away may."""
    web.bucket = "no-such-bucket"
    with pytest.raises(ObjectError, match=r"s3://no-such-bucket/Works/a8/W1/images/ .*there is no such bucket"):
        web.compare()
    away = web.aws.connection.model_copy(update={"endpoint_url": "http://127.0.0.1:9"})
    with pytest.raises(ServiceError, match="listing the objects failed at s3://"):
        compare_web(away, "s3://b/images/", [], web.local, "size")
