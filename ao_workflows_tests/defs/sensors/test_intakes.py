"""What the sensors of all intakes have in common: the guard, run keys of any sensor, and the result of a tick."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster._core.storage.tags import RUN_KEY_TAG, SENSOR_NAME_TAG
from dagster._core.test_utils import create_run_for_test

from ao_workflows.defs.sensors import intakes
from ao_workflows.errors import WrongEnvironment
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse
from ao_workflows.site.sections import Site
from ao_workflows.staging.staging import Staging
from ao_workflows.works.parts import Part


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return parse(demo_site(tmp_path, endpoint_url="http://127.0.0.1:9"), {})


def a_sensor(site: Site, ticks: list[str]) -> dg.SensorDefinition:
    (name, intake), *_ = site.queues.items()

    @intakes.sensor_of(name, intake, site, "Looks.")
    def tick(context: dg.SensorEvaluationContext, staging: Staging) -> dg.SensorResult:
        ticks.append(staging.root)
        return intakes.requested(name, [], "nothing found", "")

    return tick


def look(sensor: dg.SensorDefinition, staging: Path) -> None:
    resources = {"staging": Staging(root=str(staging))}
    with dg.instance_for_test() as instance, dg.build_sensor_context(instance, resources=resources) as context:
        sensor(context)


def test_an_intake_of_another_environment_is_refused_before_its_tick_begins(site: Site, tmp_path: Path) -> None:
    """A trial of a new site ate production's messages."""
    ticks: list[str] = []
    sensor = a_sensor(site.model_copy(update={"environment": "prod"}), ticks)
    with pytest.raises(WrongEnvironment):
        look(sensor, tmp_path)
    assert ticks == []


def test_a_tick_is_given_its_resources_and_is_started_by_nobody_but_the_demo(site: Site, tmp_path: Path) -> None:
    """The guard stands between Dagster and the tick, whose parameters Dagster must still see."""
    ticks: list[str] = []
    sensor = a_sensor(site, ticks)
    look(sensor, tmp_path)
    assert ticks == [str(tmp_path)]
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    elsewhere = a_sensor(site.model_copy(update={"environment": "dev"}), ticks)
    assert elsewhere.default_status is dg.DefaultSensorStatus.STOPPED


def test_a_run_that_another_sensor_asked_for_counts() -> None:
    """Dagster keeps run keys apart by sensor: an intake that is renamed would do all of its works again."""
    with dg.instance_for_test() as instance:
        create_run_for_test(instance, tags={RUN_KEY_TAG: "its event", SENSOR_NAME_TAG: "former_intake"})
        assert intakes.has_run(instance, "its event")
        assert not intakes.has_run(instance, "another event")


def test_a_work_that_is_requested_twice_in_a_tick_is_added_once() -> None:
    """Two events of one work may come in one tick; each has a run of its own."""
    whole, group = Part("W1", "W1"), Part("W1", "W1-I1")
    events = [(whole, SimpleNamespace(identity="first")), (group, SimpleNamespace(identity="second"))]
    result = intakes.requested("fpl", events, "2 runs requested", "cursor")
    assert [request.run_key for request in result.run_requests or ()] == ["first", "second"]
    assert [request.tags.get("ao/part") for request in result.run_requests or ()] == [None, "W1-I1"]
    (added,) = result.dynamic_partitions_requests or ()
    assert added.partition_keys == ["W1"]
    assert result.skip_reason is None
