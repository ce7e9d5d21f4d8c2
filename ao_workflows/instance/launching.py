"""Where runs are executed: the one setting that says it.

What belongs here: the choice. What does not: how either launcher launches.

A launcher's base classes have no public names. If they change, no process of a deployment can open its instance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import Field, StringSource
from dagster._core.launcher import LaunchRunContext, RunLauncher
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from ao_workflows.errors import StackError
from ao_workflows.instance.run_containers import RunContainers
from ao_workflows.instance.run_workers import RunWorkers

LAUNCHERS: Mapping[str, type[RunContainers | RunWorkers]] = {"containers": RunContainers, "workers": RunWorkers}


class ChosenLauncher(RunLauncher, ConfigurableClass):
    """The launcher that dagster.yaml names. It has the settings of each launcher, and ``runs_in`` says which one
    Dagster gets.
    """

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Returns the settings that the launcher has in dagster.yaml."""
        return {"runs_in": Field(StringSource, description="containers or workers")} | {
            name: Field(launcher.config_type()) for name, launcher in LAUNCHERS.items()
        }

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> RunLauncher:
        """Returns the launcher that ``runs_in`` names.

        :raises StackError: if there is none of that name.
        """
        runs_in = config_value["runs_in"]
        if runs_in not in LAUNCHERS:
            raise StackError("RUNS_IN", f"is {runs_in!r}; runs are executed in {' or '.join(LAUNCHERS)}")
        return LAUNCHERS[runs_in].from_config_value(inst_data, config_value[runs_in])

    def launch_run(self, context: LaunchRunContext) -> None:
        """Is never called: Dagster gets the chosen launcher in place of this one."""
        raise NotImplementedError("the chosen launcher does")

    def terminate(self, run_id: str) -> bool:
        """Is never called: Dagster gets the chosen launcher in place of this one."""
        raise NotImplementedError("the chosen launcher does")
