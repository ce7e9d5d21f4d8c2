"""Dagster's instance, where it cannot be opened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ao_workflows.errors import InstanceUnusable
from ao_workflows.instance.opening import opened_instance


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a: [\nb: }", r"dagster\.yaml is no YAML: while parsing.*line 2, column 4"),
        (b"a:\n\tb: c", r"dagster\.yaml is no YAML: while scanning.*line 2, column 1"),
        (b"# \xe9", r"dagster\.yaml is no YAML: 'utf-8' codec can't decode"),
        (b"- a", r"cannot be asked: .*dagster\.yaml to parse to dictionary"),
    ],
)
def test_a_dagster_yaml_that_is_none_is_named(tmp_path: Path, text: bytes, said: str) -> None:
    """`ao status` ended in a stack trace, and what DRS and the scratch disk know was not told."""
    (tmp_path / "dagster.yaml").write_bytes(text)
    with pytest.raises(InstanceUnusable, match=said), opened_instance(str(tmp_path)):
        pass


def test_a_home_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    """Dagster makes its folders as it opens: without them nothing of it can be asked."""
    (tmp_path / "dagster.yaml").touch()
    (tmp_path / "history").touch()  # as root, no permission is missing
    with pytest.raises(InstanceUnusable, match=f"the instance in {tmp_path} cannot be opened: .*history"):
        opened_instance(str(tmp_path)).__enter__()


@pytest.mark.parametrize("hidden", ["", "dagster.yaml"])
def test_a_dagster_yaml_that_may_not_be_read_is_named(tmp_path: Path, hidden: str) -> None:
    """The operator's account is often another than the services', and the trace did not say so."""
    (tmp_path / "dagster.yaml").touch()
    tmp_path.joinpath(hidden).chmod(0)
    # Root may read everything, until it is told not to.
    plain = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    ask = "import sys; from ao_workflows.instance import opening; opening.opened_instance(sys.argv[1]).__enter__()"
    try:
        words = [*plain, sys.executable, "-c", ask, tmp_path]
        said = subprocess.run(words, capture_output=True, text=True, check=False).stderr
    finally:
        tmp_path.joinpath(hidden).chmod(0o700)
    assert f"InstanceUnusable: Dagster: the instance in {tmp_path} cannot be opened: " in said
    assert said.endswith(f"Permission denied: '{tmp_path}/dagster.yaml'\n")


def test_an_error_of_the_one_who_asks_is_not_dagsters(tmp_path: Path) -> None:
    """A file that the command itself cannot open must not be told as an instance that cannot."""
    (tmp_path / "dagster.yaml").touch()
    with pytest.raises(FileNotFoundError), opened_instance(str(tmp_path)):
        (tmp_path / "nowhere").open()
