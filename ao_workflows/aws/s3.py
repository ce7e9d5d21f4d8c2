"""The S3 client: an object looked at, waited for while Glacier restores it, and downloaded with its checksum.

What belongs here: HeadObject, the wait for Glacier, and what a download needs to know of S3. What does not: reading the
bytes (``ao_workflows.aws.ranges``), bringing them to the disk (``ao_workflows.download.download``), and what a run does
with them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from threading import Event, Lock
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from ao_workflows.aws.connections import AwsConnection, calls_explained, make_client
from ao_workflows.aws.objects import (
    RESTORE_WAIT_HOURS,
    S3Object,
    check_restored,
    head_object,
    stated,
    storage_of,
    written_at,
)
from ao_workflows.bags.zip_sizes import UnpackedSize, unpacked_size
from ao_workflows.download.download import DownloadPaths, FinishedDownload, bring
from ao_workflows.download.pace import LEAST_KILOBYTES_PER_SECOND, STALL_SECONDS, Pace
from ao_workflows.download.plan import MIB, plan_transfer
from ao_workflows.errors import (
    ObjectChanged,
    ObjectError,
    ObjectMissing,
    ObjectNotRestored,
    RestoreTooSlow,
    ServiceError,
)
from ao_workflows.events.intake_names import meant_by, not_meant
from ao_workflows.fixity.digests import can_be_joined
from ao_workflows.fixity.s3_checksums import ObjectProof, StatedChecksum, best_checksum, even_parts, in_base64, proof_by

_FIRST_WAIT_SECONDS = 30.0
_LONGEST_WAIT_SECONDS = 900.0
_SPARE_CONNECTIONS = 2
_WAIT = Event().wait


@dataclass(frozen=True)
class S3Download:
    """A finished download from S3: the object that it was in the end, its seconds, what proved it, and the transfer's
    figures.
    """

    object: S3Object
    seconds: float
    proof: str
    brought: FinishedDownload


class DownloadSettings(dg.Config):
    """A site's settings for downloads. None leaves the size and the number of parts to the object's size.

    ``megabytes_per_second`` is no limit if it is None, nor ``least_kilobytes_per_second`` if it is 0.
    """

    part_mib: int | None = None
    parallel: int | None = None
    megabytes_per_second: float | None = None
    stall_seconds: float = STALL_SECONDS
    least_kilobytes_per_second: float = LEAST_KILOBYTES_PER_SECOND
    backoff_seconds: float = Pace.backoff_seconds
    restore_wait_hours: float = RESTORE_WAIT_HOURS


class S3(dg.ConfigurableResource):  # type: ignore[type-arg]
    """S3 as each intake reaches it.

    ``connections`` and ``buckets`` are by the intake's name; ``formerly`` has the present names by the former ones.
    """

    connections: Mapping[str, AwsConnection]
    buckets: Mapping[str, str] = {}
    formerly: Mapping[str, str] = {}
    settings: DownloadSettings = DownloadSettings()

    _clients: dict[str, Any] = PrivateAttr(default_factory=dict)
    _clients_lock: Any = PrivateAttr(default_factory=Lock)

    def intake_for(self, name: str, bucket: str, region: str) -> str:
        """Returns the present name of the intake that an event came by, which may be of long ago.

        :param name: the name that the intake had then.
        :param bucket: the event's bucket; ``region`` is its region.
        :raises ObjectError: if no intake of today is meant.
        """
        ways = self.connections
        alike = [each for each, its in self.buckets.items() if its == bucket and ways[each].region == region]
        if name not in alike and self.formerly.get(name) not in alike and len({str(ways[each]) for each in alike}) == 1:
            alike = alike[:1]  # Two queues of one bucket, reached in one way.
        found = meant_by(name, ways, self.formerly, alike)
        if found is None:
            raise ObjectError(f"intake {name!r}", not_meant(ways))
        return found

    def look(self, intake: str, bucket: str, key: str, version_id: str | None) -> S3Object:
        """Asks S3 for the object as it is now.

        :raises ObjectNotRestored: if Glacier is still restoring it.
        :raises ObjectMissing: if there is none.
        :raises ObjectError: if S3 refuses access to it, or it was not restored.
        """
        head, where = self._head(intake, bucket, key, version_id)
        check_restored(head, bucket, key, where)
        return S3Object(bucket, key, head.get("VersionId", version_id), stated(head), where, written_at(head))

    def restored_until(self, intake: str, bucket: str, key: str, version_id: str | None) -> datetime | None:
        """Returns when the object's restored copy ends; None for an object that needs none.

        :raises ObjectNotRestored: if Glacier is still restoring it.
        :raises ObjectError: if there is no copy, or it has ended; ``ObjectMissing`` if there is no object.
        """
        head, where = self._head(intake, bucket, key, version_id)
        check_restored(head, bucket, key, where)
        return storage_of(head).expires

    def look_when_restored(
        self,
        intake: str,
        bucket: str,
        key: str,
        version_id: str | None,
        say: Callable[[str], None],
        wait: Callable[[float], object] = _WAIT,
    ) -> S3Object:
        """Asks S3 for the object, after waiting for Glacier for as long as the site allows.

        :param say: called with a sentence at each wait.
        :raises RestoreTooSlow: if Glacier was not done by then.
        """
        left = self.settings.restore_wait_hours * 3600
        pause = _FIRST_WAIT_SECONDS
        while True:
            try:
                return self.look(intake, bucket, key, version_id)
            except ObjectNotRestored as error:
                if left <= 0:
                    limit = f"{self.settings.restore_wait_hours:g} hours"
                    raise RestoreTooSlow(
                        error.where,
                        f"{error.reason}, after {limit} of waiting; reprocess the work when it is ready, or give "
                        f"[download] restore_wait_hours in site.toml a larger value",
                    ) from error
                pause = min(pause, left)
                say(f"{error}; asking again in {pause:.0f} s")
                wait(pause)
                left -= pause
                pause = min(2 * pause, _LONGEST_WAIT_SECONDS)

    def unpacked_size(self, intake: str, wanted: S3Object) -> UnpackedSize | None:
        """Returns how large the zip's files are, by the zip's directory; None if the directory cannot be read."""
        with suppress(ServiceError):
            return unpacked_size(self._pinned(intake, wanted).read, wanted.size)
        return None

    def download(
        self,
        intake: str,
        wanted: S3Object,
        places: DownloadPaths,
        tell: Callable[[int], None] = lambda _there: None,
    ) -> S3Download:
        """Downloads the object to ``places.final``, and proves its bytes.

        If it becomes another object meanwhile, the download begins anew, once.

        :param tell: called with the number of bytes that are there.
        :raises ObjectChanged: if it changes twice.
        :raises DownloadMismatch: if the bytes that arrive are wrong, twice, by what S3 states.
        """
        started = time.monotonic()
        try:
            proof, brought = self._bring(intake, wanted, places, tell)
        except ObjectChanged as change:
            wanted = self.look(intake, wanted.bucket, wanted.key, wanted.version_id)
            try:
                proof, brought = self._bring(intake, wanted, places, tell)
            except ObjectChanged as again:
                places.remove()
                raise ObjectChanged(
                    wanted.where,
                    f"it changed twice while it was being downloaded: {change.reason}; {again.reason}. Reprocess the "
                    f"work when nobody writes to it any more",
                ) from again
        except ObjectMissing:
            places.remove()
            raise
        return S3Download(wanted, time.monotonic() - started, proof.name, brought)

    def _bring(
        self, intake: str, wanted: S3Object, places: DownloadPaths, tell: Callable[[int], None]
    ) -> tuple[ObjectProof, FinishedDownload]:
        settings = self.settings
        proof = self.proof(intake, wanted)
        cut = plan_transfer(
            wanted.size,
            proof.pieces,
            claimed=proof.checksum is not None,
            joinable=proof.checksum is not None and can_be_joined(proof.checksum.algorithm),
            part_size=settings.part_mib * MIB if settings.part_mib else None,
            parallel=settings.parallel,
        )
        brought = bring(
            self._pinned(intake, wanted),
            wanted.where,
            wanted.identity,
            cut,
            proof,
            places,
            Pace(
                settings.megabytes_per_second,
                backoff_seconds=settings.backoff_seconds,
                least_kilobytes_per_second=settings.least_kilobytes_per_second,
                slow_seconds=settings.stall_seconds,
            ),
            tell,
            lambda digests: self._wrong_pieces(intake, wanted, proof, digests),
        )
        return proof, brought

    def proof(self, intake: str, wanted: S3Object) -> ObjectProof:
        """Returns how the object's bytes can be proven: by the best of the checksums that S3 states."""
        checksum = best_checksum(wanted.stated)
        return proof_by(wanted.stated, checksum, self._part_sizes(intake, wanted, checksum))

    def sizes(self, intake: str, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
        """Lists every object below a prefix: its key and its size in bytes.

        :raises ObjectError: if S3 refuses, or there is no such bucket.
        """
        where = f"s3://{bucket}/{prefix} ({self._connection(intake)})"
        with calls_explained("listing the objects", where):
            client = self._client(intake)
            try:
                for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                    for entry in page.get("Contents", ()):
                        yield entry["Key"], entry["Size"]
            except client.exceptions.ClientError as error:
                match error.response["Error"]["Code"]:
                    case "AccessDenied" | "403":
                        raise ObjectError(where, "S3 refuses access: the profile needs s3:ListBucket") from error
                    case "NoSuchBucket":
                        raise ObjectError(where, "there is no such bucket") from error
                raise

    def _part_sizes(self, intake: str, wanted: S3Object, checksum: StatedChecksum | None) -> Sequence[int] | None:
        """The sizes of the parts that the object was uploaded in, where the claim is over them and S3 says them."""
        if checksum is None or checksum.parts is None:
            return None
        first = self._head_part(intake, wanted, 1)
        if first.get("PartsCount") != checksum.parts:
            return None
        last = first if checksum.parts == 1 else self._head_part(intake, wanted, checksum.parts)
        even = even_parts(wanted.size, checksum.parts, first["ContentLength"], last["ContentLength"])
        if even:
            return even
        heads = self._head_parts(intake, wanted, checksum.parts)
        return [head["ContentLength"] for head in heads]

    def _wrong_pieces(
        self, intake: str, wanted: S3Object, proof: ObjectProof, digests: Sequence[str]
    ) -> Collection[int]:
        """The upload's parts whose own checksums are others than what was found; none where S3 does not say them."""
        checksum = proof.checksum
        if checksum is None or checksum.parts is None or checksum.by_etag:
            return ()
        said = [
            stated(head).checksums.get(checksum.algorithm) for head in self._head_parts(intake, wanted, checksum.parts)
        ]
        if None in said:
            return ()
        found = [in_base64(digest) for digest in digests]
        return [number for number, digest in enumerate(found) if digest != said[number]]

    def _head_parts(self, intake: str, wanted: S3Object, parts: int) -> list[dict[str, Any]]:
        with ThreadPoolExecutor(max_workers=8) as pool:
            return list(pool.map(lambda part: self._head_part(intake, wanted, part), range(1, parts + 1)))

    def _head(self, intake: str, bucket: str, key: str, version_id: str | None) -> tuple[Mapping[str, Any], str]:
        """S3's answer to HeadObject, and the object's name for errors."""
        version = f" version {version_id}" if version_id else ""
        where = f"s3://{bucket}/{key}{version} ({self._connection(intake)})"
        wanted = _named(bucket, key, version_id)
        with calls_explained("asking for the object", where):
            head = head_object(self._client(intake), where, **wanted, ChecksumMode="ENABLED")
        return head, where

    def _head_part(self, intake: str, wanted: S3Object, part: int) -> dict[str, Any]:
        with calls_explained(f"asking for part {part}", wanted.where):
            head: dict[str, Any] = self._client(intake).head_object(
                **_named(wanted.bucket, wanted.key, wanted.version_id), PartNumber=part, ChecksumMode="ENABLED"
            )
        return head

    def _pinned(self, intake: str, wanted: S3Object) -> Any:
        # Imported where it is needed: botocore is a fifth of what a run pays for its definitions.
        from ao_workflows.aws.ranges import PinnedObject

        return PinnedObject(
            lambda ended: self._client(intake, ended),
            wanted.bucket,
            wanted.key,
            wanted.version_id,
            wanted.stated.etag,
            wanted.size,
            wanted.where,
        )

    def _client(self, intake: str, ended: Any = None) -> Any:
        """The intake's client; a new one, with the credentials as they are now, where ``ended`` is the present one."""
        with self._clients_lock:
            client = self._clients.get(intake)
            if client is None or client is ended:
                pool = (self.settings.parallel or 16) + _SPARE_CONNECTIONS
                client = make_client(
                    "s3", self._connection(intake), pool=pool, read_seconds=self.settings.stall_seconds
                )
                self._clients[intake] = client
        return client

    def _connection(self, intake: str) -> AwsConnection:
        try:
            return self.connections[intake]
        except KeyError:
            raise ObjectError(f"intake {intake!r}", not_meant(self.connections)) from None


def _named(bucket: str, key: str, version_id: str | None) -> dict[str, str]:
    return {"Bucket": bucket, "Key": key} | ({"VersionId": version_id} if version_id else {})
