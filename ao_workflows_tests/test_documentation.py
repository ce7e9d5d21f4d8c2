"""What the documentation shows is there, and works."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ao_workflows.cli.site import LIMIT_SECONDS
from ao_workflows.definitions import build
from ao_workflows.errors import AoError
from ao_workflows.instance.dagster_processes import HEARD_OF_SECONDS
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse
from ao_workflows.site.sections import FolderIntakeSection, IntakeSection, Site
from ao_workflows.staging.layout import StagingLayout

CHECKOUT = Path(__file__).resolve().parents[1]
DESIGN = (CHECKOUT / "docs/design.md").read_text()
OPERATIONS = (CHECKOUT / "docs/operations.md").read_text()
SETTINGS = (CHECKOUT / "docs/site.md").read_text()
PAGES = [CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *sorted((CHECKOUT / "docs").glob("*.md"))]


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def _commands() -> Iterator[str]:
    for page in PAGES:
        for block in _blocks(page, "console"):
            yield from (line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ "))


TARGETS = sorted(
    {target for page in PAGES for target in re.findall(r"(?:`|\$ )make ([a-z]+(?:-[a-z]+)*)", page.read_text())}
)


@pytest.mark.parametrize("target", TARGETS)
def test_each_make_target_that_is_shown_exists(target: str) -> None:
    """A stranger's first command must not end with `No rule to make target`."""
    subprocess.run(["make", "-n", target], cwd=CHECKOUT, check=True, capture_output=True)


def test_each_command_that_is_shown_is_one_that_a_test_runs() -> None:
    """A command that nobody runs is wrong after the next change."""
    tests = "".join(path.read_text() for path in (CHECKOUT / "ao_workflows_tests").rglob("test_*.py"))
    for command in set(_commands()):
        if command.startswith(("make ", "export ")):
            continue
        words = command.replace("'", "").split()
        run_as_words = words[0] == "ao" and all(f'"{word}"' in tests for word in words[1:3])
        assert run_as_words or " ".join(words[:3]) in tests, command


def test_the_readme_s_site_is_a_valid_one() -> None:
    """Who copies it must be able to start from it."""
    (text,) = _blocks(CHECKOUT / "README.md", "toml")
    assert parse(text, "README.md").environment == "dev"


def test_every_setting_is_documented_and_no_other() -> None:
    """A setting that is not in the table cannot be found; one that is gone misleads."""
    shown = set(re.findall(r"^\| `([a-z_.]+)` \|", (CHECKOUT / "docs/site.md").read_text(), re.MULTILINE))
    there = {"intake.name"}
    for name, field in Site.model_fields.items():
        keys = getattr(field.annotation, "model_fields", None)
        if name == "intake":
            keys = IntakeSection.model_fields | FolderIntakeSection.model_fields
        there |= {f"{name}.{key}" for key in keys} if keys else {name}
    assert shown == there


def test_every_setting_s_default_on_the_page_is_the_code_s() -> None:
    """An operator who reads 60 and has 20 looks for the mistake everywhere else."""
    shown = dict(re.findall(r"^\| `([a-z_.]+)` \|.*\| ([^|]+) \|$", SETTINGS, re.MULTILINE))
    fields = {"intake.name": IntakeSection.model_fields["queue"]}  # a key of the file that becomes the section's name
    for name, field in Site.model_fields.items():
        sections = [field.annotation] if name != "intake" else [FolderIntakeSection, IntakeSection]
        for section in sections:
            inner = getattr(section, "model_fields", None)
            fields |= {f"{name}.{key}": each for key, each in inner.items()} if inner else {name: field}
    assert shown.keys() == fields.keys()
    for key, field in fields.items():
        cell = shown[key]
        match field.get_default(call_default_factory=True):
            case _ if field.is_required():
                assert cell == "required", key
            case None | {}:
                assert cell != "required", key
                assert "`" not in cell, key
            case str(default):
                assert cell == f"`{default}`", key
            case default:
                assert re.sub(r" \(.*\)$", "", cell) == f"`{json.dumps(default)}`", key


def test_the_page_says_how_long_a_daemon_may_be_silent_and_a_look_may_take() -> None:
    """They are no settings, but who is woken by them wants to know them."""
    page = " ".join(SETTINGS.split())
    assert f"nothing takes longer than {LIMIT_SECONDS:g} s" in page
    assert f"has said nothing for {HEARD_OF_SECONDS} s is called silent" in page
    told = OPERATIONS.partition("| `daemon` is unhealthy |")[2].partition("|")[0]
    assert told.strip().startswith(f"it has not said for {HEARD_OF_SECONDS // 60} minutes that it is alive")


def test_every_alarm_is_explained_to_who_is_called_at_night() -> None:
    """An error, a sensor or a check that is in no table is read in the source, at three in the morning."""
    section = (CHECKOUT / "docs/operations.md").read_text().partition("\n## Alarms\n")[2]
    explained = set(re.findall(r"`([A-Za-z0-9_<>]+)`", section))
    queue = '[[intake]]\nname = "fpl"\nqueue = "q"\nbucket = "b-b"\nregion = "r"\nenvironment = "demo"\n'
    folder = '[[intake]]\nname = "drop"\nkind = "folder"\nfolder = "/drop"\nenvironment = "demo"\n'
    defs = build(parse(f"{demo_site(CHECKOUT, None)}\n{queue}{folder}", "the test's site"))
    raised = {re.sub("^(fpl|drop)_", "<name>_", each.name) for each in [*(defs.sensors or []), *(defs.schedules or [])]}
    raised |= {each.name for each in defs.resolve_all_job_defs() if not each.name.startswith("__")}
    for key in defs.resolve_asset_graph().asset_check_keys:
        raised.add(key.name)
    assert raised - explained == set()
    assert _errors(AoError) - explained == set()


def test_each_promise_names_what_holds_it_and_what_shows_it() -> None:
    """A promise that nothing holds is a wish; one whose module or test was renamed is not known to hold any more."""
    section = DESIGN.partition("\n## What is promised")[2].partition("\n## ")[0]
    promises = [" ".join(each.split()) for each in re.split(r"^- ", section, flags=re.MULTILINE)[1:]]
    assert promises
    for promise in promises:
        held, _, shown = promise.partition(" Held by ")[2].partition("; shown by ")
        modules, tests = re.findall(r"`([^`]+)`", held), re.findall(r"`([^`]+)`", shown)
        assert modules, promise
        assert tests, promise
        for module in modules:
            assert any((CHECKOUT / folder / module).is_file() for folder in ("ao_workflows", "")), module
        for test in tests:
            path, _, name = test.partition("::")
            text = (CHECKOUT / "ao_workflows_tests" / path).read_text()
            assert f"def {name or 'test_'}{'(' if name else ''}" in text, test


def test_the_layers_are_those_that_are_held() -> None:
    """A module that is in no layer of the page is looked for in vain, and the order is what a newcomer goes by."""
    block = DESIGN.partition("\n## Layers\n")[2].split("```\n")[1]
    shown = [re.split(r"\s{2,}", line)[0] for line in block.splitlines()]
    contracts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if each["type"] == "layers")
    assert shown == [layer.replace("ao_workflows.", "") for layer in layers]


def test_each_place_on_the_scratch_disk_is_in_the_table() -> None:
    """What is found on a full disk at night must be known by its name."""
    shown = set(re.findall(r"`([a-z-]+(?:/|\.json))", DESIGN.partition("\n## What is promised")[0]))
    layout = StagingLayout(Path("/staging"))
    places: list[Path] = []
    for name, place in inspect.getmembers(layout, inspect.ismethod):
        if not name.startswith("_") and name != "left_over":
            found = place(*("W1" for _ in inspect.signature(place).parameters))
            places += found if isinstance(found, tuple) else [found]
    tops = {place.relative_to("/staging").parts[0] for place in places}
    assert {top if top.endswith(".json") else f"{top}/" for top in tops} <= shown


def test_each_module_that_the_code_names_is_there() -> None:
    """A docstring says where to go on reading; the module that it names may have moved since."""
    paths = sorted((CHECKOUT / "ao_workflows").rglob("*.py"))
    code = {".".join(path.relative_to(CHECKOUT).with_suffix("").parts): path.read_text() for path in paths}
    modules = {name.removesuffix(".__init__"): text for name, text in code.items()}
    named = {(path, found) for path, text in code.items() for found in re.findall(r"``(ao_workflows(?:\.\w+)+)", text)}
    assert len(named) > 100
    for path, name in named:
        module, _, last = name.rpartition(".")
        defined = rf"^(?:(?:async )?def|class) {last}\b|^{last}\b.* = "
        assert name in modules or re.search(defined, modules.get(module, ""), re.MULTILINE), f"{path}: {name}"


def _errors(root: type[AoError]) -> set[str]:
    return {each.__name__ for each in root.__subclasses__()} | {
        name for each in root.__subclasses__() for name in _errors(each)
    }


def test_every_link_and_picture_is_there() -> None:
    """A page that points to nothing."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_constraints_are_those_of_the_project() -> None:
    """The documents say with which Dagster it was tried. Hashes: ``ci/test_install.py``."""
    locked = re.findall(r"^([^ ]+==[^ ]+) ", (CHECKOUT / "constraints.txt").read_text(), flags=re.MULTILINE)
    assert "dagster==1.13.27" in locked
    assert "dagster-aws==0.29.27" in locked
    assert tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["name"] == "ao-workflows"
