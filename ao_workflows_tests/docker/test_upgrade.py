"""``docker/upgrade`` without an engine: the order of its steps, and where it stands when it is killed at each.

The engine here is a stand-in that writes down what it is asked; the storage's part is tried on a real PostgreSQL in
``cli/test_backup.py``, and all of it on a real engine in ``stack/test_upgrade.py``.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from ao_workflows.deployment.plan import digest_of
from ao_workflows_tests.cli.test_deploy import UID, Folder

CHECKOUT = Path(__file__).resolve().parents[2]
OLD, NEW = "ao-workflows:0.1.0", "ao-workflows:0.2.0"
BACKUP = "dagster-20261121T021500Z.dump"

ENGINE = f"""\
#!/bin/sh
# What is asked is written down. A file `fail` has a pattern: what matches fails; a file `die`: what matches kills all.
said="$(basename "$0") $*"
image=$(sed -n 's/^AO_IMAGE=//p' .env)
echo "$said" >>"$ENGINE/asked"
if [ -s "$ENGINE/hang" ] && echo "$said" | grep -q -f "$ENGINE/hang"; then : >"$ENGINE/hangs"; exec sleep 100; fi
if [ -s "$ENGINE/die" ] && echo "$said" | grep -q -f "$ENGINE/die"; then kill -9 0; fi
if [ -s "$ENGINE/fail" ] && echo "$image $said" | grep -q -f "$ENGINE/fail"; then echo "it failed"; exit 1; fi
case $said in
    "docker compose "*) exit 1 ;;
    "docker ps "*=com.docker.compose.service=* | *"label=com.docker.compose.service="*)
        echo "$said" | sed 's/.*com.docker.compose.service=/c-/' ;;
    "docker ps "*) printf 'c-%s\\n' postgres code webserver viewer daemon proxy ;;
    "docker image inspect -f {{{{.Id}}}}"*) echo "id of {OLD}" ;;
    "docker image inspect"*) case $said in *unknown*) exit 1 ;; *) echo 0.0 ;; esac ;;
    *"inspect -f {{{{.Image}}}}"*) echo "id of {OLD}" ;;
    *State.Health*) if [ -s "$ENGINE/sick" ] && echo "$image $said" | grep -q -f "$ENGINE/sick"; then
        echo "unhealthy 3"; else echo "healthy 0"; fi ;;
    *compose.project*) echo site ;;
    *.Config.Image*)
        case $said in *c-postgres) echo "postgres:15 postgres" ;; *c-proxy) echo "haproxy:2.6 proxy" ;;
            *) echo "{OLD} ${{said##*c-}}" ;; esac ;;
    *compose.service*) for word; do case $word in c-*) echo "${{word#c-}}" ;; esac; done ;;
    "docker-compose ps -q code") echo c-code ;;
    "docker-compose config --services") sed -n 's/^  \\([a-z-]*\\):.*/\\1/p' docker-compose.yml ;;
    *psql*) cat "$ENGINE/runs" ;;
    *"ao backup --to"*) echo "/backups/{BACKUP}: 1.0 MB, read again" ;;
    *"ao backup restore"*) echo "What was there until now is the database dagster_before: dropdb it" ;;
esac
"""


@dataclass
class Site:
    """A deployment's folder, and the engine that it is told of."""

    folder: Path
    engine: Path

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """In a session of its own: the stand-in kills the group."""
        environment = {"PATH": f"{self.engine}:/usr/bin:/bin", "ENGINE": str(self.engine)}
        command = [self.folder / "upgrade", *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, text=True, stdout=pipe, stderr=pipe, start_new_session=True)

    def upgrade(self, *words: str) -> subprocess.CompletedProcess[str]:
        begun = self.begin(*words)
        out, err = begun.communicate(timeout=120)
        return subprocess.CompletedProcess(words, begun.returncode, out, err)

    def set(self, what: str, pattern: str = "") -> None:
        (self.engine / what).write_text(f"{pattern}\n" if pattern else "")

    @property
    def asked(self) -> list[str]:
        return (self.engine / "asked").read_text().splitlines()

    def steps(self, *words: str) -> list[str]:
        """Which of these words were in what the engine was asked, in their order."""
        return [word for line in self.asked for word in words if word in line]

    @property
    def image(self) -> str:
        (line,) = [each for each in (self.folder / ".env").read_text().splitlines() if each.startswith("AO_IMAGE=")]
        return line.removeprefix("AO_IMAGE=")


def with_engine(folder: Path, engine: Path) -> Site:
    made = Site(folder, engine)
    engine.mkdir()
    for name in ("docker", "docker-compose"):
        (engine / name).write_text(ENGINE)
        (engine / name).chmod(0o755)
    for name in ("runs", "die", "hang", "fail", "sick"):
        made.set(name)
    return made


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = with_engine(tmp_path / "site", tmp_path / "engine")
    (made.folder / "config").mkdir(parents=True)
    (made.folder / ".env").write_text(f"# ours\nAO_IMAGE={OLD}\nBACKUPS={tmp_path}/backups\n")
    (made.folder / "docker-compose.yml").write_text("services:\n  code: {}\n  viewer: {}\n  viewer-code: {}\n")
    (made.folder / "config/site.toml").write_text("the old\n")
    shutil.copy(CHECKOUT / "docker/upgrade", made.folder)
    return made


STEPS = ("stop -t 60 daemon", "psql", "ao backup --to", "import ao_workflows", "ao archive init", "instance migrate",
         "recreate code", "recreate daemon")  # fmt: skip


def test_nothing_is_migrated_that_is_not_backed_up_or_under_a_run(site: Site) -> None:
    """The order is all of it."""
    done = site.upgrade(NEW)
    assert done.returncode == 0, done.stdout + done.stderr
    assert site.steps(*STEPS) == list(STEPS)
    assert f"Upgraded to {NEW}. The backup of before is {BACKUP}" in done.stdout
    assert site.image == NEW
    assert (site.folder / ".env").read_text().startswith("# ours\n")
    again = site.upgrade("--status")
    assert "No upgrade is under way" in again.stdout


@pytest.mark.parametrize("at", STEPS)
def test_killed_anywhere_it_says_where_it_stands_and_goes_on(site: Site, at: str) -> None:
    """A connection to the host that breaks, at night, half-way."""
    site.set("die", at)
    assert site.upgrade(NEW).returncode == -signal.SIGKILL
    site.set("die")
    status = site.upgrade("--status")
    assert f"An upgrade from {OLD} to {NEW} stands at: " in status.stdout
    assert f"./upgrade {NEW}" in status.stdout
    assert site.upgrade("ao-workflows:0.3.0").returncode == 2, "it is another one that stands there"
    done = site.upgrade(NEW)
    assert done.returncode == 0, done.stdout + done.stderr
    assert site.image == NEW
    migrations = len(site.steps("instance migrate"))
    last_backup = max(number for number, line in enumerate(site.asked) if "ao backup --to" in line)
    first_migration = min(number for number, line in enumerate(site.asked) if "instance migrate" in line)
    assert last_backup < first_migration, "the backup must be of what was before"
    assert migrations == (1 if at in STEPS[:5] else 2)


@pytest.mark.parametrize("at", ["psql", "ao backup --to", "instance migrate"])
def test_interrupted_by_a_person_it_stops_there_and_says_so(site: Site, at: str) -> None:
    """Ctrl-C ends what is under way, which must not be taken for a step that failed."""
    site.set("hang", at)
    begun = site.begin(NEW)
    until = time.monotonic() + 60
    while not (site.engine / "hangs").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(begun.pid, signal.SIGINT)
    said, _ = begun.communicate(timeout=60)
    assert begun.returncode == 3, said
    assert f"An upgrade from {OLD} to {NEW} stands at: " in said
    assert "Going back" not in said
    site.set("hang")
    assert site.upgrade(NEW).returncode == 0


@pytest.mark.parametrize("at", STEPS)
def test_killed_anywhere_it_goes_back(site: Site, at: str) -> None:
    """Half an upgrade must never be the end."""
    site.set("die", at)
    changing = ("sh", "-c", "echo the new > config/site.toml; echo '#' >> upgrade")
    assert site.upgrade(NEW, *changing).returncode == -signal.SIGKILL
    site.set("die")
    done = site.upgrade("--back")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{OLD} runs again" in done.stdout
    assert site.image == OLD
    assert (site.folder / "config/site.toml").read_text() == "the old\n"
    assert (site.folder / "upgrade").read_text() == (CHECKOUT / "docker/upgrade").read_text()
    assert bool(site.steps("ao backup restore")) is (at in STEPS[5:])
    assert "recreate daemon" in site.asked[-1] or "State.Health" in site.asked[-1]
    assert "No upgrade is under way" in site.upgrade("--status").stdout


@pytest.mark.parametrize(
    ("fault", "pattern", "said"),
    [
        ("fail", "ao backup --to", "no backup could be made"),
        (
            "fail",
            f"^{NEW}.*up -d --no-deps postgres",
            "the storage's service does not run as the new docker-compose.yml",
        ),
        ("fail", f"^{NEW}.*import ao_workflows", "the new version does not take this site: it failed"),
        ("fail", f"^{NEW}.*ao archive init", "not every share of the archive is set up: it failed"),
        ("fail", "instance migrate", "the storage cannot be migrated"),
        ("sick", f"^{NEW}.*c-code", "code is unhealthy, after 3 restarts"),
        ("sick", f"^{NEW}.*c-daemon", "daemon is unhealthy, after 3 restarts"),
    ],
)
def test_what_fails_is_taken_back(site: Site, fault: str, pattern: str, said: str) -> None:
    """Nobody is there at night to do it."""
    site.set(fault, pattern)
    done = site.upgrade(NEW)
    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stdout
    assert f"{OLD} runs again" in done.stdout
    assert site.image == OLD
    assert bool(site.steps("ao backup restore")) is bool(site.steps("instance migrate"))


def test_with_ao_deploy_the_folder_is_the_new_version_s_and_after_a_failure_the_old_one_s(tmp_path: Path) -> None:
    """The documented line: an image and a docker-compose.yml of two versions do not go together."""
    folder = Folder(tmp_path)
    assert folder.deploy().exit_code == 0
    compose, record = folder.dest / "docker-compose.yml", folder.dest / ".deployed.json"
    new = compose.read_text()
    old = "# of the old version\nservices: {}\n"
    compose.write_text(old)
    record.write_text(json.dumps(json.loads(record.read_text()) | {compose.name: digest_of(old.encode())}))
    site = with_engine(folder.dest, tmp_path / "engine")
    ao = str(Path(sys.executable).with_name("ao"))
    words = (NEW, ao, "deploy", "--dest", ".", "--env", "dev", "--uid", str(UID), "--secrets", str(folder.source))
    site.set("sick", f"^{NEW}.*c-code")
    done = site.upgrade(*words)
    assert done.returncode == 1, done.stdout + done.stderr
    assert compose.read_text() == old
    site.set("sick")
    done = site.upgrade(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "updated            docker-compose.yml" in done.stdout
    assert compose.read_text() == new
    assert site.image == NEW


def test_the_storage_is_in_the_new_version_s_networks_before_it_is_migrated(site: Site) -> None:
    """What migrates it is in those already, and would not find it: each such upgrade went back."""
    assert site.upgrade(NEW).returncode == 0
    words = ("ao backup --to", "up -d --no-deps postgres", "import ao_workflows", "instance migrate")
    assert site.steps(*words)[:4] == list(words)


def test_the_archivists_code_server_begins_before_their_page_and_goes_with_the_version_that_has_it(site: Site) -> None:
    """A version without it has their page ask another one: there would be a page without works, or a server of none."""
    compose = site.folder / "docker-compose.yml"
    new, old = compose.read_text(), "services:\n  code: {}\n  viewer: {}\n"
    compose.write_text(old)
    (site.folder / "new.yml").write_text(new)
    bring = (NEW, "cp", "new.yml", compose.name)
    site.set("sick", f"^{NEW}.*c-viewer$")
    assert site.upgrade(*bring).returncode == 1
    assert compose.read_text() == old
    begun = "up -d --no-deps --force-recreate "
    words = (f"{begun}code viewer-code", f"{begun}viewer webserver", "rm -f c-viewer-code", f"{begun}code")
    assert site.steps(*words) == [
        f"{begun}code viewer-code", f"{begun}code", f"{begun}viewer webserver", "rm -f c-viewer-code", f"{begun}code",
        f"{begun}viewer webserver",
    ]  # fmt: skip
    site.set("sick")
    assert site.upgrade(*bring).returncode == 0
    assert site.steps(f"{begun}code viewer-code", "rm -f c-viewer-code")[-1] == f"{begun}code viewer-code"


def test_a_command_that_fails_is_taken_back_and_nothing_is_migrated(site: Site) -> None:
    """``ao deploy`` ends so where an operator's edit and the new version's file differ."""
    done = site.upgrade(NEW, "sh", "-c", "echo the new > config/site.toml; exit 1")
    assert done.returncode == 1
    assert "the command failed: sh -c" in done.stdout
    assert (site.folder / "config/site.toml").read_text() == "the old\n"
    assert site.steps("instance migrate", "ao backup restore") == []


def test_a_run_under_way_is_waited_for_and_told_and_its_daemon_comes_back(site: Site) -> None:
    """A run that writes while its tables change."""
    site.set("runs", "W1NLM4700 (0a1b), started since 2026-11-21 02:00 UTC")
    done = site.upgrade("--wait", "0", NEW)
    assert done.returncode == 1
    assert "    W1NLM4700 (0a1b), started since 2026-11-21 02:00 UTC" in done.stdout
    assert "The daemon runs again, and nothing else was touched" in done.stdout
    assert site.steps("ao backup --to", "instance migrate", "force-recreate", "up -d --no-deps daemon") == [
        "up -d --no-deps daemon"
    ]
    site.set("runs")
    assert site.upgrade(NEW).returncode == 0


def test_where_the_way_back_fails_a_person_is_told_what_to_do(site: Site) -> None:
    """The worst night: the new one does not run, and the backup cannot be put back."""
    site.set("fail", "instance migrate\\|ao backup restore")
    done = site.upgrade(NEW)
    assert done.returncode == 3
    assert f"the storage cannot be put back from {BACKUP}" in done.stdout
    assert "Go back: ./upgrade --back" in done.stdout
    site.set("fail")
    assert site.upgrade(NEW).returncode == 2, "on the way back there is no way forward"
    assert site.upgrade("--back").returncode == 1
    assert site.image == OLD


def test_two_at_once_are_one(site: Site) -> None:
    """Two people who are called by the same alarm."""
    (site.folder / ".upgrade").mkdir()
    with (site.folder / ".upgrade/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = site.upgrade(NEW)
    assert refused.returncode == 2
    assert "another upgrade is under way here" in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "which image?"),
        (("--fast", NEW), "--fast is no option"),
        (("--wait", "soon", NEW), "--wait takes minutes"),
        (("ao-workflows:unknown",), "there is no image ao-workflows:unknown here"),
        (("a; rm -rf /",), "is no image's name"),
        (("--back",), "no upgrade is under way"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_stopped(site: Site, words: tuple[str, ...], said: str) -> None:
    """A misspelt line must cost nothing."""
    refused = site.upgrade(*words)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert not (site.engine / "asked").exists() or site.steps("stop") == []


def test_the_image_that_runs_is_no_upgrade(site: Site) -> None:
    """The same line twice."""
    done = site.upgrade(OLD)
    assert done.returncode == 0
    assert done.stdout == f"{OLD} runs already.\n"
    assert site.steps("stop") == []


def test_the_script_is_without_fault_to_shellcheck_and_its_help_names_every_word() -> None:
    """An unquoted path with a space in it; an option that nobody can find."""
    subprocess.run(["shellcheck", CHECKOUT / "docker/upgrade"], check=True)
    shown = subprocess.run([CHECKOUT / "docker/upgrade", "--help"], capture_output=True, text=True, check=True).stdout
    for word in ("--wait", "--patience", "--status", "--back", "IMAGE", "COMMAND"):
        assert word in shown
