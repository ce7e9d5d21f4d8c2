"""What a run's container is given. The container itself, and its removal, are tried on an engine, in ``stack/``."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
import yaml

from ao_workflows.errors import StackError
from ao_workflows.instance.run_containers import container_name, filled_in

CHECKOUT = Path(__file__).resolve().parents[2]
CONFIG = CHECKOUT / "docker/config"


def test_settings_are_filled_in_from_the_environment() -> None:
    """A path that is written twice is changed once."""
    given = {"mounts": [{"Source": "${STAGING}/x", "ReadOnly": True}], "mem_limit": "${RUN_MEMORY}", "pids_limit": 512}
    assert filled_in(given, {"STAGING": "/data", "RUN_MEMORY": "2g"}) == {
        "mounts": [{"Source": "/data/x", "ReadOnly": True}],
        "mem_limit": "2g",
        "pids_limit": 512,
    }


def test_a_setting_that_is_missing_is_named() -> None:
    """Else the run would be given a folder that is called ``${STAGING}``."""
    with pytest.raises(StackError, match=r"'\$\{STAGING\}', and 'STAGING' is not in the environment.*set it in \.env"):
        filled_in("${STAGING}", {})


def test_a_container_is_named_for_its_work() -> None:
    """``docker ps`` is where an operator looks at night."""
    run = dg.DagsterRun("restore_work", run_id="0a1b2c3d-aaaa", tags={"dagster/partition": "W1NLM4700"})
    assert container_name(run) == "run-W1NLM4700-0a1b2c3d"
    other = dg.DagsterRun("back up/now", run_id="0a1b2c3d-aaaa")
    assert container_name(other) == "run-back-up-now-0a1b2c3d"


def test_the_two_dagster_yamls_say_the_same_of_runs_and_ticks() -> None:
    """What holds on a laptop must hold in production: one run a work, nothing retried that failed, nothing told."""
    laptop, stack = (yaml.safe_load((folder / "dagster.yaml").read_text()) for folder in (CHECKOUT, CONFIG))
    for key in ("telemetry", "nux", "retention"):
        assert laptop[key] == stack[key]
    limits = "tag_concurrency_limits"
    assert laptop["concurrency"]["runs"][limits] == stack["run_coordinator"]["config"][limits]
    assert stack["run_retries"]["retry_on_asset_or_op_failure"] is False
