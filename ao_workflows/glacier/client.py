"""The Glacier client: finds a work's object or its parts, says how S3 keeps them, and asks for their restore.

What belongs here: HeadObject, ListObjectsV2 and RestoreObject as ``ao restore`` needs them. What does not: whether to
ask (``ao_workflows.glacier.rules``), and waiting for what was asked for (``ao_workflows.aws.s3``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ao_workflows.aws.connections import AwsConnection, calls_explained, make_client
from ao_workflows.aws.listed import RESTORE_STATUS, ListedObject, listed_objects
from ao_workflows.aws.objects import ObjectStorage, head_object, storage_of
from ao_workflows.errors import ObjectError, ObjectMissing, RestoreRefused, ServiceError
from ao_workflows.glacier.rules import ObjectAddress, RestoreState, Tier, tier_refusal

READ_SECONDS = 20
ATTEMPTS = 3
"""An Expedited retrieval without capacity is answered like an overloaded S3: boto3 tries it as often."""


class Glacier:
    """S3's archives as each intake reaches them; ``connections`` is by the intake's name."""

    def __init__(self, connections: Mapping[str, AwsConnection]) -> None:
        self._connections = connections
        self._clients: dict[str, Any] = {}

    def find(self, addresses: Sequence[ObjectAddress]) -> tuple[ObjectAddress, ObjectStorage]:
        """Returns the one place that has the object, and how S3 keeps it there.

        :param addresses: where it may be.
        :raises ObjectMissing: if it is in none of them.
        :raises ObjectError: if it is in several, or one that may have it refuses access.
        :raises ServiceError: if one that may have it does not answer.
        """
        found: list[tuple[ObjectAddress, ObjectStorage]] = []
        failed: list[ObjectError | ServiceError] = []
        missing: list[ObjectMissing] = []
        for address in addresses:
            try:
                found.append((address, self.storage(address)))
            except ObjectMissing as error:
                missing.append(error)
            except (ObjectError, ServiceError) as error:
                failed.append(error)
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(f"{address} (intake {address.intake})" for address, _ in found)
            raise ObjectError(
                several,
                "the work is in each of them; --intake says which one is meant, or its address in place of the RID",
            )
        if failed:
            raise failed[0]
        if len(missing) == 1:
            raise missing[0]
        raise ObjectMissing(", ".join(map(str, addresses)), "there is no such object in any of them")

    def storage(self, address: ObjectAddress) -> ObjectStorage:
        """Returns how S3 keeps the object now.

        :raises ObjectMissing: if there is none.
        :raises ObjectError: if S3 refuses access to it.
        :raises ServiceError: if S3 does not answer.
        """
        return storage_of(self.head(address))

    def head(self, address: ObjectAddress) -> dict[str, Any]:
        """Returns S3's answer to HeadObject; raises as ``storage`` does."""
        where = self._where(address)
        with calls_explained("asking for the object", where):
            return head_object(self._client(address.intake), where, Bucket=address.bucket, Key=address.key)

    def listed(self, intake: str, bucket: str, prefix: str) -> list[ListedObject]:
        """Returns the objects whose keys begin with ``prefix``, each in its current version, by key.

        :raises ObjectError: if S3 refuses to list them.
        :raises ServiceError: if it does not answer.
        """
        where = self._where(ObjectAddress(intake, bucket, prefix))
        with calls_explained("listing the parts", where):
            client = self._client(intake)
            pages = client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=prefix, OptionalObjectAttributes=[RESTORE_STATUS]
            )
            try:
                return [listed for page in pages for listed in listed_objects(page)]
            except client.exceptions.ClientError as error:
                if error.response["Error"]["Code"] == "AccessDenied":
                    reason = "S3 refuses to list it, so the work's parts are not known: the profile needs s3:ListBucket"
                    raise ObjectError(where, f'{reason}; an intake with layout = "whole" does without') from error
                if error.response["Error"]["Code"] == "NoSuchBucket":
                    raise ObjectMissing(where, "there is no such bucket") from error
                raise

    def ask(self, address: ObjectAddress, storage: ObjectStorage, tier: Tier, days: int) -> RestoreState:
        """Asks for a restored copy for so many days, and returns how far the restore is: ``ASKED`` if S3 accepted this
        request.

        :raises RestoreRefused: if it cannot be restored like this.
        :raises ServiceError: if S3 does not answer.
        """
        where = self._where(address)
        if reason := tier_refusal(storage, tier):
            raise RestoreRefused(where, reason)
        wish: dict[str, Any] = {"GlacierJobParameters": {"Tier": tier.value}}
        # An object of INTELLIGENT_TIERING is moved back for good, and S3 refuses a number of days for it
        if not storage.archive_status:
            wish["Days"] = days
        with calls_explained("asking Glacier", where):
            client = self._client(address.intake)
            try:
                answer = client.restore_object(Bucket=address.bucket, Key=address.key, RestoreRequest=wish)
            except client.exceptions.ClientError as error:
                return _state_by_refusal(error.response["Error"], error, where)
        # Somebody else's copy was there already: S3 keeps it for the days that this request names
        was_restored = answer["ResponseMetadata"]["HTTPStatusCode"] == 200  # noqa: PLR2004
        return RestoreState.RESTORED if was_restored else RestoreState.ASKED

    def _client(self, intake: str) -> Any:
        if intake not in self._clients:
            connection = self._connections[intake]
            self._clients[intake] = make_client("s3", connection, read_seconds=READ_SECONDS, attempts=ATTEMPTS)
        return self._clients[intake]

    def _where(self, address: ObjectAddress) -> str:
        return f"{address} ({self._connections[address.intake]})"


def _state_by_refusal(said: Mapping[str, str], error: Exception, where: str) -> RestoreState:
    """What S3 means by refusing: https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html"""
    match said.get("Code"):
        case "RestoreAlreadyInProgress":
            return RestoreState.UNDER_WAY
        case "InvalidObjectState" | "ObjectAlreadyInActiveTierError":
            return RestoreState.NOT_IN_GLACIER
        case "GlacierExpeditedRetrievalNotAvailable":
            reason = "Glacier has no capacity for Expedited now: ask with --tier Standard, or again later"
            raise RestoreRefused(where, reason) from error
        case "AccessDenied":
            raise RestoreRefused(where, "S3 refuses: the profile needs s3:RestoreObject on it") from error
        case "NoSuchKey" | "NoSuchBucket":
            raise ObjectMissing(where, "there is no such object") from error
    raise error
