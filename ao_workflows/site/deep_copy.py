"""The settings of ``[deep_copy]``: where synced works are put into the deep archive.

What belongs here: the section, its rule and its defaults. What does not: the other sections
(``ao_workflows.site.sections``), and the copying (``ao_workflows.deep_copy``).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ao_workflows.site.field_rules import EndpointUrl, Environment, IntakeName, Section

StorageClass = Literal["STANDARD_IA", "DEEP_ARCHIVE"]


class DeepCopySection(Section):
    """Where synced works are put into the deep archive, in parts; with neither an intake nor a bucket they are not.

    The bucket is that of ``intake``, reached as the intake reaches it; or ``bucket``, with its region, profile,
    endpoint and environment. ``storage_class`` is that of new objects: STANDARD_IA where a rule of
    the bucket moves them on, or DEEP_ARCHIVE at once.
    """

    intake: IntakeName | None = None
    bucket: Annotated[str, Field(min_length=3)] | None = None
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] | None = None
    environment: Environment | None = None
    aws_profile: str | None = None
    endpoint_url: EndpointUrl | None = None
    storage_class: StorageClass = "STANDARD_IA"

    @model_validator(mode="after")
    def _an_intake_or_a_bucket(self) -> DeepCopySection:
        own = {"bucket": self.bucket, "region": self.region, "environment": self.environment}
        besides = {"aws_profile": self.aws_profile, "endpoint_url": self.endpoint_url}
        if self.intake and (given := [name for name, value in (own | besides).items() if value]):
            raise ValueError(f"intake says how the bucket is reached: take out {', '.join(given)}")
        missing = [name for name, value in own.items() if not value]
        if not self.intake and any((own | besides).values()) and missing:
            raise ValueError(f"needs intake, or bucket, region and environment (missing: {', '.join(missing)})")
        return self

    @property
    def is_on(self) -> bool:
        """Whether works are copied."""
        return bool(self.intake or self.bucket)
