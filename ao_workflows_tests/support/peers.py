"""The archive's present tool for deep copies, bdrc-util's ``deep-archive``, as a peer of ours.

What belongs here: importing it and having it copy a work. What does not: what is judged of it.

It is installed without what it requires (``make test``): pandas and a database's library are not wanted here. What it
imports of these is replaced: the log of its database, and a path in S3 as text. The names of the image groups, which it
asks the catalogue for over the network, it is given.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from ao_workflows_tests.support.moto_server import Aws

PEERS = Path(__file__).resolve().parents[2] / ".build/peers"

_NOT_WANTED = (
    "BdrcDbLib",
    "BdrcDbLib.DbApp",
    "BdrcDbLib.DbAppParser",
    "BdrcDbLib.DbOrm",
    "BdrcDbLib.DbOrm.DrsContextBase",
    "BdrcDbLib.SqlAlchemy_get_or_create",
    "archive_ops.DipLog",
    "archive_ops.DeepArchiveParser",
    "s3pathlib",
)


class _S3Path:
    """What ``deep-archive`` uses of s3pathlib's: a bucket, a key, and ``/``."""

    def __init__(self, bucket: str, key: str) -> None:
        self.bucket, self.key = bucket, key
        self.arn = f"arn:aws:s3:::{bucket}/{key}"

    def __truediv__(self, name: str) -> _S3Path:
        return _S3Path(self.bucket, f"{self.key}/{name}")


def deep_archive() -> Any:
    """Its module, without its database; skips the test where it is not installed."""
    from ao_workflows_tests.conftest import skip_or_fail

    stubs: dict[str, Any] = {name: mock.MagicMock(name=name) for name in _NOT_WANTED}
    stubs["s3pathlib"].S3Path = _S3Path
    with mock.patch.dict(sys.modules, stubs), mock.patch.object(sys, "path", [*sys.path, str(PEERS)]):
        try:
            module: ModuleType = importlib.import_module("archive_ops.DeepArchive")
        except ImportError as error:
            skip_or_fail(f"bdrc-util is not installed: make test installs it ({error})")
    module._log = mock.MagicMock(log_file_name="none")  # type: ignore[attr-defined]
    module.dip_logger = mock.MagicMock()  # type: ignore[attr-defined]
    return module


def copy_by_theirs(aws: Aws, bucket: str, rid: str, place: Path, groups: Sequence[str]) -> None:
    """Has their tool copy a whole work into a bucket."""
    credentials = {
        "AWS_ENDPOINT_URL": aws.endpoint_url,
        "AWS_SHARED_CREDENTIALS_FILE": str(aws.connection.credentials_file),
        "AWS_PROFILE": str(aws.connection.profile),
        "AWS_DEFAULT_REGION": aws.connection.region,
    }
    module = deep_archive()
    quiet = logging.getLogger("bagit")
    before = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with mock.patch.dict(os.environ, credentials):
            module.do_deep_archive_complete(rid, place, list(groups), bucket, in_daemon=True)
    finally:
        quiet.setLevel(before)
