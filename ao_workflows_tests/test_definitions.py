"""What loading the definitions does, and does not do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ao_workflows.site.demo import demo_site

_LOAD = """
import gc, json, sys
import dagster  # what Dagster itself opens is not ours
opened, reached = [], []
def listen(event, args):
    if event == "open" and isinstance(args[0], str) and not args[0].endswith((".py", ".pyc", ".so")):
        opened.append(args[0])
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "sqlite3.connect", "subprocess.Popen"):
        reached.append([event, repr(args)])
sys.addaudithook(listen)
import ao_workflows.definitions
vendors = ("boto3", "botocore", "sqlalchemy", "pymysql", "docker", "moto", "rich")
loaded = [name for name in vendors if name in sys.modules]
looked_at = {id(found) for found in gc.get_objects()}
left = [name for name in ("dagster", "ao_workflows.defs.restore.synced_archive") if id(sys.modules[name]) in looked_at]
print(json.dumps({"opened": opened, "reached": reached, "loaded": loaded, "left": left}))
"""


def _load(site: Path) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-B", "-c", _LOAD],
        env={"AO_SITE": str(site), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_loading_the_definitions_reads_site_toml_and_nothing_else(tmp_path: Path) -> None:
    """Every run and every tick's process loads them: a network or a database there would stop them all at once."""
    site = tmp_path / "site.toml"
    site.write_text(demo_site(tmp_path, "http://127.0.0.1:9"))
    found = _load(site)
    ours = [path for path in found["opened"] if not path.startswith((sys.prefix, sys.base_prefix, "/proc/"))]
    assert ours == [str(site)]
    assert found["reached"] == []


def test_loading_the_definitions_imports_no_vendor_s_client(tmp_path: Path) -> None:
    """boto3, SQLAlchemy and dagster-docker each cost a quarter of what Dagster costs, in every process."""
    site = tmp_path / "site.toml"
    site.write_text(demo_site(tmp_path, "http://127.0.0.1:9"))
    assert _load(site)["loaded"] == []


def test_the_garbage_collector_is_spared_what_was_imported(tmp_path: Path) -> None:
    """Looking through Dagster's modules, over and over and once more at its end, was a fifth of a small run's time."""
    site = tmp_path / "site.toml"
    site.write_text(demo_site(tmp_path, "http://127.0.0.1:9"))
    assert _load(site)["left"] == []


def test_a_site_with_mistakes_is_told_when_definitions_load(tmp_path: Path) -> None:
    """A person who starts Dagster must read what is wrong with site.toml, not a stack of pydantic's."""
    site = tmp_path / "site.toml"
    site.write_text('environment = "test"\n')
    done = subprocess.run(
        [sys.executable, "-c", "import ao_workflows.definitions"],
        env={"AO_SITE": str(site), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "environment: must be 'demo', 'dev' or 'prod' (is: 'test')" in done.stderr
    assert "staging: is missing" in done.stderr
