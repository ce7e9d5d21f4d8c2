"""The bill of materials: what is installed, in the form that scanners read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ao_workflows_tests.conftest import CHECKOUT, skip_or_fail

SBOM = CHECKOUT / "docker/image/sbom"


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SBOM, *words], capture_output=True, text=True, check=False)


def test_it_has_each_package_once_with_the_address_that_scanners_look_up() -> None:
    """A scanner passes over what has no purl, and calls a site safe."""
    first, again = run(sys.prefix), run(sys.prefix)
    assert first.stdout == again.stdout
    bill: Any = json.loads(first.stdout)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    purls = [each["purl"] for each in bill["components"]]
    assert len(purls) == len(set(purls)) > 50
    assert "pkg:pypi/dagster@1.13.27" in purls
    assert any(purl.startswith("pkg:pypi/psycopg2-binary@") for purl in purls)
    assert {each["bom-ref"] for each in bill["components"]} == set(purls)


def test_without_an_environment_it_is_of_the_image_and_has_debian_s_packages() -> None:
    """rsync moves every byte into the archive, and is in no list of Python's."""
    if not Path("/usr/bin/dpkg-query").exists():
        skip_or_fail("this is no Debian")
    purls = [each["purl"] for each in json.loads(run().stdout)["components"]]
    assert any(purl.startswith("pkg:deb/debian/rsync@") and "arch=" in purl for purl in purls)


def test_a_folder_that_is_no_environment_is_refused(tmp_path: Path) -> None:
    """An empty bill would be taken for one of a site without any package."""
    done = run(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{tmp_path} is no virtual environment" in done.stderr
