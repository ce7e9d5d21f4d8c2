"""HeadObject, with S3's refusals in words.

What belongs here: the one call. What does not: what its answer means (``ao_workflows.aws.objects``).
"""

from __future__ import annotations

from typing import Any

from ao_workflows.errors import ObjectError, ObjectMissing


def head_object(client: Any, where: str, **wanted: str) -> dict[str, Any]:
    """S3's answer to HeadObject. An answer to HEAD has no body, so S3 gives no reason besides its number.

    :raises ObjectMissing: where there is no such object.
    :raises ObjectError: where it may not be looked at.
    """
    try:
        head: dict[str, Any] = client.head_object(**wanted)
    except client.exceptions.ClientError as error:
        match error.response["Error"]["Code"]:
            case "403":
                reason = "S3 refuses access: the profile needs s3:GetObject on it, and it must be there"
                raise ObjectError(where, reason) from error
            case "404" | "NoSuchKey" | "NoSuchVersion":
                raise ObjectMissing(where, "there is no such object") from error
        raise
    return head
