"""The reference sync script: real bash and rsync on real folders, stand-ins for audit-tool, aws and s5cmd.

What belongs here: what the script does when it is run by hand. What does not: how the platform calls it, and
the platform's own proof of what the archive holds.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docker" / "sync" / "syncOneWork.sh"
RID = "W1NLM4712"
BUCKET = Path("Archive0") / "12"
WEB = "s3://archive.example.org/Works/a8/W1NLM4712/images/"
LONG_ENOUGH = 60.0
"""Seconds after which what a test awaits will not come."""

TOOLS = (
    *(
        "bash",
        "cat",
        "chmod",
        "comm",
        "cp",
        "env",
        "find",
        "flock",
        "md5sum",
        "mkdir",
        "mktemp",
        "mv",
        "realpath",
        "rm",
        "rsync",
    ),
    *("sed", "setpriv", "sha256sum", "sleep", "sort", "sync", "tr", "xargs"),
)
"""All that the script may count on; nothing else of this machine is on its PATH."""

OLD = {"images/v1/a.jpg": b"old a", "images/v1/z.jpg": b"old z", "only-old.txt": b"kept"}
NEW = {
    "images/v1/a.jpg": b"new and longer a",
    "images/v1/z.jpg": b"new and longer z",
    "images/v1/\u0f04 \u0f40 with spaces.jpg": b"Tibetan",
    "-leading dash": b"dash",
    "#1 cover.jpg": b"a remark in a list",
    ";x": b"another",
    "a line\nfeed %": b"feed",
    ".hidden": b"hidden",
    "empty": b"",
}
MANY = NEW | {f"images/v{number % 7}/{number}.jpg": b"%d" % number * number for number in range(200)}
"""So many files that two rsyncs share them."""
SLOW = {"a.jpg": b"a" * 1000, "z.jpg": b"z" * 6_000_000}
"""Bytes that a slowed rsync needs many seconds for: the first file is done long before the second."""


def _missing() -> list[str]:
    return [tool for tool in TOOLS if not shutil.which(tool)]


pytestmark = pytest.mark.skipif(
    bool(_missing()) and os.environ.get("CI") != "true", reason=f"not on PATH: {', '.join(_missing())}"
)


def await_that(holds: Callable[[], object], what: str) -> None:
    """Returns once ``holds()`` is true; a test that waits in vain fails with ``what``."""
    deadline = time.monotonic() + LONG_ENOUGH
    while not holds():
        assert time.monotonic() < deadline, f"it never came about that {what}"
        time.sleep(0.005)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``: its path, its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fill(folder: Path, content: dict[str, bytes], day: int = 1) -> Path:
    """``folder`` with ``content`` in it, each file's time being midnight UTC on that day of January 2020."""
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        at = 1_577_836_800 + (day - 1) * 86_400
        os.utime(path, (at, at))
    return folder


@dataclass(frozen=True)
class Desk:
    """One archive, one scratch disk, and a PATH on which each test puts the stand-ins that it wants."""

    top: Path

    @property
    def place(self) -> Path:
        return self.top / BUCKET / RID

    @property
    def bucket(self) -> Path:
        return self.top / BUCKET

    def work(self, content: dict[str, bytes] = NEW, rid: str = RID) -> Path:
        return fill(self.top / "staging here" / rid, content, day=2)

    def put(self, tool: str, body: str) -> None:
        """A stand-in on PATH, in bash, that may use ``$real`` for the tool that it stands for."""
        path = self.top / "bin" / tool
        path.unlink(missing_ok=True)
        path.write_text(f"#!{shutil.which('bash')}\nreal={shutil.which(tool)}\n{body}\n")
        path.chmod(0o755)

    def put_python(self) -> None:
        (self.top / "bin" / "python3").unlink(missing_ok=True)
        (self.top / "bin" / "python3").symlink_to(sys.executable)

    def restore(self, tool: str) -> None:
        path = self.top / "bin" / tool
        path.unlink()
        path.symlink_to(shutil.which(tool) or tool)

    def put_recorder(self, tool: str, then: str = "") -> None:
        """A stand-in that records its words, then runs ``then``."""
        record = f"{self.top}/{tool}.calls"
        self.put(tool, f"printf '%s\\0' \"$PWD\" \"$@\" >>'{record}'; printf '\\n\\0' >>'{record}'\n{then}")

    def calls(self, tool: str) -> list[list[str]]:
        """Each call of a recorder: its folder, then its words."""
        record = self.top / f"{tool}.calls"
        calls = record.read_text().split("\n\0") if record.exists() else []
        return [call.split("\0")[:-1] for call in calls if call]

    def start(self, *words: str | Path, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            # Under nohup the tests ignore a hangup, and what they start would too.
            ["env", "--default-signal=HUP", SCRIPT, *words],
            cwd=self.top,
            env={
                "PATH": str(self.top / "bin"),
                "LANG": "C.UTF-8",
                "TMPDIR": str(self.top / "tmp"),
                "syncLogDateTimeDir": str(self.top / "logs"),
                **env,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*words, **env)
        out, err = process.communicate(timeout=LONG_ENOUGH)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def sync(self, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
        """One run for the usual work, with -a, which must succeed."""
        done = self.run(*options, "-a", self.top / "Archive", "-s", "succeeded", self.work(), **env)
        assert done.returncode == 0, done.stderr
        return done

    def start_slowly(self, *options: str) -> subprocess.Popen[str]:
        """A run whose real rsync is held to a crawl; it returns once that one is in the midst of z.jpg."""
        self.put("rsync", 'exec "$real" --bwlimit=200 "$@"')
        process = self.start(*options, "-a", "Archive", "-s", "succeeded", self.work(SLOW))
        writing = self.bucket / f".{RID}.sync" / "temp"
        await_that(lambda: list(writing.glob("z.jpg.*")), "rsync is in the midst of the second file")
        self.restore("rsync")
        return process

    def succeeded(self) -> list[str]:
        path = self.top / "succeeded"
        return path.read_text().splitlines() if path.exists() else []

    def assert_clean(self) -> None:
        """Nothing of the script's own is left in the archive."""
        assert [path.name for path in self.bucket.iterdir()] == [RID]

    def processes(self) -> list[str]:
        """The command lines of all processes that run in one of this desk's folders."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "cwd").readlink().is_relative_to(self.top):
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:  # it has ended meanwhile
                continue
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    assert not _missing(), "CI must have every tool that the script needs"
    for folder in ("bin", "tmp", "Archive0"):
        (tmp_path / folder).mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    return Desk(tmp_path)


# --- the script itself


def test_shellcheck_finds_nothing() -> None:
    """Prevents the quoting mistakes that lose a work whose name has a space."""
    if not shutil.which("shellcheck") and os.environ.get("CI") != "true":
        pytest.skip("shellcheck is not on PATH")
    done = subprocess.run(["shellcheck", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_help_names_every_exit_code_and_touches_nothing(desk: Desk) -> None:
    """Prevents a reader of a log from meeting a code that nothing explains."""
    done = desk.run("-h")
    assert done.returncode == 0
    codes = ", ".join(re.findall(r"^ *((?:\d+, )*\d+)  \w", done.stdout.split("Exit codes:")[1], re.MULTILINE))
    assert codes == "0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 129, 130, 143"
    assert not (desk.top / "logs").exists()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["work"],
        ["-s", "list"],
        ["-s", "list", "work", "another"],
        ["-x", "-s", "list", "work"],
        ["-s"],
        ["-a", "", "-s", "list", "work"],
        ["-w", "", "-s", "list", "work"],
        ["-s", "", "work"],
    ],
)
def test_a_wrong_command_line_ends_with_2_and_says_where_to_look(desk: Desk, words: list[str]) -> None:
    """Prevents an unset variable in a caller from turning a sync into a mere audit."""
    done = desk.run(*words)
    assert done.returncode == 2
    assert "-h prints the usage" in done.stderr


# --- into the archive


@pytest.mark.parametrize("content", [NEW, MANY], ids=["few", "many"])
@pytest.mark.parametrize("options", [[], ["-A"]], ids=["add", "replace"])
def test_a_work_arrives_whole_with_its_times_and_plain_modes(
    desk: Desk, options: list[str], content: dict[str, bytes]
) -> None:
    """Prevents the loss of a file for its name, and an archive that only the syncing user can read."""
    work = desk.work(content)
    (work / "images" / "no file").mkdir()
    for path in work.rglob("*"):
        path.chmod(0o700)
    desk.put_recorder("rsync", 'exec "$real" "$@"')
    done = desk.run(*options, "-a", desk.top / "Archive", "-s", "succeeded", work)
    assert done.returncode == 0, done.stderr
    assert len(desk.calls("rsync")) == (3 if content is MANY else 1)
    assert files(desk.place) == content
    assert (desk.place / "images" / "no file").is_dir()
    for path in desk.place.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)
        if path.is_file():
            assert path.stat().st_mtime_ns == (work / path.relative_to(desk.place)).stat().st_mtime_ns
    assert desk.succeeded() == [RID]
    desk.assert_clean()


@pytest.mark.parametrize(
    ("rid", "place"),
    [
        ("W1NLM4712", "Archive0/12"),
        ("W24", "Archive0/24"),
        ("W25", "Archive1/25"),
        ("W1FPL99", "Archive3/99"),
        ("W108", "Archive0/08"),
        ("W1KG1A", "Archive0/00"),
        ("W", "Archive0/00"),
        ("7", "Archive0/00"),
    ],
)
def test_the_place_follows_from_the_last_two_digits(desk: Desk, rid: str, place: str) -> None:
    """Prevents a work from being filed where nobody looks, 08 and 09 (no octal numbers) among them."""
    for share in "123":
        (desk.top / f"Archive{share}").mkdir()
    done = desk.run("-a", "Archive/", "-s", "succeeded", f"{desk.work(rid=rid)}//")
    assert done.returncode == 0, done.stderr
    assert files(desk.top / place / rid) == NEW


def test_paths_that_begin_with_a_dash_are_paths(desk: Desk) -> None:
    """Prevents a folder's name from being taken for an option of one of the tools."""
    fill(desk.top / "-in" / RID, NEW)
    (desk.top / "-to\n0").mkdir()
    done = desk.run("-a", "-to\n", "-s", "-list", "--", f"-in/{RID}", syncLogDateTimeDir="-logs")
    assert done.returncode == 0, done.stderr
    assert files(desk.top / "-to\n0" / "12" / RID) == NEW
    assert (desk.top / "-list").read_text() == f"{RID}\n"


def test_a_work_that_is_new_in_the_archive_appears_there_whole(desk: Desk) -> None:
    """Prevents a reader from meeting half of a work."""
    process = desk.start_slowly()
    assert not desk.place.exists()
    process.terminate()
    process.communicate(timeout=LONG_ENOUGH)
    assert list(desk.bucket.iterdir()) == []


def test_adding_keeps_what_the_archive_had_and_brings_what_changed(desk: Desk) -> None:
    """Prevents an addition from removing files that the bag does not have."""
    fill(desk.place, OLD)
    desk.sync()
    assert files(desk.place) == OLD | NEW
    desk.assert_clean()


def test_replacing_leaves_what_was_bagged_and_nothing_else(desk: Desk) -> None:
    """Prevents files of the old tree from outliving their replacement."""
    fill(desk.place, OLD)
    desk.sync("-A")
    assert files(desk.place) == NEW
    desk.assert_clean()


def test_replacing_mends_a_file_whose_size_and_time_still_match(desk: Desk) -> None:
    """Prevents bit rot in the archive from surviving a replacement because rsync sees no change."""
    rotten = {**NEW, "images/v1/a.jpg": b"new and l0nger a"}
    fill(desk.place, rotten, day=2)
    desk.sync("-A")
    assert files(desk.place) == NEW


def test_adding_mends_a_file_whose_size_and_time_still_match(desk: Desk) -> None:
    """Prevents new tag files over old pages, for ever: rsync takes a corrected or rotten page of the same size and time
    to be the same, and times in a zip are two seconds apart."""
    rotten = {**NEW, "images/v1/a.jpg": b"new and l0nger a", "only-old.txt": b"kept"}
    fill(desk.place, rotten, day=2)
    desk.sync()
    assert files(desk.place) == NEW | {"only-old.txt": b"kept"}
    desk.assert_clean()


def test_what_does_not_change_is_not_written_again_and_no_old_file_is_written_into(desk: Desk) -> None:
    """Prevents a correction of one page from costing a copy of the work, and a copy in place through a hard link, which
    would change the tree that a reader has open, and what is kept of it."""
    before = {**NEW, **OLD, "images/v1/\u0f04 \u0f40 with spaces.jpg": b"Tibetan"}
    fill(desk.place, before, day=9)
    kept = desk.top / "kept"
    shutil.copytree(desk.place, kept, copy_function=os.link)
    stands = {name: (desk.place / name).stat() for name in before}
    desk.sync()
    assert files(desk.place) == OLD | NEW
    assert files(kept) == before
    for name, stood in stands.items():
        now = (desk.place / name).stat()
        assert (now.st_ino == stood.st_ino) is (name not in {"images/v1/a.jpg", "images/v1/z.jpg"}), name
        assert now.st_ino != stood.st_ino or now.st_mtime_ns == stood.st_mtime_ns
    desk.assert_clean()


@pytest.mark.parametrize("content", [NEW, MANY], ids=["few", "many"])
def test_of_a_work_that_a_caller_has_compared_what_the_list_names_is_copied_and_nothing_is_read(
    desk: Desk, content: dict[str, bytes]
) -> None:
    """Prevents the archive from being read twice, and a file from being left out for its name in the list."""
    changed = [name for number, name in enumerate(content) if number % 2 or content is not MANY]
    fill(desk.place, dict.fromkeys(content, b"old") | {"only-old.txt": b"kept"}, day=2)
    (desk.top / "list").write_bytes(b"".join(name.encode() + b"\0" for name in changed))
    desk.put("sha256sum", "exit 1")
    words = ("-a", "Archive", "-s", "succeeded", desk.work(content))
    done = desk.run(*words, syncChangedFiles=str(desk.top / "list"))
    assert done.returncode == 0, done.stderr
    wanted = {name: data if name in changed else b"old" for name, data in content.items()}
    assert files(desk.place) == wanted | {"only-old.txt": b"kept"}
    assert not list((desk.top / "logs" / "tempFiles").iterdir())
    desk.assert_clean()


@pytest.mark.parametrize("listed", [True, False], ids=["told", "by itself"])
def test_a_work_that_is_there_already_is_left_as_it_is(desk: Desk, listed: bool) -> None:
    """Prevents thousands of links, and a new folder under readers, for nothing."""
    fill(desk.place, NEW | OLD | NEW, day=5)
    (desk.top / "list").touch()
    stood = desk.place.stat()
    done = desk.sync(**({"syncChangedFiles": str(desk.top / "list")} if listed else {}))
    assert "nothing is copied" in done.stdout
    assert desk.place.stat().st_ino == stood.st_ino
    assert files(desk.place) == OLD | NEW
    assert (desk.place / "empty").stat().st_mtime == 1_577_836_800 + 4 * 86_400
    desk.assert_clean()


@pytest.mark.parametrize("options", [[], ["-A"]], ids=["add", "replace"])
def test_where_two_folders_can_change_places_the_work_always_has_its_place(desk: Desk, options: list[str]) -> None:
    """Prevents a reader from meeting no work between two renames: there are none."""
    fill(desk.place, OLD)
    desk.put("mv", 'case "$*" in *.sync/*) exit 1;; esac\nexec "$real" "$@"')
    desk.put_python()
    desk.sync(*options)
    assert files(desk.place) == (NEW if options else OLD | NEW)
    desk.assert_clean()


@pytest.mark.parametrize("words", ["exit 1", "echo left >&2; exit 95"])
def test_where_folders_cannot_change_places_they_are_renamed(desk: Desk, words: str) -> None:
    """Prevents NFS and SMB, which cannot do it, from keeping works out."""
    fill(desk.place, OLD)
    desk.put("python3", words)
    done = desk.sync()
    assert files(desk.place) == OLD | NEW
    assert "left" not in done.stdout
    desk.assert_clean()


def test_where_there_are_no_hard_links_what_stays_is_copied(desk: Desk) -> None:
    """Prevents a file system without them, or files of another user, from keeping a correction out."""
    fill(desk.place, OLD, day=7)
    desk.put(
        "cp",
        f'[[ $1 != -al* ]] || {{ "$real" "$1" "$2" "{desk.place}/images" "${{*: -1}}"; exit 1; }}\nexec "$real" "$@"',
    )
    done = desk.sync()
    assert "what stays is copied" in done.stdout
    assert files(desk.place) == OLD | NEW
    assert (desk.place / "only-old.txt").stat().st_mtime == 1_577_836_800 + 6 * 86_400
    desk.assert_clean()


def test_a_link_in_the_old_tree_does_not_pass_for_the_file_that_it_leads_to(desk: Desk) -> None:
    """Prevents a work from being taken for whole that has a page somewhere else."""
    outside = fill(desk.top / "outside", NEW)
    fill(desk.place, {name: data for name, data in NEW.items() if not name.startswith("images")}, day=2)
    (desk.place / "images").symlink_to(outside / "images")
    desk.sync()
    assert files(desk.place) == NEW
    assert not (desk.place / "images").is_symlink()
    assert files(outside) == NEW


class Names:
    """Every name that appears in some folders, as the kernel tells it."""

    _CREATED_OR_MOVED_IN = 0x100 | 0x80
    _NOT_WAITING = 0o4000

    def __init__(self, *folders: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._handle = self._libc.inotify_init1(self._NOT_WAITING)
        for folder in folders:
            watch = self._libc.inotify_add_watch(self._handle, os.fsencode(folder), self._CREATED_OR_MOVED_IN)
            assert watch >= 0, os.strerror(ctypes.get_errno())

    def read(self) -> set[str]:
        names: set[str] = set()
        while True:
            try:
                data = os.read(self._handle, 1 << 16)
            except BlockingIOError:
                os.close(self._handle)
                return names
            while data:
                length = int.from_bytes(data[12:16], sys.byteorder)
                names.add(os.fsdecode(data[16 : 16 + length].rstrip(b"\0")))
                data = data[16 + length :]


@pytest.mark.parametrize("before", [{}, {"_x": b"old", "x": b"old", "stays": b"s"}], ids=["new", "changed"])
@pytest.mark.parametrize("options", [[], ["-A"]], ids=["add", "replace"])
@pytest.mark.parametrize("more", [0, 100], ids=["few", "many"])
def test_no_file_has_a_name_on_its_way_that_a_share_may_forbid(
    desk: Desk, before: dict[str, bytes], options: list[str], more: int
) -> None:
    """Prevents every work with a file named _x from failing on a share with `veto files = /._*/`: beside that file's
    place rsync writes ._x.AbCdEf."""
    fill(desk.place, before)
    content = {"_x": b"1", ".x": b"2", "x": b"3"} | {f"_{number}": b"%d" % number for number in range(more)}
    waits, go = desk.top / "waits", desk.top / "go"
    (desk.top / "bin" / "touch").symlink_to(shutil.which("touch") or "touch")
    desk.put("rsync", f'touch "{waits}"; until [[ -e "{go}" ]]; do sleep 0.01; done\nexec "$real" "$@"')
    process = desk.start(*options, "-a", "Archive", "-s", "succeeded", desk.work(content))
    await_that(waits.exists, "rsync is about to begin")
    beside = desk.bucket / f".{RID}.sync"
    names = Names(*(folder for folder in (desk.bucket, desk.place, *beside.rglob("*"), beside) if folder.is_dir()))
    go.touch()
    _, err = process.communicate(timeout=LONG_ENOUGH)
    assert process.returncode == 0, err
    seen = names.read()
    assert {"_x", ".x", "x"} <= seen
    assert any(name.startswith("_x.") for name in seen), "rsync writes under another name first"
    assert [name for name in seen if name.startswith("._")] == []
    assert {name for name in seen if name.startswith(".")} <= {".x", *(name for name in seen if name.startswith(".x."))}


def test_an_archive_that_is_not_mounted_is_not_filled(desk: Desk) -> None:
    """Prevents a work from landing on the root disk, under a mount point that is not there."""
    (desk.top / "Archive0").rmdir()
    done = desk.run("-a", "Archive", "-s", "succeeded", desk.work())
    assert done.returncode == 4
    assert "is it mounted?" in done.stderr
    assert RID in done.stderr
    assert not (desk.top / "Archive0").exists()
    assert desk.succeeded() == []


@pytest.mark.parametrize(
    "rid",
    [
        "..",
        "W1..2",
        "-W1",
        "W1 2",
        "\u0f56\u0f7c\u0f51",
        "W1\n",
        "W1.",
        ".W1",
        "W" * 65,
        "W\u00e91",
        "W$(touch x)",
    ],
)
def test_a_name_that_cannot_be_a_rid_is_refused(desk: Desk, rid: str) -> None:
    """Prevents a folder's name from choosing a place outside its bucket."""
    (desk.top / "staging" / "sub").mkdir(parents=True)
    fill(desk.top / "staging" / "sub" / rid, NEW)
    done = desk.run("-a", "Archive", "-s", "succeeded", "--", desk.top / "staging" / "sub" / rid)
    assert done.returncode == 3, done.stderr
    assert not list((desk.top / "Archive0").iterdir())
    assert desk.succeeded() == []


def test_a_work_path_that_is_no_plain_folder_of_its_own_is_refused(desk: Desk) -> None:
    """Prevents a link from passing one work off as another, and the archive from being synced into itself."""
    work = desk.work()
    (desk.top / "W2").symlink_to(work)
    (desk.top / "W3").write_text("a file")
    fill(desk.top / "Archive0" / "12" / "elsewhere" / RID, NEW)
    inside = desk.top / "W4"
    (fill(inside, NEW) / "Archive0").mkdir()
    for path, parent in (
        ("/", "Archive"),
        (desk.top / "W2", "Archive"),
        (desk.top / "W3", "Archive"),
        (desk.top / "W9", "Archive"),
        (desk.top / "Archive0" / "12" / "elsewhere" / RID, "Archive"),
        (inside, "W4/Archive"),
        (work, "Archive0/.."),
        (work, "."),
        (work, "/"),
    ):
        done = desk.run("-a", parent, "-s", "succeeded", path)
        assert done.returncode == 3, (path, parent, done.stderr)
        assert repr(str(path)) in done.stderr or str(path) in done.stderr
    assert not desk.place.exists()
    assert desk.succeeded() == []


@pytest.mark.parametrize("link", ["Archive0/12", f"Archive0/12/{RID}", f"Archive0/12/.{RID}.sync"])
def test_a_link_in_the_archive_does_not_lead_the_copy_out_of_it(desk: Desk, link: str) -> None:
    """Prevents a link that was left in the archive from sending a work, or its removal, somewhere else."""
    outside = fill(desk.top / "outside", OLD)
    (desk.top / link).parent.mkdir(parents=True, exist_ok=True)
    (desk.top / link).symlink_to(outside)
    done = desk.run("-A", "-a", "Archive", "-s", "succeeded", desk.work())
    assert done.returncode == 3
    assert "in the way" in done.stderr
    assert files(outside) == OLD


def _link(work: Path) -> None:
    (work / "link").symlink_to("/etc/hostname")


def _link_named_line_feed(work: Path) -> None:
    (work / "\n").symlink_to("/etc")


def _pipe(work: Path) -> None:
    os.mkfifo(work / "images" / "pipe")


def _nothing(work: Path) -> None:
    shutil.rmtree(work)
    (work / "empty folder").mkdir(parents=True)


@pytest.mark.parametrize("spoil", [_link, _link_named_line_feed, _pipe, _nothing])
def test_a_work_that_could_not_arrive_whole_is_refused(desk: Desk, spoil: Callable[[Path], None]) -> None:
    """Prevents rsync's skipping of links and pipes from passing for success, and an empty
    folder from replacing a work."""
    fill(desk.place, OLD)
    spoil(desk.work())
    done = desk.run("-A", "-a", "Archive", "-s", "succeeded", desk.top / "staging here" / RID)
    assert done.returncode == 3
    assert RID in done.stderr
    assert files(desk.place) == OLD
    assert desk.succeeded() == []


# --- interrupted


@pytest.mark.parametrize("options", [[], ["-A"]])
def test_killed_while_copying_the_old_tree_stands_and_a_second_run_ends_right(desk: Desk, options: list[str]) -> None:
    """Prevents half a file before a reader, a tool that outlives a killed run, and leftovers after the next."""
    fill(desk.place, {"a.jpg": b"old", "z.jpg": b"old"})
    process = desk.start_slowly(*options)
    process.kill()
    process.communicate()
    waiting = [path for path in desk.bucket.rglob("*") if path.is_file() and path.parent != desk.place]
    assert waiting, "the run was killed in its midst"
    assert {name: data for name, data in files(desk.place).items() if "/" not in name} == {
        "a.jpg": b"old",
        "z.jpg": b"old",
    }
    await_that(lambda: not desk.processes(), "nothing of the killed run is left")
    done = desk.run(*options, "-a", "Archive", "-s", "succeeded", desk.work(SLOW))
    assert done.returncode == 0, done.stderr
    assert "an earlier run was killed" in done.stdout
    assert files(desk.place) == SLOW
    assert desk.succeeded() == [RID]
    desk.assert_clean()


@pytest.mark.parametrize(
    ("options", "sent", "code"),
    [
        ([], signal.SIGTERM, 143),
        (["-A"], signal.SIGTERM, 143),
        ([], signal.SIGINT, 130),
        ([], signal.SIGHUP, 129),
    ],
)
def test_a_signal_ends_the_script_and_rsync_and_clears_up(
    desk: Desk, options: list[str], sent: signal.Signals, code: int
) -> None:
    """Prevents an rsync that goes on writing to the archive after its run was cancelled."""
    old = {"a.jpg": b"old", "z.jpg": b"old"}
    fill(desk.place, old)
    process = desk.start_slowly(*options)
    process.send_signal(sent)
    _, err = process.communicate(timeout=LONG_ENOUGH)
    assert process.returncode == code
    assert RID in err
    assert not desk.processes()
    assert files(desk.place) == old
    assert desk.succeeded() == []
    desk.assert_clean()


def test_a_tool_that_will_not_end_is_killed_with_all_that_it_started(desk: Desk) -> None:
    """Prevents a deaf audit-tool, or the program behind its launcher, from outliving the run."""
    desk.put(
        "audit-tool",
        f"trap '' TERM\n(while :; do sleep 60; done) &\n: >'{desk.top}/deaf'\nwait",
    )
    process = desk.start("-a", "Archive", "-s", "succeeded", desk.work())
    await_that((desk.top / "deaf").exists, "audit-tool runs")
    process.terminate()
    process.communicate(timeout=LONG_ENOUGH)
    assert process.returncode == 143
    await_that(lambda: not desk.processes(), "nothing of the run is left")


FATAL_MOVES = [("KILL", move, when) for move in (1, 2) for when in ("before", "after")]


def _put_fatal_move(desk: Desk, sent: str, move: int, when: str) -> None:
    """An ``mv`` that does what it should, and ends the script before or after its ``move``-th time."""
    doomed = f'(($(wc -l <"{desk.top}/moves") == {move})) && kill -{sent} $PPID'
    (desk.top / "bin" / "wc").symlink_to(shutil.which("wc") or "wc")
    before, after = (doomed + (" && exit 1" if sent == "KILL" else ""), "") if when == "before" else ("", doomed)
    desk.put("mv", f'echo >>"{desk.top}/moves"\n{before}\n"$real" "$@"; code=$?\n{after}\nexit $code')


@pytest.mark.parametrize(("sent", "move", "when"), FATAL_MOVES)
@pytest.mark.parametrize("again", [["-A"], []])
@pytest.mark.parametrize("options", [["-A"], []], ids=["replace", "add"])
def test_killed_between_the_renames_either_tree_is_whole(
    desk: Desk, options: list[str], sent: str, move: int, when: str, again: list[str]
) -> None:
    """Prevents the one moment in which a work has no place in the archive from losing it."""
    fill(desk.place, OLD)
    wanted = NEW if options else OLD | NEW
    _put_fatal_move(desk, sent, move, when)
    done = desk.run(*options, "-a", "Archive", "-s", "succeeded", desk.work())
    assert done.returncode == -signal.SIGKILL
    beside = desk.bucket / f".{RID}.sync"
    whole = [files(place) for place in (desk.place, beside / "old", beside / "new" / RID) if place.exists()]
    assert OLD in whole
    assert wanted in whole
    replaced = desk.place.exists() and files(desk.place) == NEW
    desk.restore("mv")
    desk.sync(*again)
    assert files(desk.place) == (NEW if again or replaced else OLD | NEW)
    assert desk.succeeded() == [RID]
    desk.assert_clean()


@pytest.mark.parametrize(("move", "when"), [(1, "before"), (1, "after"), (2, "before"), (2, "after")])
@pytest.mark.parametrize("options", [["-A"], []], ids=["replace", "add"])
def test_terminated_between_the_renames_the_work_has_its_place_back_at_once(
    desk: Desk, options: list[str], move: int, when: str
) -> None:
    """Prevents a cancelled replacement from leaving the archive without the work until the next run."""
    fill(desk.place, OLD)
    _put_fatal_move(desk, "TERM", move, when)
    done = desk.run(*options, "-a", "Archive", "-s", "succeeded", desk.work())
    assert done.returncode == 143, done.stderr
    wanted = NEW if options else OLD | NEW
    assert files(desk.place) == (wanted if move == 2 else OLD)
    assert desk.succeeded() == []
    desk.assert_clean()


def test_terminated_between_the_renames_with_nobody_to_read_of_it_the_work_has_its_place_back(desk: Desk) -> None:
    """Prevents the death of the worker, who reads what the script prints, from leaving the archive without the work."""
    fill(desk.place, OLD)
    desk.put("mv", f'"$real" "$@"; : >\'{desk.top}/moved\'; sleep 60')
    process = desk.start("-A", "-a", "Archive", "-s", "succeeded", desk.work())
    await_that((desk.top / "moved").exists, "the old tree is beside its place")
    assert not desk.place.exists()
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    process.stderr.close()
    desk.restore("mv")
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(timeout=LONG_ENOUGH) == 143
    assert files(desk.place) == OLD
    desk.assert_clean()


@pytest.mark.parametrize("options", [[], ["-A"]], ids=["add", "replace"])
def test_an_old_tree_that_its_owner_may_not_change_is_removed_with_what_is_beside(
    desk: Desk, options: list[str]
) -> None:
    """Prevents folders without write permission from failing a replacement that is done, and each run after it."""
    fill(desk.place, OLD)
    beside = desk.bucket / f".{RID}.sync" / "new" / RID / "images"
    fill(beside, {"half": b"left by a run that was killed"})
    for folder in (beside, desk.place / "images" / "v1", desk.place / "images"):
        folder.chmod(0o555 if folder != beside else 0)
    # Root may do anything, until it is told not to.
    plain = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    words = [*plain, SCRIPT, *options, "-a", desk.top / "Archive", "-s", desk.top / "succeeded", desk.work()]
    if not options:
        for folder in (desk.place / "images", desk.place / "images" / "v1"):
            folder.chmod(0o755)
    done = subprocess.run(
        words,
        env={"PATH": str(desk.top / "bin"), "syncLogDateTimeDir": str(desk.top / "logs")},
        cwd=desk.top,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert files(desk.place) == (NEW if options else OLD | NEW)
    desk.assert_clean()


@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "two renames"])
@pytest.mark.parametrize("options", [[], ["-A"]], ids=["add", "replace"])
def test_killed_before_any_of_its_steps_a_run_leaves_the_old_work_or_the_new_one(
    desk: Desk, options: list[str], exchange: bool
) -> None:
    """Prevents a mixed work: some files new, others old, whenever the machine stops. The next run ends right."""
    tools = ["cp", "env", "find", "mkdir", "mv", "rm", "rsync", "sort"]
    old = {f"{RID}/{name}": data for name, data in OLD.items()}
    new = {f"{RID}/{name}": data for name, data in (NEW if options else OLD | NEW).items()}
    (desk.top / "bin" / "wc").symlink_to(shutil.which("wc") or "wc")
    step, killed = 0, 0
    while killed == step:
        step += 1
        shutil.rmtree(desk.bucket, ignore_errors=True)
        fill(desk.place, OLD)
        (desk.top / "steps").write_bytes(b"")
        doomed = f'echo >>"{desk.top}/steps"; (($(wc -l <"{desk.top}/steps") < {step})) || kill -KILL 0'
        for tool in tools:
            desk.put(tool, f'{doomed}\nexec "$real" "$@"')
        if exchange:
            desk.put("python3", f'{doomed}\nexec "{sys.executable}" "$@"')
        done = desk.run(*options, "-a", "Archive", "-s", "succeeded", desk.work())
        for tool in tools:
            desk.restore(tool)
        if exchange:
            desk.put_python()
        killed += done.returncode == -signal.SIGKILL
        found = files(desk.bucket)
        stands = {name: data for name, data in found.items() if name.startswith(f"{RID}/")}
        if not stands and not exchange:
            stands = {name.replace(".sync/old", "")[1:]: data for name, data in found.items() if ".sync/old/" in name}
        assert stands in (old, new), step
        desk.sync(*options)
        assert files(desk.bucket) == new
        desk.assert_clean()
    assert killed > 12
    assert done.returncode == 0, done.stderr


def test_a_rename_that_fails_puts_the_old_tree_back(desk: Desk) -> None:
    """Prevents an error of the disk in the midst of a replacement from leaving nothing."""
    fill(desk.place, OLD)
    desk.put("mv", 'case "$*" in *"/new/"*) exit 1;; esac\nexec "$real" "$@"')
    done = desk.run("-A", "-a", "Archive", "-s", "succeeded", desk.work())
    assert done.returncode == 6
    assert str(desk.place) in done.stderr
    assert files(desk.place) == OLD
    desk.assert_clean()


def test_an_rsync_that_fails_fails_the_work_and_leaves_nothing_behind(desk: Desk) -> None:
    """Prevents a full disk from staying full of files that no later run can use."""
    fill(desk.place, OLD)
    desk.put("rsync", 'ulimit -f 1000\nexec "$real" "$@"')
    done = desk.run("-a", "Archive", "-s", "succeeded", desk.work(SLOW))
    assert done.returncode == 6
    assert RID in done.stderr
    assert files(desk.place) == OLD
    assert desk.succeeded() == []
    desk.assert_clean()


@pytest.mark.parametrize("which", ["folders", "a half", "the other half"])
@pytest.mark.parametrize(("options", "before"), [([], {}), ([], OLD), (["-A"], OLD)], ids=["new", "add", "replace"])
def test_of_the_rsyncs_that_share_a_work_each_must_succeed(
    desk: Desk, options: list[str], before: dict[str, bytes], which: str
) -> None:
    """Prevents half of a work from passing for the whole."""
    fill(desk.place, before)
    doomed = {"folders": "*--include*", "a half": "*--from0*", "the other half": "*--from0*"}[which]
    # Of the two halves, one is doomed: the one that makes the folder first, or the one that comes too late for it.
    first = {"folders": "true", "a half": f'mkdir "{desk.top}/first"', "the other half": f'! mkdir "{desk.top}/first"'}
    desk.put("rsync", f'if [[ "$*" == {doomed} ]] && {first[which]}; then exit 23; fi\nexec "$real" "$@"')
    done = desk.run(*options, "-a", "Archive", "-s", "succeeded", desk.work(MANY))
    assert done.returncode == 6
    assert "exit 23" in done.stderr
    assert desk.succeeded() == []
    assert files(desk.bucket) == {f"{RID}/{name}": data for name, data in before.items()}


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_both_of_the_rsyncs_that_share_a_work_end_with_the_script(desk: Desk, sent: signal.Signals) -> None:
    """Prevents one that nobody waits for from writing to the archive after its run."""
    desk.put("rsync", 'case "$*" in *--from0*) exec "$real" --bwlimit=1 "$@";; esac\nexec "$real" "$@"')
    process = desk.start("-a", "Archive", "-s", "succeeded", desk.work(MANY))
    await_that(lambda: sum("--from0" in line for line in desk.processes()) > 3, "both rsyncs copy")
    process.send_signal(sent)
    process.communicate(timeout=LONG_ENOUGH)
    await_that(lambda: not desk.processes(), "nothing of the run is left")
    assert not desk.place.exists()
    desk.restore("rsync")
    done = desk.run("-a", "Archive", "-s", "succeeded", desk.work(MANY))
    assert done.returncode == 0, done.stderr
    assert files(desk.place) == MANY
    desk.assert_clean()


def test_a_second_run_of_the_same_work_waits_for_the_first(desk: Desk) -> None:
    """Prevents two runs from building and renaming the same tree."""
    work = desk.work()
    first = os.open(work, os.O_RDONLY)
    try:
        fcntl.flock(first, fcntl.LOCK_EX)
        process = desk.start("-a", "Archive", "-s", "succeeded", work)
        await_that(lambda: any("flock" in line for line in desk.processes()), "the second run waits")
        assert not desk.bucket.exists()
    finally:
        os.close(first)
    process.communicate(timeout=LONG_ENOUGH)
    assert process.returncode == 0
    assert files(desk.place) == NEW


@pytest.mark.parametrize("options", [[], ["-A"]], ids=["add", "replace"])
def test_a_work_that_comes_from_two_places_at_once_is_synced_from_one_after_the_other(
    desk: Desk, options: list[str]
) -> None:
    """Prevents a run from clearing away, as a killed run's, what another is building: the work may be in two zips."""
    first = desk.start_slowly(*options)
    other = fill(desk.top / "another zip" / RID, NEW, day=3)
    second = desk.start(*options, "-a", "Archive", "-s", "succeeded", other)
    await_that(lambda: any("flock" in line for line in desk.processes()), "the second run waits")
    assert not desk.place.exists()
    first.terminate()
    _, err = first.communicate(timeout=LONG_ENOUGH)
    assert first.returncode == 143, err
    out, err = second.communicate(timeout=LONG_ENOUGH)
    assert second.returncode == 0, err
    assert "an earlier run was killed" not in out
    assert files(desk.place) == NEW
    assert desk.succeeded() == [RID]
    desk.assert_clean()


def test_a_work_that_another_run_syncs_from_elsewhere_for_long_is_left_alone(desk: Desk) -> None:
    """Prevents a wait without end, and a run that goes on without the lock."""
    script = desk.top / "impatient"
    script.write_text(SCRIPT.read_text().replace("ANOTHER_RUN=20", "ANOTHER_RUN=1"))
    desk.bucket.mkdir(parents=True)
    with (desk.bucket / f".{RID}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        words = ["bash", script, "-a", desk.top / "Archive", "-s", desk.top / "succeeded", desk.work()]
        env = {"PATH": str(desk.top / "bin"), "syncLogDateTimeDir": str(desk.top / "logs")}
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 10
    assert f"another run syncs {RID} to {desk.place}; nothing was done" in done.stderr
    assert [path.name for path in desk.bucket.iterdir()] == [f".{RID}.lock"]
    desk.sync()
    desk.assert_clean()


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_a_lock_that_is_no_file_is_refused(desk: Desk, kind: str) -> None:
    """Prevents a link in the archive from having a file made elsewhere."""
    fill(desk.place, OLD)
    lock = desk.bucket / f".{RID}.lock"
    lock.symlink_to(desk.top / "elsewhere") if kind == "link" else lock.mkdir()
    done = desk.run("-a", "Archive", "-s", "succeeded", desk.work())
    assert done.returncode == 3
    assert f"{lock} is in the way" in done.stderr
    assert files(desk.place) == OLD
    assert not (desk.top / "elsewhere").exists()


# --- the audit


def test_the_audit_comes_before_and_after_with_its_words_unexpanded(desk: Desk) -> None:
    """Prevents a work's own options from being expanded, or run, by the shell."""
    desk.put_recorder("audit-tool")
    work = desk.work()
    words = "-D a=b\n'$(touch x)' `touch y` * ;"
    desk.sync(LOCAL_AUDIT_OPTIONS=words, REPO_AUDIT_OPTIONS="-T One,Two", auditToolLogDateTimeDir="audit logs")
    logs = str(desk.top / "audit logs")
    split = ["-D", "a=b", "'$(touch", "x)'", "`touch", "y`", "*", ";"]
    assert desk.calls("audit-tool") == [
        [str(desk.top), "-l", logs, *split, str(work)],
        [str(desk.top), "-l", logs, "-T", "One,Two", str(desk.bucket / f".{RID}.sync" / "new" / RID)],
    ]
    assert not (desk.top / "x").exists()
    assert not (desk.top / "y").exists()


def test_a_work_that_the_audit_faults_is_not_synced(desk: Desk) -> None:
    """Prevents a work with a fault from reaching the archive."""
    desk.put_recorder("audit-tool", "exit 1")
    done = desk.run("-a", "Archive", "-s", "succeeded", desk.work())
    assert done.returncode == 5
    assert RID in done.stderr
    assert not desk.bucket.exists()
    assert desk.succeeded() == []


@pytest.mark.parametrize(("options", "before"), [(["-A"], OLD), ([], OLD), ([], {})], ids=["replaced", "added", "new"])
def test_a_new_tree_that_the_audit_faults_does_not_get_its_place(
    desk: Desk, options: list[str], before: dict[str, bytes]
) -> None:
    """Prevents a tree whose fault was found from being in the archive all the same."""
    fill(desk.place, before)
    desk.put_recorder("audit-tool", f'case "${{*: -1}}" in {desk.bucket}/*/{RID}) exit 1;; esac')
    done = desk.run(*options, "-a", "Archive", "-s", "succeeded", desk.work())
    assert done.returncode == 7
    assert files(desk.place) == before
    assert desk.succeeded() == []
    assert [path.name for path in desk.bucket.iterdir()] == ([RID] if before else [])


@pytest.mark.parametrize("before", [OLD, OLD | NEW], ids=["changed", "unchanged"])
def test_an_addition_that_the_audit_faults_is_no_success(desk: Desk, before: dict[str, bytes]) -> None:
    """Prevents the second audit from being for show, and the web from getting what it faulted."""
    fill(desk.place, before)
    desk.put("audit-tool", f'case "${{*: -1}}" in {desk.bucket}/*) exit 1;; esac')
    desk.put_recorder("aws")
    done = desk.run("-a", "Archive", "-w", "s3://web", "-s", "succeeded", desk.work())
    assert done.returncode == 7
    assert files(desk.place) == before
    assert desk.calls("aws") == []
    assert desk.succeeded() == []
    desk.assert_clean()


def test_with_neither_archive_nor_web_the_work_is_only_audited(desk: Desk) -> None:
    """Prevents an audit from copying anything, and from passing for one where audit-tool is missing."""
    done = desk.run("-s", "succeeded", desk.work())
    assert done.returncode == 9
    assert "was not audited" in done.stderr
    assert desk.succeeded() == []
    desk.put_recorder("audit-tool")
    assert desk.run("-A", "-W", "-s", "succeeded", desk.work()).returncode == 0
    assert len(desk.calls("audit-tool")) == 1
    assert desk.succeeded() == [RID]
    assert not list((desk.top / "Archive0").iterdir())


# --- the web


def test_aws_sends_the_images_and_nothing_else(desk: Desk) -> None:
    """Prevents the archive's masters from becoming public, and images from going where nothing reads them."""
    desk.put_recorder("aws")
    desk.sync("-w", "s3://archive.example.org/Works/")
    flags = ["--recursive", "--no-follow-symlinks", "--only-show-errors"]
    assert desk.calls("aws") == [[str(desk.work()), "s3", "cp", *flags, "images/", WEB]]
    assert desk.succeeded() == [RID]


def test_s5cmd_is_taken_first_and_replacing_removes_only_after_all_is_sent(desk: Desk) -> None:
    """Prevents a replacement that fails half way from leaving the web without images."""
    desk.put_recorder("aws")
    desk.put_recorder("s5cmd")
    work = desk.work()
    words = ("-W", "-w", "s3://archive.example.org/Works", "-s", "succeeded", work)
    done = desk.run(*words, AWS_ENDPOINT_URL="http://localhost:9")
    assert done.returncode == 0, done.stderr
    start = [str(work), "--endpoint-url", "http://localhost:9", "--log", "error"]
    assert desk.calls("s5cmd") == [
        [*start, "cp", "--no-follow-symlinks", "images/", WEB],
        [*start, "sync", "--no-follow-symlinks", "--size-only", "--delete", "images/", WEB],
    ]
    assert desk.calls("aws") == []
    assert not desk.place.exists()


@pytest.mark.parametrize("tool", ["aws", "s5cmd"])
def test_images_that_could_not_be_sent_fail_the_work(desk: Desk, tool: str) -> None:
    """Prevents a work from being called synced while the web has none of it, or has lost what it had."""
    desk.put_recorder(tool, "exit 1")
    done = desk.run("-W", "-a", "Archive", "-w", "s3://web/Works", "-s", "succeeded", desk.work())
    assert done.returncode == 8
    assert RID in done.stderr
    assert len(desk.calls(tool)) == 1
    assert desk.succeeded() == []


def test_without_a_tool_for_the_web_nothing_is_begun(desk: Desk) -> None:
    """Prevents hours of copying before a missing tool is met."""
    done = desk.run("-a", "Archive", "-w", "s3://web/Works", "-s", "succeeded", desk.work())
    assert done.returncode == 9
    assert not desk.bucket.exists()


def test_no_refresh_web_leaves_the_web_alone(desk: Desk) -> None:
    """Prevents a copy that the web's people look after from being overwritten or removed."""
    desk.put_recorder("aws")
    done = desk.sync("-W", "-w", "s3://archive.example.org/Works", NO_REFRESH_WEB="Yes")
    assert f"{WEB} stays as it is" in done.stdout
    assert desk.calls("aws") == []
    assert files(desk.place) == NEW
    assert desk.succeeded() == [RID]


def test_a_work_without_images_leaves_the_web_as_it_is(desk: Desk) -> None:
    """Prevents a text-only work from failing, and from emptying the web with -W."""
    desk.put_recorder("aws")
    work = desk.work({"sources/text.xml": b"text"}, rid="W77")
    (work / "images").mkdir()
    done = desk.run("-W", "-w", "s3://web/Works", "-s", "succeeded", work)
    assert done.returncode == 0
    assert "has no images" in done.stdout
    assert desk.calls("aws") == []


@pytest.mark.parametrize(
    "parent", ["/mnt/web", "s3://", "s3://web/../c", "s3://web/./c", "s3://web//c", "s3://web/a*", "--delete"]
)
def test_a_web_parent_that_is_no_prefix_is_refused(desk: Desk, parent: str) -> None:
    """Prevents -W from removing what lies elsewhere in the bucket."""
    desk.put_recorder("s5cmd")
    done = desk.run("-W", "-w", parent, "-s", "succeeded", desk.work())
    assert done.returncode == 3
    assert desk.calls("s5cmd") == []


# --- what is written


def test_the_inventory_lists_every_file_one_a_line(desk: Desk) -> None:
    """Prevents a name with a line feed from making two files of one in the list."""
    desk.sync()
    header, *lines = (desk.top / "logs" / "sync-inventory" / f"{RID}.tsv").read_text().splitlines()
    assert header == "size\tmtime\tpath"
    listed = {}
    for line in lines:
        size, mtime, path = line.split("\t")
        assert mtime.startswith("2020-01-02T00:00:00.")
        listed[path.replace("%0A", "\n").replace("%25", "%")] = int(size)
    assert listed == {path: len(data) for path, data in NEW.items()}


def test_logs_go_where_the_environment_says(desk: Desk) -> None:
    """Prevents two works that sync in one second from sharing a log."""
    logs = desk.top / "other logs"
    desk.sync(
        syncLogDateTimeDir="",
        syncLogDateTimeFile=str(logs / "sync-now.log"),
        syncLogTempDir=str(logs / "temp"),
        auditToolLogDateTimeDir=str(logs / "audit"),
    )
    record = (logs / "sync-now.log").read_text()
    assert "images/v1/a.jpg" in record
    assert "images/v1/\u0f04 \u0f40 with spaces.jpg" in record
    assert (logs / "sync-inventory" / f"{RID}.tsv").exists()
    assert list((logs / "temp").iterdir()) == []
    assert list((desk.top / "tmp").iterdir()) == []


def test_without_an_environment_the_logs_are_kept_in_a_folder_of_their_own(desk: Desk) -> None:
    """Prevents a run by hand from failing for want of a variable, or from writing beside the work."""
    done = desk.sync(syncLogDateTimeDir="")
    (logs,) = (desk.top / "tmp").iterdir()
    assert str(logs) in done.stdout
    assert (logs / "sync-inventory" / f"{RID}.tsv").exists()
    assert files(desk.work()) == NEW


def test_a_success_list_that_cannot_be_written_is_met_first_and_one_that_can_is_appended_to(
    desk: Desk,
) -> None:
    """Prevents a work that was synced for hours from counting as failed for the want of one line."""
    work = desk.work()
    done = desk.run("-a", "Archive", "-s", "no/such/folder/list", work)
    assert done.returncode == 11
    assert not desk.bucket.exists()
    (desk.top / "succeeded").write_text("W1\n")
    desk.sync()
    assert desk.succeeded() == ["W1", RID]
