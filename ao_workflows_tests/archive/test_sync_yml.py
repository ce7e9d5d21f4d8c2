"""A sync.yml, from its bytes to options; and whatever a bag might bring in its stead."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ao_workflows.archive.sync_options import SyncOptions
from ao_workflows.archive.sync_yml import read_options
from ao_workflows.errors import SyncOptionsError

WHOLE = """\
# every option there is
audit: {pre: [-i, "-d 3"], post: []}
sync:
  archive: true
  web: no
  replace: True
  update_web: false
"""


def put(work: Path, content: str | bytes) -> Path:
    path = work / "config" / "sync.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def mistakes(work: Path, content: str | bytes) -> tuple[str, ...]:
    path = put(work, content)
    with pytest.raises(SyncOptionsError) as raised:
        read_options(work, None)
    assert raised.value.path == path
    assert str(raised.value).startswith(f"{path}: ")
    assert str(raised.value).endswith("The sync script was not started")
    return raised.value.mistakes


def test_every_option_is_read(tmp_path: Path) -> None:
    """An option that is lost between the file and the script does what nobody asked for."""
    put(tmp_path, WHOLE)
    assert read_options(tmp_path, None) == SyncOptions(
        archive=True, web=False, replace=True, update_web=False, audit_pre=("-i", "-d 3"), audit_post=()
    )


def test_the_sites_file_may_be_a_link_and_the_works_may_not(tmp_path: Path) -> None:
    """What Kubernetes mounts of a ConfigMap are links; a bag's link would lead out of the work."""
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "sync.yml").write_text("sync: {web: false}\n")
    sites = tmp_path / "sync.yml"
    sites.symlink_to("..data/sync.yml")
    work = tmp_path / "W1"
    assert read_options(work, sites) == SyncOptions(web=False)
    (work / "config").mkdir(parents=True)
    (work / "config" / "sync.yml").symlink_to(sites)
    with pytest.raises(SyncOptionsError, match="cannot be read: Too many levels of symbolic links"):
        read_options(work, sites)


@pytest.mark.parametrize(
    "content",
    [r'sync: {web: "\UFFFFFFFF"}', r'sync: {web: "\U00110000"}', f"%YAML 1.{'1' * 5000}\n---\nsync: {{}}\n"],
)
def test_a_number_that_is_none_of_yamls_is_a_mistake_like_another(tmp_path: Path, content: str) -> None:
    """It was an error of Python's, tried again for two hours, and kept the zip's other works from being synced."""
    (said,) = mistakes(tmp_path, content)
    assert said.startswith("is no YAML: ")


def test_a_key_that_cannot_be_shown_is_told_in_escapes(tmp_path: Path) -> None:
    """Half a character made the run's page fail, and a line feed a mistake of its own."""
    assert mistakes(tmp_path, r'"\uD800\nline 9\e[2J": 1')[0].startswith(r"line 1: \ud800\nline 9\x1b[2J: is no option")


def test_what_is_left_out_is_the_default(tmp_path: Path) -> None:
    """And a file with nothing in it, or only a comment, asks for nothing."""
    for content in ("", "# nothing\n", "---\n", "\ufeffsync: {}\n", "{}"):
        put(tmp_path, content)
        assert read_options(tmp_path, None) == SyncOptions()
    put(tmp_path, "sync: {web: false}")
    assert read_options(tmp_path, None) == SyncOptions(web=False)


def test_the_file_that_the_documentation_shows_is_the_default(tmp_path: Path) -> None:
    """Who copies it and changes one line must change one thing."""
    page = (Path(__file__).resolve().parents[2] / "docs/sync.md").read_text()
    (shown,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert all(word in shown for word in ("pre", "post", "archive", "web", "replace", "update_web"))
    put(tmp_path, shown)
    assert read_options(tmp_path, None) == SyncOptions()


def test_the_works_own_file_is_before_the_sites(tmp_path: Path) -> None:
    """It is the one or the other: a work's file is laid over the default, not over the site's."""
    sites = tmp_path / "site.yml"
    sites.write_text("sync: {replace: true, web: false}")
    work = tmp_path / "W1"
    assert read_options(work, sites) == SyncOptions(replace=True, web=False)
    put(work, "sync: {archive: false}")
    assert read_options(work, sites) == SyncOptions(archive=False)


MAY = ("archive", "audit")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("sync:\n  web: no\n  replace: true\n", ["line 2: sync.web: no: ", "line 3: sync.replace: true: "]),
        ("sync: {update_web: false}", ["line 1: sync.update_web: false: "]),
    ],
)
def test_what_works_may_not_ask_for_is_refused_by_line(tmp_path: Path, content: str, told: list[str]) -> None:
    """A bag comes from outside: what it destroys, or keeps from the web, the site must have granted."""
    path = put(tmp_path, content)
    with pytest.raises(SyncOptionsError) as raised:
        read_options(tmp_path, None, MAY, "W1")
    assert raised.value.path == path
    for mistake, begins in zip(raised.value.mistakes, told, strict=True):
        assert mistake.startswith(f"{begins}a work may not ask for this; [sync] works_may in site.toml lets works ask")
        assert mistake.endswith("ao reprocess W1 --replace") is ("replace" in begins)


def test_what_works_may_not_ask_for_is_as_the_site_has_it(tmp_path: Path) -> None:
    """A file that is silent about the web undid the site's `web: false`; one that agrees with the site asks for
    nothing.
    """
    sites = tmp_path / "site.yml"
    sites.write_text("audit: {pre: [-v]}\nsync: {web: false, archive: false, replace: true}")
    put(tmp_path, "")
    assert read_options(tmp_path, sites, MAY) == SyncOptions(web=False)
    put(tmp_path, "sync: {web: false, replace: true}")
    assert read_options(tmp_path, sites, MAY) == SyncOptions(web=False, replace=True)
    put(tmp_path, "audit: {pre: [-v]}\nsync: {replace: false}")
    assert read_options(tmp_path, sites, ()) == SyncOptions(archive=False, web=False, audit_pre=("-v",))


def test_a_person_s_word_for_one_run_is_above_every_file(tmp_path: Path) -> None:
    """And with it a work that asks for the same is not refused."""
    assert read_options(tmp_path, None, MAY, "W1", replacing=True) == SyncOptions(replace=True)
    for content in ("sync: {replace: true}", "sync: {replace: false}", ""):
        put(tmp_path, content)
        assert read_options(tmp_path, None, MAY, "W1", replacing=True) == SyncOptions(replace=True)


def test_a_sites_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Passed over, its works would be synced with the default, which may be the contrary."""
    with pytest.raises(SyncOptionsError, match=r"/none.yml: is not there; \[sync\] options in site.toml names it"):
        read_options(tmp_path, tmp_path / "none.yml")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("sync:\n  replce: true\n", "line 2: sync.replce: is no option; there are archive, web, replace, update_web"),
        ("\nsnyc: {}\n", "line 2: snyc: is no option; there are audit, sync"),
        ("sync:\n  web: maybe\n", "line 2: sync.web: must be true or false (is: 'maybe')"),
        ('sync:\n  web: "yes"\n', "line 2: sync.web: must be true or false (is: 'yes')"),
        ("sync:\n  web: 1\n", "line 2: sync.web: must be true or false (is: '1')"),
        ("sync:\n  web:\n", "line 2: sync.web: must be true or false"),
        ("sync: yes\n", "line 1: sync: must be a mapping with any of archive, web, replace, update_web (is: 'yes')"),
        ("sync:\n", "line 1: sync: must be a mapping"),
        ("audit: {pre: -v}\n", "line 1: audit.pre: must be a list of words, such as [-v] (is: '-v')"),
        ("audit:\n  post:\n  - -v\n  - 3\n", "line 4: audit.post: must be a word, in quotation marks (is: '3')"),
        ("audit:\n  post: [[a]]\n", "line 2: audit.post: must be a word, in quotation marks (is: 'a list')"),
        ("[archive]\n", "line 1: must be a mapping with any of audit, sync"),
        ("just words\n", "line 1: must be a mapping with any of audit, sync (is: 'just words')"),
        ("sync:\n  web: true\n  web: false\n", "line 3: web: is there twice, first in line 2"),
        ("sync: {}\naudit: {}\nsync: {}\n", "line 3: sync: is there twice, first in line 1"),
        ("sync:\n  ? [a]\n  : 1\n", "line 2: a key must be a word"),
        ("sync:\n web: true\n  archive: true\n", "line 3: is no YAML: mapping values are not allowed here"),
        ("sync:\n  - [\n", "line 3: is no YAML: "),
        ("sync:\n\tweb: true\n", "line 2: is no YAML: found character '\\t' that cannot start any token"),
        ("sync: {}\n---\nsync: {}\n", "line 2: a second document; one is read"),
        ("sync:\n  web: !!python/object/apply:os.system [id]\n", "line 2: 'tag:yaml.org,2002:python/object/apply"),
        ("sync: !!map {}\n", "line 1: 'tag:yaml.org,2002:map': tags are not read"),
        ("sync: &a {web: true}\n", "line 1: 'a': anchors and aliases are not read"),
        ("sync:\n  <<: {web: true}\n", "line 2: sync.<<: is no option"),
        (b"sync:\n  web: \xff\n", "line 2: is no UTF-8"),
        (b"sync: {}\n\x00\n", "line 2: is no YAML: the character 0x0"),
        ("[" * 60_000, "line 1: more than 8 levels"),
        ("sync: {}\n" + "#" * 70_000, "has more than 65536 bytes"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_key(tmp_path: Path, content: str | bytes, told: str) -> None:
    """Before the script starts, and in words: whoever packed the bag has to mend it."""
    (found,) = mistakes(tmp_path, content)
    assert found.startswith(told), found


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """One at a time, each would cost a new bag and a new restore."""
    found = mistakes(tmp_path, "sync:\n  web: 1\n  wbe: true\naudit:\n  pre: [a;b]\n")
    assert [line.partition(": ")[0] for line in found] == ["line 2", "line 3", "line 5"]


def test_a_bomb_of_aliases_is_refused_before_it_is_one(tmp_path: Path) -> None:
    """Nine lines of YAML can be a billion words."""
    lines = ["audit:", " pre: &a0 [-v]", *(f" x{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))]
    (found,) = mistakes(tmp_path, "\n".join(lines))
    assert found.startswith("line 2: 'a0': anchors and aliases are not read")


@pytest.mark.parametrize(
    "word",
    [
        "a\\nb",
        "a\\0b",
        "a\\tb",
        "$(id)",
        "`id`",
        "a;b",
        "a|b",
        "a&b",
        ">x",
        "*",
        "?",
        "~",
        "'",
        "\\\\",
        "{a,b}",
        "ཀ",
        "",
    ],
)
@pytest.mark.parametrize("place", ["pre", "post"])
def test_no_word_is_more_than_a_word(tmp_path: Path, word: str, place: str) -> None:
    """A site's own script may hand the words to a shell: a bag must not run something by its options."""
    (found,) = mistakes(tmp_path, f'audit:\n  {place}: [-v, "{word}"]\n')
    assert found.startswith(f"line 2: audit.{place}: a word has letters, digits, ")


def _link(path: Path) -> None:
    elsewhere = path.parent.parent.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "told"), [(_link, "cannot be read: "), (_pipe, "is no file"), (_folder, "cannot be read: Is a directory")]
)
def test_what_is_no_file_is_neither_followed_nor_waited_for(
    tmp_path: Path, spoil: Callable[[Path], None], told: str
) -> None:
    """A link could lead to what the worker alone may read; a pipe would hold the run for ever."""
    spoil(put(tmp_path / "W1", WHOLE))
    with pytest.raises(SyncOptionsError, match=told):
        read_options(tmp_path / "W1", None)


def test_a_config_that_is_a_file_is_none(tmp_path: Path) -> None:
    """A work may have a payload file of that name."""
    (tmp_path / "config").write_text("mine")
    assert read_options(tmp_path, None) == SyncOptions()
