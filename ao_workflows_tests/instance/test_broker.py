"""The workers' broker: the address with its password, and Celery's settings."""

from __future__ import annotations

from pathlib import Path

from ao_workflows.instance.broker import with_password


def test_the_password_s_file_is_named_in_the_address_and_its_word_put_there(tmp_path: Path) -> None:
    """As in PostgreSQL's addresses, so that no password is in the environment."""
    (tmp_path / "word").write_text("a/b@c\n")
    found = with_password(f"rediss://main:6379/1?ssl_cert_reqs=none&passfile={tmp_path}/word")
    assert found == "rediss://:a%2Fb%40c@main:6379/1?ssl_cert_reqs=none"
    assert with_password("redis://main") == "redis://main"
