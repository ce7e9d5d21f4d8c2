"""The demo's sample works: zipped BagIt bags with drawn pages, made on the spot, some of them bad on purpose.

What belongs here: which samples there are, their bagging and zipping, and the digests of what was bagged, by which the
demo judges the archive for itself. What does not: the drawing of their pages (``ao_workflows.demo.leaves``), uploading
them, and the platform's own reading of bags, which must share no line with the code that makes its test.

The same Pillow makes the same bytes each time: every choice follows from the RID, and every date is fixed.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal

from ao_workflows.demo.leaves import as_jpeg, chance_of, page_on, plate_of
from ao_workflows.demo.taken_apart import taken_apart

Wrong = Literal["checksum", "missing", "no bag"]


@dataclass(frozen=True)
class Sample:
    """One sample zip, and what its maker knows about it.

    ``works`` maps the RID of each work in the zip to its payload: the sha256 of each file that was bagged, by its path
    in the work's folder, including the file of ``bad_path``. It is empty for a zip that is no bag. ``files`` and
    ``bytes`` count the payload, or everything in a zip that is no bag. ``wrong`` says what is wrong with a bad sample,
    and is None for a good one. ``parts`` has the zips of a work in parts, of which ``zip`` is one; else it is empty.
    """

    rid: str
    zip: Path
    title: str
    works: dict[str, dict[str, str]]
    files: int
    bytes: int
    wrong: Wrong | None
    bad_path: str | None
    parts: tuple[Path, ...] = ()

    @property
    def zips(self) -> tuple[Path, ...]:
        """All zips to upload."""
        return self.parts or (self.zip,)


def make_samples(into: Path, progress: Callable[[Sample], None] | None = None) -> list[Sample]:
    """Makes every sample as ``<RID>.bag.zip`` in a folder, which is made if it is missing, and returns them.

    :param progress: called with each sample that is made, in the caller's thread and in the order of the list.
    """
    into.mkdir(parents=True, exist_ok=True)
    samples: list[Sample] = []
    # Threads, not processes: Pillow, hashlib and file writes release the GIL.
    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        for sample in pool.map(partial(_make, into), _RECIPES):
            samples.append(sample)
            if progress:
                progress(sample)
    finally:
        # Otherwise Ctrl-C would wait for every sample that has not been begun.
        pool.shutdown(cancel_futures=True)
    return samples


@dataclass(frozen=True)
class _Work:
    """The contents of one bag; ``leaf`` is the size of an original in pixels, and a page for the web is half as
    wide.
    """

    rid: str
    name: str
    pages: int = 9
    volumes: int = 1
    leaf: tuple[int, int] = (2200, 720)
    algorithms: tuple[str, ...] = ("sha512",)
    version: str = "1.0"
    texts: int = 0
    tibetan: str = ""


@dataclass(frozen=True)
class _Recipe:
    title: str
    works: tuple[_Work, ...]
    deflated: bool = False
    wrong: Wrong | None = None
    in_parts: bool = False


_RECIPES = (
    # The longest to make comes first, so that no processor waits for it at the end.
    _Recipe(
        "over 1,000 pages in four volumes",
        (_Work("W1NLM1168", "rgyud 'bum", pages=260, volumes=4, leaf=(440, 144)),),
    ),
    _Recipe("one volume, as most works are", (_Work("W1NLM4700", "shes rab snying po"),)),
    _Recipe("one volume, from another library", (_Work("W1FPL2251", "gser 'od dam pa"),)),
    _Recipe("three volumes", (_Work("W22084", "rin chen gter mdzod", pages=4, volumes=3),)),
    _Recipe("Tibetan file names", (_Work("W1KG10233", "sher phyin", texts=1, tibetan="ཤེར་ཕྱིན་"),)),
    _Recipe(
        "sha256 and sha512 manifests side by side",
        (_Work("W1FPL3796", "mdzangs blun", algorithms=("sha256", "sha512")),),
    ),
    _Recipe(
        "two works, each in a bag of its own, in one zip",
        (
            _Work("W29074", "lam rim chen mo", pages=5),
            _Work("W29075", "sngags rim chen mo", pages=5, algorithms=("sha256",)),
        ),
    ),
    _Recipe(
        "a deflated zip, with the text beside its pages",
        (_Work("W1NLM2512", "mi la'i mgur 'bum", pages=5, texts=40),),
        deflated=True,
    ),
    _Recipe(
        "a deflated zip with a sha256 manifest",
        (_Work("W1FPL2019", "bdud rtsi snying po", pages=6, algorithms=("sha256",)),),
        deflated=True,
    ),
    _Recipe(
        "an old bag: BagIt 0.97 with md5",
        (_Work("W8LS66347", "rgyal rabs gsal me", algorithms=("md5",), version="0.97"),),
    ),
    _Recipe(
        "two volumes, in parts", (_Work("W1NLM3827", "legs bshad gter", pages=5, volumes=2, texts=2),), in_parts=True
    ),
    _Recipe("a single page", (_Work("W2PD17489", "bkra shis brtsegs pa", pages=1),)),
    _Recipe("one byte of a page flipped", (_Work("W1NLM5043", "thar rgyan", pages=6),), wrong="checksum"),
    _Recipe("one page missing from the zip", (_Work("W1FPL1405", "spyod 'jug", pages=6),), wrong="missing"),
    _Recipe("a zip that is no bag", (_Work("W1NLM6671", "snapshots", pages=3),), wrong="no bag"),
)


def _make(into: Path, recipe: _Recipe) -> Sample:
    rid = recipe.works[0].rid
    zip_path = into / f"{rid}.bag.zip"
    works: dict[str, dict[str, str]] = {}
    files = size = 0
    bad_path: str | None = None
    method = zipfile.ZIP_DEFLATED if recipe.deflated else zipfile.ZIP_STORED
    with zipfile.ZipFile(zip_path, "w", method) as out:
        for work in recipe.works:
            payload = dict(_snapshots(work) if recipe.wrong == "no bag" else _payload(work))
            files += len(payload)
            size += sum(map(len, payload.values()))
            if recipe.wrong == "no bag":
                _write(out, payload)
                continue
            works[work.rid] = {path: hashlib.sha256(content).hexdigest() for path, content in payload.items()}
            bag = _tag_files(work, payload) | {f"data/{path}": content for path, content in payload.items()}
            if recipe.wrong:
                bad_path = _spoil(bag, recipe.wrong)
            _write(out, {f"{work.rid}.bag/{path}": content for path, content in bag.items()})
    parts = [_part(into, recipe.works[0], *part) for part in taken_apart(rid, payload)] if recipe.in_parts else []
    return Sample(rid, zip_path, recipe.title, works, files, size, recipe.wrong, bad_path, tuple(parts))


def _part(into: Path, work: _Work, name: str, payload: dict[str, bytes]) -> Path:
    """Writes the zip of one part, in place of the whole work's if it has that name, and returns its path."""
    bag = _tag_files(work, payload) | {f"data/{path}": content for path, content in payload.items()}
    with zipfile.ZipFile(into / f"{name}.bag.zip", "w") as out:
        _write(out, {f"{name}.bag/{path}": content for path, content in bag.items()})
    return into / f"{name}.bag.zip"


def _spoil(bag: dict[str, bytes], wrong: Wrong) -> str:
    """Spoils one page of a finished bag, and returns its path; the zip is written after it, so its CRC is right."""
    member = next(path for path in sorted(bag) if path.startswith("data/images/") and path.endswith("0003.jpg"))
    content = bag.pop(member)
    if wrong == "checksum":
        middle = len(content) // 2
        bag[member] = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    return member.removeprefix("data/")


def _write(out: zipfile.ZipFile, files: dict[str, bytes]) -> None:
    """Writes the files after their folders: the archive's own tool writes such folder entries, and knows a bag
    by them.
    """
    paths = [PurePosixPath(path) for path in files]
    folders = {str(folder) for path in paths for folder in path.parents if folder != PurePosixPath()}
    made_on = (2024, 5, 17, 10, 30, 0)
    for folder in sorted(folders):
        entry = zipfile.ZipInfo(f"{folder}/", made_on)
        entry.external_attr = 0o40755 << 16 | 0x10
        out.writestr(entry, b"", zipfile.ZIP_STORED)
    for path, content in files.items():
        entry = zipfile.ZipInfo(path, made_on)
        entry.external_attr = 0o100644 << 16
        out.writestr(entry, content, out.compression)


def _tag_files(work: _Work, payload: dict[str, bytes]) -> dict[str, bytes]:
    """Returns the tag files of a bag of ``payload`` (RFC 8493, sections 2.1 and 2.2)."""
    tags = {
        "bagit.txt": f"BagIt-Version: {work.version}\nTag-File-Character-Encoding: UTF-8\n".encode(),
        "bag-info.txt": (
            f"BDRC-RID: {work.rid}\n"
            "Bagging-Date: 2024-05-17\n"
            f"External-Description: {work.tibetan or work.name}\n"
            f"Payload-Oxum: {sum(map(len, payload.values()))}.{len(payload)}\n"
        ).encode(),
    }
    for algorithm in work.algorithms:
        tags[f"manifest-{algorithm}.txt"] = _manifest(
            algorithm, {f"data/{path}": content for path, content in payload.items()}
        )
    return tags | {f"tagmanifest-{algorithm}.txt": _manifest(algorithm, tags) for algorithm in work.algorithms}


def _manifest(algorithm: str, files: dict[str, bytes]) -> bytes:
    return "".join(
        f"{hashlib.new(algorithm, content).hexdigest()}  {path}\n" for path, content in sorted(files.items())
    ).encode()


def _payload(work: _Work) -> Iterator[tuple[str, bytes]]:
    """Yields path and content of each file of a work: originals, pages for the web, and texts if it has any."""
    plate = plate_of(work.rid, work.name, work.leaf)
    for volume in range(1, work.volumes + 1):
        group = f"{work.rid}-I1KG{work.rid[-4:]}{volume}"
        for number in range(1, work.pages + 1):
            page = page_on(plate, f"{group} {number:04d}", str(number))
            name = f"{work.tibetan or group}{number:04d}.jpg"
            yield f"archive/{group}/{name}", as_jpeg(page, quality=90)
            yield f"images/{group}/{name}", as_jpeg(page.reduce(2), quality=80)
    for number in range(1, work.texts + 1):
        yield f"sources/{work.tibetan or work.rid}-{number:03d}.txt", _text(work, number).encode()


def _snapshots(work: _Work) -> Iterator[tuple[str, bytes]]:
    """Yields files that are no work: they are in no bag, and in none of the folders by which the archive knows
    a work.
    """
    yield "read me.txt", b"Snapshots of the reading room. They were uploaded to the wrong bucket.\n"
    plate = plate_of(work.rid, work.name, work.leaf)
    for number in range(1, work.pages + 1):
        page = page_on(plate, f"reading room {number}", str(number))
        yield f"reading room/snapshot {number}.jpg", as_jpeg(page, quality=90)


def _text(work: _Work, number: int) -> str:
    chance = chance_of(work.rid, "text", number)
    syllables = ("བཀྲ", "ཤིས", "བདེ", "ལེགས", "ཆོས", "རྒྱལ", "པོ", "ཡི", "གེ", "རིན", "ཆེན", "དཔེ", "ཆ", "གསར", "མཛོད")
    return "".join("་".join(chance.choices(syllables, k=9)) + "།\n" for _ in range(600))
