"""One object on a server of S3's kind, and the way to bring it here."""

from __future__ import annotations

from pathlib import Path

import pytest

from ao_workflows_tests.support.download_side import Side
from ao_workflows_tests.support.s3_server import S3Server


@pytest.fixture
def side(s3_server: S3Server, tmp_path: Path) -> Side:
    return Side(s3_server, tmp_path)
