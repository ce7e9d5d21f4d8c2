"""What a deployment does for itself, and how it is brought to another version and back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from ao_workflows.instance.pruning import ended_at
from ao_workflows_tests.stack.deployment import IMAGE, NAME, SERVICES, Deployment, compose_command, run, wait_until

pytestmark = pytest.mark.timeout(3000)

GOOD, BAD = f"{IMAGE}-good", f"{IMAGE}-bad"
OURS = ("code", "webserver", "viewer", "daemon")

BREAKS = r"""
USER root
RUN printf '%s\n' '#!/bin/sh' 'case $1 in' \
    'api) echo this version does not serve; exit 1 ;;' \
    'instance) psql -Xc "create table of_the_new_version (a int)" \
        "$(echo "$DAGSTER_STORAGE" | sed s/+psycopg2//)" ;;' \
    'esac' 'exec /opt/ao/venv/bin/dagster "$@"' >/opt/ao/bin/dagster && chmod 755 /opt/ao/bin/dagster
USER 1001
"""
"""An image whose code server does not come up, and which has changed the storage by then."""

OBSERVED = """
import json, sys
from dagster import AssetKey, DagsterInstance
with DagsterInstance.get() as instance:
    (event,) = instance.fetch_observations(AssetKey("{}"), limit=1).records
    told = event.asset_observation.metadata
    print(json.dumps({{"run": event.run_id, "told": {{name: each.value for name, each in told.items()}}}}))
"""

ENGINE_EVENTS = """
import json
from dagster import DagsterInstance
with DagsterInstance.get() as instance:
    logs = instance.all_logs("{}")
    events = [log.dagster_event for log in logs if log.dagster_event]
    told = [(event.message, event.engine_event_data.metadata) for event in events
            if event.event_type_value == "ENGINE_EVENT"]
    print(json.dumps([(said, {{name: each.value for name, each in metadata.items()}}) for said, metadata in told]))
"""


def derived(tag: str | None, base: str, lines: str) -> str:
    """An image that is made of another one; its id."""
    words = ("-t", tag) if tag else ()
    done = subprocess.run(
        ["docker", "build", "-q", *words, "-"],
        input=f"FROM {base}\n{lines}",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def site(images: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment of its own: what is upgraded here is not what others are tried on."""
    compose = compose_command()
    assert compose, "the images are there, and so is docker-compose"
    for tag, lines in ((GOOD, "LABEL org.opencontainers.image.version=9.9.9\n"), (BAD, BREAKS)):
        derived(tag, IMAGE, lines)
        derived(f"{tag}-dev", f"{IMAGE}-dev", lines)
    made = Deployment(tmp_path_factory.mktemp("upkeep") / "deployed", compose, project=f"ao-{NAME}-upkeep")
    made.write()
    dagster_yaml = made.folder / "config/dagster.yaml"
    dagster_yaml.write_text(dagster_yaml.read_text().replace("keep_failed_days: 30", "keep_failed_days: 0"))
    made.down()
    try:
        made.bring_up()
        yield made
    finally:
        made.down()
        for tag in (GOOD, BAD):
            run("docker", "image", "rm", "-f", tag, f"{tag}-dev", check=False)


def upgrade(site: Deployment, *words: str) -> subprocess.CompletedProcess[str]:
    return run("./upgrade", "--patience", "600", *words, timeout=1500, check=False, cwd=site.folder)


def sql(site: Deployment, statement: str, database: str = "dagster") -> str:
    return site.compose("exec", "-T", "postgres", "psql", "-U", "dagster", "-XAtc", statement, database).strip()


def assert_runs(site: Deployment, image: str) -> None:
    """Every service is healthy, and ours are of that image."""
    for service in SERVICES:
        wait_until(f"{service} is healthy", lambda service=service: site.is_healthy(service), 600, every=1)
    assert {site.inspect(site.container(service))["Config"]["Image"] for service in OURS} == {image}


@pytest.fixture(scope="module")
def backed_up(site: Deployment) -> str:
    """A run of the nightly backup's job."""
    run_id = site.launch("back_up")
    assert site.end_of(run_id) == "SUCCESS"
    return run_id


def test_the_backup_s_run_reaches_the_storage_and_the_host_s_folder(site: Deployment, backed_up: str) -> None:
    """Found out on the day of the restore: the run's container has no pg_dump, no password, or no folder."""
    observed = site.python(OBSERVED.format("dagster_backup"))
    assert observed["run"] == backed_up
    (dump,) = site.backups.glob("*.dump")
    assert observed["told"]["backup"] == f"/backups/{dump.name}"
    assert dump.stat().st_size == observed["told"]["bytes"] > 10_000


def test_housekeeping_removes_failed_runs_containers_and_images_without_a_name(site: Deployment) -> None:
    """They fill the host's disk, and no run may reach the engine: the launcher does it, and tells of it in the run."""
    failed = site.launch("restore_work", **{"dagster/partition": "W1NLM9999"})
    assert site.end_of(failed) == "FAILURE"

    def has_ended() -> bool:
        (container,) = site.run_containers(f"label=dagster/run_id={failed}")
        state = site.inspect(container)["State"]
        return bool(state["Status"] == "exited" and ended_at(state["FinishedAt"]))

    wait_until("the failed run's container ends", has_ended, 60)
    nameless = derived(None, IMAGE, f"LABEL made.by={site.project}\n")
    kept = derived(f"{GOOD}-kept", IMAGE, "LABEL has=a-name\n")
    try:
        house = site.launch("housekeeping")
        assert site.end_of(house) == "SUCCESS"

        def told_by_launcher() -> dict[str, Any] | None:
            events = site.python(ENGINE_EVENTS.format(house))
            assert not [message for message, _ in events if "Not all was pruned" in message]
            return next((metadata for _, metadata in events if "containers: removed" in metadata), None)

        # The run does not wait for its launcher, which prunes after it has started it.
        told = wait_until("the launcher tells what it pruned", told_by_launcher, 600, every=2)
        assert told
        assert site.run_containers(f"label=dagster/run_id={failed}") == []
        assert run("docker", "image", "inspect", nameless, check=False).returncode != 0, told
        assert run("docker", "image", "inspect", kept).stdout, "an image with a name stays"
    finally:
        run("docker", "image", "rm", "-f", f"{GOOD}-kept")
    assert told["containers: removed"] >= 1
    assert told["images: removed"] >= 1
    observed = site.python(OBSERVED.format("housekeeping"))
    assert observed["run"] == house
    assert observed["told"]["run logs: oldest kept"] > 0


def test_an_upgrade_waits_for_runs_and_names_those_that_take_too_long(site: Deployment, backed_up: str) -> None:
    """Runs go on while the daemon is stopped; a migration under them spoils what they write."""
    set_status = f"update runs set status = '{{}}' where run_id = '{backed_up}'"  # noqa: S608 - both are ours
    # Else the daemon finds before it is stopped that this run has no container any more.
    site.compose("stop", "daemon")
    sql(site, set_status.format("STARTED"))
    try:
        refused = upgrade(site, "--wait", "0", GOOD)
    finally:
        sql(site, set_status.format("SUCCESS"))
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert f"    back_up ({backed_up}), started since 20" in refused.stdout
    assert "nothing else was touched" in refused.stdout
    assert_runs(site, IMAGE)


def test_an_upgrade_brings_the_new_image_with_the_old_data(site: Deployment, backed_up: str) -> None:
    """The one documented way."""
    runs = sql(site, "select count(*) from runs")
    done = upgrade(site, GOOD, "sh", "-c", "echo '# of the new version' >>config/site.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9.9.9" in done.stdout
    assert_runs(site, GOOD)
    assert sql(site, "select count(*) from runs") == runs
    assert "# of the new version" in (site.folder / "config/site.toml").read_text()
    assert upgrade(site, GOOD).stdout == f"{GOOD} runs already.\n"
    after = site.launch("back_up")
    assert site.end_of(after) == "SUCCESS"
    (container,) = site.run_containers(f"label=dagster/run_id={after}")
    assert site.inspect(container)["Config"]["Image"] == GOOD


def test_an_upgrade_whose_code_server_does_not_come_up_is_taken_back_with_its_data(site: Deployment) -> None:
    """The old version must run again, with a storage that no newer version has touched."""
    assert_runs(site, GOOD)
    runs = sql(site, "select count(*) from runs")
    before = {path: path.read_bytes() for path in (site.folder / ".env", site.folder / "config/site.toml")}
    done = upgrade(site, BAD, "sh", "-c", "echo 'broken' >config/workspace.yaml.new; echo '#' >>config/site.toml")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "this version does not serve" in done.stdout
    assert f"{GOOD} runs again" in done.stdout
    assert_runs(site, GOOD)
    assert {path: path.read_bytes() for path in before} == before
    assert sql(site, "select count(*) from runs") == runs
    mark = "select count(*) from information_schema.tables where table_name = 'of_the_new_version'"
    assert sql(site, mark) == "0"
    (kept,) = sql(site, "select datname from pg_database where datname like 'dagster_before_%'").split()
    assert sql(site, mark, kept) == "1", "what the new version had is kept, until a person removes it"
    assert kept in done.stdout
    assert site.end_of(site.launch("back_up")) == "SUCCESS"


def test_no_secret_is_in_what_an_upgrade_leaves(site: Deployment) -> None:
    """Its log is what one sends to somebody who is to help."""
    left: dict[str, Any] = {
        str(path): path.read_text(errors="replace") for path in (site.folder / ".upgrade").rglob("*") if path.is_file()
    }
    assert json.dumps(sorted(left)).count("log")
    assert [
        (what, name) for what, secret in site.secrets.items() for name, text in left.items() if secret in text
    ] == []
