"""What is shown of dagster.yaml is what can hold no secret."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
import yaml

from ao_workflows.instance.shown_settings import SHOWN, shown_settings

CHECKOUT = Path(__file__).resolve().parents[2]
WORD = secrets.token_hex(8)


def test_operators_still_read_how_many_runs_go_at_once_and_who_executes_them() -> None:
    """Without them, the page's configuration would say nothing that anyone looks for there."""
    queue = {"module": "dagster", "class": "QueuedRunCoordinator", "config": {"max_concurrent_runs": 2}}
    launcher = {"module": "ours", "class": "ChosenLauncher", "config": {"env_vars": [f"TOKEN={WORD}"]}}
    shown = shown_settings(
        {
            "run_coordinator": queue,
            "run_launcher": launcher,
            "run_monitoring": {"enabled": True},
            "run_storage": "Sqlite",
        }
    )
    assert shown == {
        "run_coordinator": queue,
        "run_launcher": "ChosenLauncher",
        "run_monitoring": {"enabled": True},
        "run_storage": "Sqlite",
    }


@pytest.mark.parametrize(
    "section",
    [
        {"postgres": {"postgres_url": f"postgresql://dagster:{WORD}@db/dagster"}},
        {"module": "ours", "class": "ComputeLogs", "config": {"key": WORD}},
        [f"TOKEN={WORD}"],
        f"postgresql://dagster:{WORD}@db/dagster",
        None,
    ],
    # The word is another in each process that collects.
    ids=["postgres", "a class", "a list", "a text", "nothing"],
)
def test_a_section_that_nobody_has_thought_of_is_not_shown(section: object) -> None:
    """A later Dagster has more sections, and shows each of them."""
    assert WORD not in str(shown_settings({"of_a_later_dagster": section}))


@pytest.mark.parametrize("path", ["docker/config/dagster.yaml", "docker/kubernetes/dagster.yaml"])
def test_no_section_that_is_shown_names_a_file_an_address_or_a_variable_of_a_secret(path: str) -> None:
    """Whoever adds to these files must see on which side of the choice it falls."""
    settings = yaml.safe_load((CHECKOUT / path).read_text())
    shown = yaml.safe_dump({name: section for name, section in settings.items() if name in SHOWN})
    assert {"run_coordinator", "run_monitoring", "run_retries", "retention"} <= settings.keys() & SHOWN
    assert "://" not in shown
    assert "/run/secrets" not in shown
    assert "DAGSTER_STORAGE" not in shown
