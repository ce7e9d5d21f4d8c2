"""The secrets of a deployment's folder: who may come in, and what a folder of trials never gets."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ao_workflows.deployment.order import Order
from ao_workflows.deployment.secret_files import certificate_files, proxy_users, self_signed, wanted_secrets
from ao_workflows.errors import DeployError
from ao_workflows.instance.storage_reader import USER
from ao_workflows.site.loading import parse
from ao_workflows.site.sections import Site
from ao_workflows_tests.support.site_texts import WHOLE

SECTIONS = "[ap_northeast]\nkey = 1\n[default]\nkey = 2\n[other]\nkey = 3\n"
APPS = "[mysql]\nmySqlCnfPath = /run/secrets/drs_cnf\n[prod]\nserver = drs\n[more]\nserver = elsewhere\n"


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """An order for production, whose secrets are all there."""
    given = {"aws-credentials": SECTIONS, "db_apps.config": APPS, "drs.config": "[drs]\nhost = db\n[x]\n", "people": ""}
    for name, text in given.items():
        (tmp_path / name).write_text(text)
    return Order(tmp_path / "root", "prod", tmp_path, tmp_path)


@pytest.fixture
def site() -> Site:
    return parse(WHOLE, "the test's site")


def secrets(order: Order, site: Site, *, logs_on_s3: bool = False) -> tuple[dict[str, str], list[str]]:
    """What is wanted, by its name, and the mistakes."""
    mistakes: list[str] = []
    wanted = wanted_secrets(order, site, order.destination, mistakes, logs_on_s3=logs_on_s3)
    assert all(each.mode == 0o400 for each in wanted)
    return {each.path.removeprefix("secrets/"): each.content.decode() for each in wanted}, mistakes


def test_only_the_sections_that_the_site_names_are_copied(order: Order, site: Site) -> None:
    """What is not needed in the containers cannot be read there."""
    found, mistakes = secrets(order, site)
    assert mistakes == []
    assert found["aws-credentials"] == "[ap_northeast]\nkey = 1\n"
    assert found["db_apps.config"] == APPS.replace("[more]\nserver = elsewhere\n", "")
    assert found["drs.config"] == "[drs]\nhost = db\n"
    assert found["compute-logs"] == ""


def test_made_up_passwords_are_made_up_once(order: Order, site: Site) -> None:
    """PostgreSQL keeps the first one: another would lock every service out."""
    first, _ = secrets(order, site)
    (order.destination / "secrets").mkdir(parents=True)
    for name in ("postgres-password", "redis-password", "viewer-pgpass"):
        (order.destination / "secrets" / name).write_text(first[name])
    again, _ = secrets(order, site)
    assert [again[name] for name in ("postgres-password", "pgpass", "redis-password", "viewer-pgpass")] == [
        first[name] for name in ("postgres-password", "pgpass", "redis-password", "viewer-pgpass")
    ]
    assert first["postgres-password"] in first["pgpass"]
    assert first["viewer-pgpass"].startswith(f"*:*:*:{USER}:")
    assert first["postgres-password"] not in first["viewer-pgpass"]


def test_a_section_that_is_missing_is_told_with_its_file(order: Order, site: Site) -> None:
    """Else the first run fails with AWS's words for it, in the night."""
    (order.secrets / "aws-credentials").write_text("[default]\n")
    (order.secrets / "drs.config").unlink()
    _, mistakes = secrets(order, site)
    assert mistakes == [
        f"{order.secrets}/drs.config: is missing; --secrets says which folder has it",
        f"{order.secrets}/aws-credentials: has no section [ap_northeast]",
    ]


def test_a_folder_of_trials_gets_nothing_of_production_s(order: Order, site: Site) -> None:
    """The intake of this profile is production's, whatever the section is called."""
    trial = Order(order.destination, "dev", order.source, order.secrets)
    _, mistakes = secrets(trial, site)
    assert f"{order.secrets}/aws-credentials: [ap_northeast] is production's; a dev folder does not get it" in mistakes
    assert any("[prod] is production's" in each for each in mistakes)


def test_what_the_database_s_file_names_lies_where_the_containers_have_it(order: Order, site: Site) -> None:
    """A path of the host's is none in a container."""
    (order.secrets / "db_apps.config").write_text(APPS.replace("/run/secrets/drs_cnf", "/etc/my.cnf"))
    _, mistakes = secrets(order, site)
    assert len(mistakes) == 1
    assert "mySqlCnfPath must be /run/secrets/drs_cnf" in mistakes[0]
    (order.secrets / "db_apps.config").write_text("no ini\n[prod]\n[mysql]\nnor = this\nodd\n")
    assert any("is no ini file" in each or "mySqlCnfPath" in each for each in secrets(order, site)[1])


def test_compute_logs_have_a_writer_and_readers_of_their_own(order: Order, site: Site) -> None:
    """A page that may write could change what a run said."""
    (order.secrets / "aws-credentials").write_text(f"{SECTIONS}[compute_logs]\nkey = w\n")
    (order.secrets / "compute-logs").write_text("[compute_logs]\nkey = r\n")
    found, mistakes = secrets(order, site, logs_on_s3=True)
    assert mistakes == []
    assert found["compute-logs"] == "[compute_logs]\nkey = r\n"
    assert "[compute_logs]\nkey = w\n" in found["aws-credentials"]


def test_each_line_of_people_is_one_or_is_told_by_its_number(order: Order, site: Site) -> None:
    """A person who is left out in silence cannot come in; one with a wrong role could do too much."""
    (order.secrets / "people").write_text(
        "# names\n\nada operator word\nbob reader word\ncy archivist\nd:e operator w\n"
    )
    found, mistakes = secrets(order, site)
    assert [each.partition(", ")[2] for each in mistakes] == [
        f"line {number}: must be `name operator|archivist password`" for number in (4, 5, 6)
    ]
    assert "user ada password $6$" in found["proxy_users"]


def test_who_gives_no_people_keeps_those_that_are_there_and_only_a_trial_makes_one_up(order: Order, site: Site) -> None:
    """A made-up operator of production would be a way in that nobody knows of."""
    (order.secrets / "people").unlink()
    found, mistakes = secrets(order, site)
    assert "proxy_users" not in found
    assert len(mistakes) == 1
    assert "people: is missing" in mistakes[0]
    (order.destination / "secrets").mkdir(parents=True)
    (order.destination / "secrets/proxy_users").write_text("as they are")
    found, mistakes = secrets(order, site)
    assert ("proxy_users" in found, mistakes) == (False, [])


def test_passwords_are_hashed_by_the_salts_of_before_and_hashes_stay() -> None:
    """Else each update would replace the file, and restart the proxy, for nothing."""
    first = proxy_users([("ada", "operator", "word"), ("bob", "archivist", "$6$s$hash")])
    assert "word" not in first.replace("password", "")
    assert "    group operators users ada\n    group archivists users bob\n" in first
    assert "user bob password $6$s$hash\n" in first
    again = proxy_users([("ada", "operator", "word"), ("bob", "archivist", "$6$s$hash")], first)
    assert again == first
    assert proxy_users([("ada", "operator", "another")], first) not in first
    assert "    group archivists\n" in proxy_users([("ada", "operator", "word")])


def test_a_certificate_is_given_or_there_and_only_a_trial_signs_its_own(order: Order, tmp_path: Path) -> None:
    """A self-signed certificate in production teaches people to click warnings away."""
    mistakes: list[str] = []
    assert certificate_files(order, order.destination, mistakes) == []
    assert len(mistakes) == 1
    (tmp_path / "pem").write_text("given")
    given = Order(order.destination, "prod", tmp_path, tmp_path, certificate=tmp_path / "pem")
    (wanted,) = certificate_files(given, order.destination, mistakes)
    assert wanted.content == b"given"
    with pytest.raises(DeployError, match="the proxy's certificate"):
        certificate_files(
            Order(order.destination, "prod", tmp_path, tmp_path, certificate=tmp_path / "gone"), tmp_path, mistakes
        )
    (order.destination / "certificates").mkdir(parents=True)
    (order.destination / "certificates/proxy.pem").write_text("there")
    assert certificate_files(order, order.destination, mistakes) == []
    assert len(mistakes) == 1


def test_a_trial_s_certificate_is_for_this_machine_with_its_key() -> None:
    """A browser refuses one without the name that it was asked for."""
    pem = self_signed()
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-ext", "subjectAltName"], input=pem, capture_output=True, text=True, check=True
    ).stdout
    assert "DNS:localhost, IP Address:127.0.0.1" in shown
    assert "PRIVATE KEY" in pem
