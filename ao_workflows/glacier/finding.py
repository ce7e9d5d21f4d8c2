"""Finding a work: the one object, or the parts in one bucket, among all places where it may be.

What belongs here: the way through the intakes' buckets. What does not: the calls (``ao_workflows.glacier.client``), and
which of what lies in a work's folder are its parts (``ao_workflows.glacier.work_parts``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ao_workflows.aws.objects import ObjectStorage
from ao_workflows.errors import ObjectError, ServiceError
from ao_workflows.glacier.client import Glacier
from ao_workflows.glacier.rules import ObjectAddress, Target, parse_target
from ao_workflows.glacier.work_parts import WorkListing, parts_listed
from ao_workflows.site.sections import IntakeSection
from ao_workflows.works.object_keys import object_key, prefix_of_parts
from ao_workflows.works.parts import part_of_key


class WorkFinder:
    """Finds works in the buckets of some intakes; a bucket of two intakes counts once, as the first one's."""

    def __init__(self, intakes: Mapping[str, IntakeSection], glacier: Glacier) -> None:
        self._buckets: dict[str, tuple[str, IntakeSection]] = {}
        for name, section in intakes.items():
            self._buckets.setdefault(section.bucket, (name, section))
        self._glacier = glacier

    def target(self, word: str) -> Target:
        """Returns what a person names: a work by its RID, a work or a part by its object's address.

        :raises RidError: if it is neither.
        """
        target = parse_target(word)
        if target.key is None or target.bucket not in self._buckets:
            return target
        part = part_of_key(target.key, self._buckets[target.bucket][1].layout)
        return replace(target, rid=part.rid, part="" if part.is_named_as_work else part.name)

    def find(self, target: Target) -> tuple[ObjectAddress, ObjectStorage] | WorkListing:
        """Returns where the work's one object is and how S3 keeps it, or the parts that the work lies in.

        :raises ObjectMissing: if it is nowhere.
        :raises ObjectError: if it is in several buckets, or one that may have it refuses access.
        :raises ServiceError: if one that may have it does not answer.
        """
        if target.key:
            return self._glacier.find([self._address(target.bucket or "", target.key)])
        unlisted: list[ObjectAddress] = []
        whole: list[ObjectAddress] = []
        in_parts: list[WorkListing] = []
        failed: list[ObjectError | ServiceError] = []
        for bucket, (name, section) in self._buckets.items():
            keys = dict.fromkeys(object_key(place, target.rid) for place in section.places)
            if section.layout == "whole":
                unlisted += [ObjectAddress(name, bucket, key) for key in keys]
                continue
            try:
                listing = self._listing(bucket, target.rid)
            except (ObjectError, ServiceError) as error:
                failed.append(error)
                continue
            if listing.in_parts:
                in_parts.append(listing)
            else:
                whole += [known.address for known in listing.parts]
                unlisted += [] if listing.parts else [ObjectAddress(name, bucket, key) for key in keys]
        if len(in_parts) == 1 and not whole:
            return in_parts[0]
        if in_parts:
            places = [*whole, *(known.address for each in in_parts for known in each.parts)]
            several = ", ".join(sorted({f"s3://{place.bucket} (intake {place.intake})" for place in places}))
            raise ObjectError(several, "the work is in each of them; --intake says which one is meant")
        try:
            return self._glacier.find([*whole, *unlisted])
        except ObjectError:
            if failed and not whole:
                raise failed[0] from None
            raise

    def _listing(self, bucket: str, rid: str) -> WorkListing:
        name, section = self._buckets[bucket]
        prefixes = dict.fromkeys(prefix_of_parts(place, rid) for place in section.places)
        listed = [
            (ObjectAddress(name, bucket, each.key), each)
            for prefix in prefixes
            for each in self._glacier.listed(name, bucket, prefix)
            # Where works share a folder, what lies deeper is another folder's
            if prefix.endswith("/") or "/" not in each.key[len(prefix) :]
        ]
        return parts_listed(rid, listed, section.layout, section.keys)

    def _address(self, bucket: str, key: str) -> ObjectAddress:
        if bucket not in self._buckets:
            raise ObjectError(f"s3://{bucket}", f"is the bucket of no intake; they have {', '.join(self._buckets)}")
        return ObjectAddress(self._buckets[bucket][0], bucket, key)
