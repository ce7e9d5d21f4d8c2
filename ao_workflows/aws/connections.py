"""How an intake's AWS is reached: region, profile, endpoint, credentials, and AWS's errors in words.

What belongs here: making boto3's clients, and naming where a call went. What does not: the calls themselves
(``ao_workflows.aws.s3``, ``ao_workflows.intake.sqs``).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import dagster as dg

from ao_workflows.download.pace import STALL_SECONDS
from ao_workflows.errors import AoError, ServiceError

CONNECT_SECONDS = 5
ATTEMPTS = 5

T = TypeVar("T")


class AwsConnection(dg.Config):
    """How one intake's AWS is reached.

    It holds no secret: ``profile`` names a section of the file ``credentials_file``.
    """

    region: str
    profile: str | None = None
    endpoint_url: str | None = None
    credentials_file: str | None = None

    def __str__(self) -> str:
        parts = [f"region {self.region}", f"profile {self.profile or 'default'}"]
        if self.endpoint_url:
            parts.append(f"endpoint {self.endpoint_url}")
        return ", ".join(parts)


_DESCRIPTIONS: dict[Any, Any] = {}
"""What botocore has read of the services' descriptions. Read anew for each client, they are a sixth of what a small
work costs in a worker, whose process executes many runs."""


def make_client(
    service: str,
    connection: AwsConnection,
    *,
    pool: int = 10,
    read_seconds: float = STALL_SECONDS,
    attempts: int | None = None,
    sign_bodies: bool = True,
) -> Any:
    """Makes a boto3 client with time-outs and boto3's own retries.

    boto3 compares none of its own checksums with what it reads: some servers send the checksum of the whole object also
    with a range of it, and boto3 would take it for the range's. boto3 is imported here, since importing it costs a
    fifth of what Dagster costs.

    :param service: AWS's name of it, such as "s3".
    :param pool: how many connections are kept open at most.
    :param read_seconds: a connection that brings nothing for so long is given up.
    :param attempts: how often boto3 tries a call.
    :param sign_bodies: whether the SHA-256 of what is sent to S3 is signed, where boto3 would do so by itself; without
        it, each call must give a checksum of its own.
    """
    import boto3
    import botocore.session
    from botocore.config import Config

    session = botocore.session.Session(profile=connection.profile)
    if connection.credentials_file:
        session.set_config_variable("credentials_file", connection.credentials_file)
    session.get_component("data_loader")._cache = _DESCRIPTIONS
    # Typed as anything: boto3's stubs have an overload for each service's literal name, and none for a variable.
    factory: Any = boto3.Session(botocore_session=session)
    return factory.client(
        service,
        region_name=connection.region,
        endpoint_url=connection.endpoint_url,
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=read_seconds,
            max_pool_connections=pool,
            response_checksum_validation="when_required",
            retries={"mode": "standard", "total_max_attempts": attempts or ATTEMPTS},
            s3=None if sign_bodies else {"payload_signing_enabled": False},
        ),
    )


@contextmanager
def calls_explained(doing: str, where: str) -> Iterator[None]:
    """While inside, what boto3 raises becomes a ``ServiceError`` that says what was being done, where, and what came
    back.
    """
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    try:
        yield
    except AoError:
        raise
    except ClientError as error:
        said = error.response.get("Error", {})
        raise ServiceError(doing, where, f"{said.get('Code', 'error')}: {said.get('Message', error)}") from error
    except (BotoCoreError, HTTPClientError, TimeoutError) as error:
        raise ServiceError(doing, where, str(error)) from error


def answered_within(seconds: float, call: Callable[[], T]) -> T:
    """Returns what ``call`` returns, or raises what it raises, if it does so in time.

    boto3's time-outs hold for one read of one attempt. A name server that hangs, one address after the other, or an
    answer that comes byte by byte may take minutes. So the call runs in a thread of its own, which is abandoned if it
    is late.

    :raises TimeoutError: if the call has not ended in time.
    """
    answers: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put((call(), None))
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is awaited
            answers.put((None, error))

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer, error = answers.get(timeout=max(0.0, seconds))
    except queue.Empty:
        raise TimeoutError(f"there was no answer within {seconds:.0f} s") from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]
