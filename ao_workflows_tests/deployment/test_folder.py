"""The folder that compose runs from, on disk: as it was ordered, or every mistake and nothing changed."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from ao_workflows.deployment.folder import apply, init_archive, prepare
from ao_workflows.deployment.order import Order
from ao_workflows.deployment.plan import Change
from ao_workflows.errors import DeployError
from ao_workflows.instance.storage_reader import USER

SITE = """
environment = "dev"

[staging]
root = "/staging"

[archive]
parent = "/mnt/Archive"

[sync]
script = "syncOneWork.sh"

[drs]
url = "sqlite:////staging/drs.sqlite"
"""


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """A folder for trials, of this user."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source/site.toml").write_text(SITE)
    return Order(tmp_path / "folder", "dev", tmp_path / "source", tmp_path / "source", uid=os.geteuid())


def test_what_was_applied_is_there_with_its_modes_and_is_not_to_be_done_again(order: Order) -> None:
    """A second run that changes something would restart the services for nothing."""
    first = prepare(order)
    assert first.changes()
    assert {step.change for step in first.steps} == {Change.NEW}
    apply(first)
    again = prepare(order)
    assert {step.change for step in again.steps} == {Change.SAME}
    assert not again.changes()
    assert stat.S_IMODE((order.destination / "secrets").stat().st_mode) == 0o700
    assert stat.S_IMODE((order.destination / "upgrade").stat().st_mode) == 0o755
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o400 for path in (order.destination / "secrets").iterdir())


def test_a_folder_whose_rights_were_changed_is_to_be_mended(order: Order) -> None:
    """A folder of secrets that others can enter."""
    apply(prepare(order))
    (order.destination / "secrets").chmod(0o755)
    assert prepare(order).changes()


def test_an_edited_file_is_kept_and_what_is_wanted_now_lies_beside_it(order: Order) -> None:
    """An operator's repair in the night outlasts the next update."""
    apply(prepare(order))
    edited = order.destination / "docker-compose.yml"
    edited.write_text("edited")
    assert not prepare(order).changes()
    record = order.destination / ".deployed.json"
    record.write_text(record.read_text().replace('"docker-compose.yml": "', '"docker-compose.yml": "0'))
    apply(prepare(order))
    assert edited.read_text() == "edited"
    assert (order.destination / "docker-compose.yml.new").exists()
    apply(prepare(replace(order, replace=("docker-compose.yml",))))
    assert edited.read_text() != "edited"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('environment = "dev"', 'environment = "demo"', "environment is demo, and --env says dev"),
        ('root = "/staging"', 'root = "/other"', "staging.root must be /staging"),
        ('parent = "/mnt/Archive"', 'parent = "/srv/Archive"', "archive.parent must be below /mnt"),
    ],
)
def test_what_does_not_fit_together_is_told_and_nothing_is_made(order: Order, old: str, new: str, said: str) -> None:
    """In the containers these paths are fixed: a run would write beside its disk."""
    (order.source / "site.toml").write_text(SITE.replace(old, new))
    with pytest.raises(DeployError, match=said):
        prepare(order)
    assert not order.destination.exists()


def test_a_folder_keeps_its_environment_and_its_names(order: Order) -> None:
    """A folder of trials that becomes production's keeps made-up passwords; a name that is none replaces nothing."""
    apply(prepare(order))
    text = (order.destination / ".env").read_text()
    (order.destination / ".env").write_text(text.replace("AO_ENVIRONMENT=dev", "AO_ENVIRONMENT=prod"))
    with pytest.raises(DeployError, match="is a prod folder; a dev one wants a folder of its own"):
        prepare(order)
    (order.destination / ".env").write_text(text + "COMPUTE_LOGS=s3://bucket\n")
    with pytest.raises(DeployError, match="COMPUTE_LOGS must be"):
        prepare(order)
    (order.destination / ".env").write_text(text)
    with pytest.raises(DeployError, match="--replace nothing"):
        prepare(replace(order, replace=("nothing",)))


@pytest.mark.parametrize("where", ["given", "there"])
def test_with_another_postgresql_the_archivists_page_gets_its_own_user_there(order: Order, where: str) -> None:
    """It would look for the works in the empty database beside it."""
    elsewhere = "postgresql+psycopg2://dagster@main.example:5432/dagster?passfile=/run/secrets/pgpass"
    if where == "given":
        order = replace(order, settings={"DAGSTER_STORAGE": elsewhere})
    else:
        apply(prepare(order))
        env = order.destination / ".env"
        assert "VIEWER_STORAGE" not in env.read_text()
        env.write_text(env.read_text() + f"DAGSTER_STORAGE={elsewhere}\n")
    apply(prepare(order))
    reads = f"postgresql+psycopg2://{USER}@main.example:5432/dagster?passfile=/run/secrets/viewer_pgpass"
    assert f"VIEWER_STORAGE={reads}\n" in (order.destination / ".env").read_text()


def test_a_write_that_fails_leaves_the_old_file_and_what_a_killed_one_left_goes(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a docker-compose.yml would end every service."""
    apply(prepare(order))
    (order.destination / ".docker-compose.yml.x.tmp").touch()
    (order.destination / "docker-compose.yml").unlink()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(DeployError, match="a part is done; run it again"):
            apply(prepare(order))
    assert not (order.destination / "docker-compose.yml").exists()
    apply(prepare(order))
    assert not list(order.destination.glob(".docker-compose.yml.*.tmp"))


def test_an_archive_for_trials_is_made_once(tmp_path: Path) -> None:
    """What is there already may have works in it."""
    (tmp_path / "Archive0/07/W1").mkdir(parents=True)
    assert init_archive(tmp_path, os.geteuid()) == 399
    assert init_archive(tmp_path, os.geteuid()) == 0
    assert (tmp_path / "Archive0/07/W1").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(DeployError, match="a part is done"):
        init_archive(tmp_path / "file", os.geteuid())
