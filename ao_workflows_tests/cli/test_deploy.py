"""``ao deploy``: the folder that compose runs from, what an update changes there, and which secrets get into it."""

from __future__ import annotations

import os
import secrets
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ao_workflows.cli import main
from ao_workflows.site.sections import CHECKOUT

UID = os.geteuid() or 5000
SITE = """\
environment = "{environment}"
aws_credentials = "/run/secrets/aws"

[staging]
root = "/staging"

[[intake]]
name = "fpl"
queue = "FplReadyToIntake"
bucket = "glacier.staging.fpl"
region = "ap-northeast-2"
aws_profile = "ap_northeast"
environment = "{intake}"

[archive]
parent = "/mnt/Archive"

[sync]
script = "syncOneWork.sh"

[drs]
config = "{section}:/run/secrets/db_apps"
"""


class Folder:
    """A source folder with secrets of its own, and the folder that is deployed."""

    def __init__(self, root: Path, environment: str = "dev", intake: str = "dev", section: str = "qa") -> None:
        self.dest, self.source = root / "ao", root / "source"
        self.source.mkdir(parents=True)
        self.passwords = {name: secrets.token_hex(8) for name in ("prod", "qa", "ap_northeast", "us_east", "default")}
        word = self.passwords
        (self.source / "site.toml").write_text(SITE.format(environment=environment, intake=intake, section=section))
        (self.source / "sync.yml").write_text("audit: {pre: [], post: []}\n")
        (self.source / "db_apps.config").write_text(
            "[prod]\nserver = drs_prod\n[qa]\nserver = drs_qa\n[mysql]\nmySqlCnfPath = /run/secrets/drs_cnf\n"
        )
        (self.source / "drs.config").write_text(
            f"[drs_prod]\npassword={word['prod']}\n[drs_qa]\n# the copy\npassword={word['qa']}\nuser=drs\n"
        )
        (self.source / "aws-credentials").write_text(
            "".join(
                f"[{name}]\naws_secret_access_key = {word[name]}\n" for name in ("default", "ap_northeast", "us_east")
            )
        )
        self.passwords |= {"anna": secrets.token_hex(8)}
        (self.source / "people").write_text(
            f"# who\nanna operator {self.passwords['anna']}\ntenzin archivist $6$salt$hash\n"
        )
        (self.source / "id_rsa").write_text("of nobody's business here")

    def deploy(self, *words: str, env: str = "dev", uid: int | None = UID) -> Result:
        given = ["deploy", "--dest", str(self.dest), "--env", env, "--source", str(self.source), *words]
        given += ["--secrets", str(self.source)] + ([] if uid is None else ["--uid", str(uid)])
        return CliRunner().invoke(main, given)

    def text(self, path: str) -> str:
        return (self.dest / path).read_text()

    def everything(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(self.dest.rglob("*")) if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_new_folder_has_what_compose_runs_from(folder: Folder) -> None:
    """Compose starts from this folder alone: what is missing in it fails at night, one container after the other."""
    result = folder.deploy()
    assert result.exit_code == 0, result.output
    files = {path.relative_to(folder.dest).as_posix() for path in folder.dest.rglob("*") if path.is_file()}
    assert files == {
        ".deployed.json", ".env", "docker-compose.yml", "config/site.toml", "config/sync.yml", "config/dagster.yaml",
        "config/workspace.yaml", "upgrade", "proxy/haproxy.cfg", "certificates/proxy.pem", "secrets/postgres-password",
        "secrets/pgpass", "secrets/viewer-pgpass", "secrets/redis-password", "secrets/mariadb-password",
        "secrets/db_apps.config", "secrets/drs.config", "secrets/aws-credentials", "secrets/compute-logs",
        "secrets/proxy_users",
    }  # fmt: skip
    assert all(f" {path}\n" in result.output for path in files - {".deployed.json"})
    env = dict(line.split("=", 1) for line in folder.text(".env").splitlines())
    assert env["ARCH_ROOT"] == "/mnt"
    assert env["SYNC_ACCESS_UID"] == str(UID)
    assert [Path(env[name]).is_dir() for name in ("STAGING", "LOGS", "PROCESSING")] == [True] * 3
    assert folder.text("docker-compose.yml") == (CHECKOUT / "docker-compose.yml").read_text()
    assert os.access(folder.dest / "upgrade", os.X_OK)


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files to another user takes root")
def test_what_is_made_belongs_to_the_user_that_syncs(folder: Folder) -> None:
    """A run that may not read its secrets, or not write to staging, fails at its first work."""
    assert folder.deploy(uid=None).exit_code == 0
    owners = {path: path.stat().st_uid for path in [folder.dest, *folder.dest.rglob("*")]}
    assert set(owners.values()) == {5000}
    assert "SYNC_ACCESS_UID=5000\n" in folder.text(".env")


def test_the_user_of_production_is_1001_unless_another_one_is_said(tmp_path: Path) -> None:
    """The archive's trees belong to that user: another one could not write there."""
    folder = Folder(tmp_path, "prod", "prod", "prod")
    if os.geteuid() == 0:
        pem = tmp_path / "proxy.pem"
        pem.write_text("a certificate")
        assert folder.deploy("--certificate", str(pem), env="prod", uid=None).exit_code == 0
        assert "SYNC_ACCESS_UID=1001\n" in folder.text(".env")
    else:
        assert "belong to the user 1001: run this as root" in folder.deploy(env="prod", uid=None).output


def test_secrets_are_copied_by_name_and_section_and_only_their_user_can_read_them(folder: Folder) -> None:
    """Each secret more in a folder is one more that leaks with it."""
    assert folder.deploy("--aws-section", "us_east").exit_code == 0
    for path in (folder.dest / "secrets").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert stat.S_IMODE((folder.dest / "secrets").stat().st_mode) == 0o700
    words = folder.passwords
    assert folder.text("secrets/drs.config") == f"[drs_qa]\n# the copy\npassword={words['qa']}\nuser=drs\n"
    assert "[prod]" not in folder.text("secrets/db_apps.config")
    credentials = folder.text("secrets/aws-credentials")
    assert [words[name] in credentials for name in ("ap_northeast", "us_east", "default")] == [True, True, False]
    assert not (folder.dest / "secrets/id_rsa").exists()


def test_who_keeps_compute_logs_on_s3_gives_the_pages_keys_of_their_own(folder: Folder) -> None:
    """With those of the runs, a web page could change what a run is said to have printed."""
    assert folder.deploy().exit_code == 0
    assert folder.text("secrets/compute-logs") == ""
    on_s3 = ("--set", "COMPUTE_LOGS=s3://logs/ao")
    refused = folder.deploy(*on_s3)
    assert refused.exit_code == 1
    assert f"{folder.source}/compute-logs: is missing" in refused.output
    assert "aws-credentials: has no section [compute_logs]" in refused.output
    writes, reads = secrets.token_hex(8), secrets.token_hex(8)
    with (folder.source / "aws-credentials").open("a") as out:
        out.write(f"[compute_logs]\naws_secret_access_key = {writes}\n")
    (folder.source / "compute-logs").write_text(f"[compute_logs]\naws_secret_access_key = {reads}\n[other]\n")
    assert folder.deploy(*on_s3).exit_code == 0
    assert writes in folder.text("secrets/aws-credentials")
    assert folder.text("secrets/compute-logs") == f"[compute_logs]\naws_secret_access_key = {reads}\n"
    assert "COMPUTE_LOGS must be s3://bucket/prefix" in folder.deploy("--set", "COMPUTE_LOGS=logs/ao").output


def test_people_come_in_by_the_hashes_of_their_passwords(folder: Folder) -> None:
    """A stolen list of passwords opens more than this door."""
    assert folder.deploy().exit_code == 0
    users = folder.text("secrets/proxy_users")
    assert users.startswith("userlist people\n    group operators users anna\n    group archivists users tenzin\n")
    assert "user tenzin password $6$salt$hash\n" in users
    assert "user anna password $6$" in users
    assert folder.passwords["anna"] not in users
    (folder.source / "people").write_text("anna king x\n")
    refused = folder.deploy()
    assert refused.exit_code == 1
    assert "people, line 1: must be" in refused.output


def test_a_trial_without_people_has_one_operator_whose_password_is_in_a_file(folder: Folder) -> None:
    """A trial's first login must be possible, and must not be the same everywhere."""
    (folder.source / "people").unlink()
    assert folder.deploy().exit_code == 0
    name, word = folder.text("secrets/operator").split()
    assert f"user {name} password $6$" in folder.text("secrets/proxy_users")
    assert word not in folder.text("secrets/proxy_users")
    assert "Everything is as it should be." in folder.deploy().output


def test_no_secret_is_printed_or_stands_outside_the_folder_of_secrets(folder: Folder) -> None:
    """What is printed goes into a ticket, and .env is read by everyone who may run compose."""
    result = folder.deploy()
    made_up = [folder.text(f"secrets/{name}") for name in ("postgres-password", "mariadb-password")]
    for word in [*folder.passwords.values(), *made_up]:
        assert word not in result.output
        assert not [
            path
            for path, content in folder.everything().items()
            if word.encode() in content and "/secrets/" not in path
        ]


@pytest.mark.parametrize(
    ("intake", "section", "words", "said"),
    [
        ("dev", "prod", (), "[prod] is production's"),
        ("dev", "qa", ("--db-section", "prod"), "[prod] is production's"),
        ("prod", "qa", (), "[ap_northeast] is production's"),
    ],
)
def test_a_dev_folder_gets_no_secret_of_production(
    tmp_path: Path, intake: str, section: str, words: tuple[str, ...], said: str
) -> None:
    """A trial that has them writes into production's database, or eats its queue."""
    folder = Folder(tmp_path, "dev", intake, section)
    result = folder.deploy(*words)
    assert result.exit_code == 1
    assert said in result.output
    assert not folder.dest.exists()


def test_again_changes_nothing(folder: Folder) -> None:
    """A new password for a database that has the old one would lock everything out."""
    folder.deploy()
    before = folder.everything()
    again = folder.deploy()
    assert again.exit_code == 0
    assert "Everything is as it should be." in again.output
    assert folder.everything() == before


def test_a_dry_run_says_what_would_change_and_changes_nothing(folder: Folder) -> None:
    """Who looks first must be able to."""
    result = folder.deploy("--dry-run")
    assert result.exit_code == 0
    assert "new                config/site.toml" in result.output
    assert not folder.dest.exists()


def test_what_changed_at_its_source_is_updated(folder: Folder) -> None:
    """An update that leaves the old site.toml in place is none."""
    folder.deploy()
    site = folder.source / "site.toml"
    site.write_text(site.read_text() + "\n[download]\nparallel = 8\n")
    result = folder.deploy()
    assert "updated            config/site.toml" in result.output
    assert "parallel = 8" in folder.text("config/site.toml")


def test_what_an_operator_edited_is_kept_and_said(folder: Folder) -> None:
    """The change that made the night quiet is gone with the next update, and nobody knows why."""
    folder.deploy()
    edited = folder.dest / "config/sync.yml"
    edited.write_text("sync: {web: false}\n")
    result = folder.deploy()
    assert result.exit_code == 0
    assert "kept: edited here  config/sync.yml" in result.output
    assert edited.read_text() == "sync: {web: false}\n"


def test_an_edited_file_that_has_changed_at_its_source_is_kept_with_the_new_one_beside_it(folder: Folder) -> None:
    """Neither of two wishes may win in silence."""
    folder.deploy()
    edited = folder.dest / "config/sync.yml"
    edited.write_text("sync: {web: false}\n")
    (folder.source / "sync.yml").write_text("sync: {replace: true}\n")
    result = folder.deploy()
    assert result.exit_code == 1
    assert "KEPT: edited here  config/sync.yml" in result.output
    assert edited.read_text() == "sync: {web: false}\n"
    assert folder.text("config/sync.yml.new") == "sync: {replace: true}\n"
    assert folder.deploy("--replace", "config/sync.yml").exit_code == 0
    assert edited.read_text() == "sync: {replace: true}\n"


def test_env_keeps_an_operators_lines_and_values_unless_they_are_said_anew(folder: Folder) -> None:
    """Ports, memory and comments of this host are known to this file alone."""
    folder.deploy()
    env = folder.dest / ".env"
    env.write_text("# this host\nRUN_MEMORY=8g\n" + env.read_text().replace("TZ=UTC", "TZ=Asia/Seoul"))
    result = folder.deploy("--set", "ARCH_ROOT=/archive")
    assert result.exit_code == 0
    assert folder.text(".env").startswith("# this host\nRUN_MEMORY=8g\n")
    assert "TZ=Asia/Seoul\n" in folder.text(".env")
    assert "ARCH_ROOT=/archive\n" in folder.text(".env")
    assert ".env: ARCH_ROOT: /mnt becomes /archive" in result.output
    assert ".env: TZ: Asia/Seoul is kept; the default is UTC" in result.output


def test_a_folder_of_one_environment_does_not_become_one_of_another(folder: Folder, tmp_path: Path) -> None:
    """Production on a trial's database, or the other way round, by one wrong word."""
    folder.deploy()
    other = Folder(tmp_path / "other", "prod", "prod", "prod")
    other.dest = folder.dest
    before = folder.everything()
    result = other.deploy(env="prod")
    assert result.exit_code == 1
    assert "is a dev folder" in result.output
    assert folder.everything() == before


def test_every_mistake_is_said_at_once_and_nothing_is_changed(folder: Folder) -> None:
    """Found one by one, each costs a try."""
    (folder.source / "drs.config").unlink()
    (folder.source / "aws-credentials").write_text("[default]\n")
    site = folder.source / "site.toml"
    site.write_text(site.read_text().replace('"/staging"', '"/somewhere"'))
    result = folder.deploy()
    assert result.exit_code == 1
    for said in ("staging.root must be /staging", "has no section [ap_northeast]", "drs.config: is missing"):
        assert said in result.output
    assert not folder.dest.exists()


def test_it_says_when_the_disk_refuses(folder: Folder) -> None:
    """A part of a folder looks like a whole one."""
    folder.dest.mkdir()
    (folder.dest / "config").write_text("in the way")
    result = folder.deploy()
    assert result.exit_code == 1
    assert "a part is done" in result.output
    assert str(folder.dest / "config") in result.output


def test_an_archive_for_trials_has_its_400_empty_folders(tmp_path: Path) -> None:
    """The sync script takes a missing bucket for a wrong mount."""
    words = ["deploy", "--init-archive", str(tmp_path / "archive"), "--uid", str(UID)]
    first = CliRunner().invoke(main, words)
    assert first.exit_code == 0, first.output
    made = sorted(path.relative_to(tmp_path / "archive").as_posix() for path in (tmp_path / "archive").glob("*/*"))
    assert made == [f"Archive{share}/{bucket:02}" for share in range(4) for bucket in range(100)]
    assert ": 0 folders made" in CliRunner().invoke(main, words).output


def test_killed_under_way_it_is_run_again_and_ends_right(folder: Folder) -> None:
    """Half a docker-compose.yml starts half the services."""
    program = (
        "import os, sys; from pathlib import Path; really = Path.replace; count = [0]\n"
        "def replace(self, target):\n"
        "    count[0] += 1\n"
        "    if count[0] == 6: os._exit(9)\n"
        "    return really(self, target)\n"
        "Path.replace = replace\n"
        "from ao_workflows.cli import main; main(sys.argv[1:])"
    )
    words = ["deploy", "--dest", str(folder.dest), "--env", "dev", "--source", str(folder.source)]
    words += ["--secrets", str(folder.source), "--uid", str(UID)]
    assert subprocess.run([sys.executable, "-c", program, *words], capture_output=True, check=False).returncode == 9
    assert len(list(folder.dest.rglob(".*.tmp"))) == 1
    assert folder.deploy().exit_code == 0
    assert "Everything is as it should be." in folder.deploy().output
    assert not list(folder.dest.rglob(".*.tmp"))
