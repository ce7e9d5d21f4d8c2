"""The demo's sample works: zipped BagIt bags with drawn pages, made on the spot, some of them bad on purpose.

What belongs here: which samples there are, the drawing of their pages, their bagging and zipping, and the digests of
what was bagged, by which the demo judges the archive for itself. What does not: uploading them, and the platform's own
reading of bags, which must share no line with the code that makes its test.

The same Pillow makes the same bytes each time: every choice follows from the RID, and every date is fixed.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal

from PIL import Image, ImageChops, ImageDraw, ImageFont

Wrong = Literal["checksum", "missing", "no bag"]
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Sample:
    """One sample zip, and what its maker knows about it.

    ``works`` maps the RID of each work in the zip to its payload: the sha256 of each file that was bagged, by its path
    in the work's folder, including the file of ``bad_path``. It is empty for a zip that is no bag. ``files`` and
    ``bytes`` count the payload, or everything in a zip that is no bag. ``wrong`` says what is wrong with a bad sample,
    and is None for a good one.
    """

    rid: str
    zip: Path
    title: str
    works: dict[str, dict[str, str]]
    files: int
    bytes: int
    wrong: Wrong | None
    bad_path: str | None


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
    _Recipe("two volumes", (_Work("W1NLM3827", "legs bshad gter", pages=5, volumes=2),)),
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
    return Sample(rid, zip_path, recipe.title, works, files, size, recipe.wrong, bad_path)


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
    plate = _plate(work.rid, work.name, work.leaf)
    for volume in range(1, work.volumes + 1):
        group = f"{work.rid}-I1KG{work.rid[-4:]}{volume}"
        for number in range(1, work.pages + 1):
            page = _page(plate, f"{group} {number:04d}", str(number))
            name = f"{work.tibetan or group}{number:04d}.jpg"
            yield f"archive/{group}/{name}", _jpeg(page, quality=90)
            yield f"images/{group}/{name}", _jpeg(page.reduce(2), quality=80)
    for number in range(1, work.texts + 1):
        yield f"sources/{work.tibetan or work.rid}-{number:03d}.txt", _text(work, number).encode()


def _snapshots(work: _Work) -> Iterator[tuple[str, bytes]]:
    """Yields files that are no work: they are in no bag, and in none of the folders by which the archive knows
    a work.
    """
    yield "read me.txt", b"Snapshots of the reading room. They were uploaded to the wrong bucket.\n"
    plate = _plate(work.rid, work.name, work.leaf)
    for number in range(1, work.pages + 1):
        page = _page(plate, f"reading room {number}", str(number))
        yield f"reading room/snapshot {number}.jpg", _jpeg(page, quality=90)


def _text(work: _Work, number: int) -> str:
    chance = _chance(work.rid, "text", number)
    syllables = ("བཀྲ", "ཤིས", "བདེ", "ལེགས", "ཆོས", "རྒྱལ", "པོ", "ཡི", "གེ", "རིན", "ཆེན", "དཔེ", "ཆ", "གསར", "མཛོད")
    return "".join("་".join(chance.choices(syllables, k=9)) + "།\n" for _ in range(600))


def _chance(*seed: object) -> random.Random:
    return random.Random(" ".join(map(str, seed)))  # noqa: S311 - it draws pictures


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


@dataclass(frozen=True)
class _Plate:
    """What all pages of a work have in common. It is drawn once, since it is nearly all of the drawing."""

    blank: Image.Image
    lines: Image.Image
    number_font: _Font
    caption_font: _Font


def _plate(rid: str, name: str, size: tuple[int, int]) -> _Plate:
    height = size[1]
    return _Plate(_blank_leaf(rid, name, size), _lines_of_script(rid, size), _font(height // 12), _font(height // 24))


def _page(plate: _Plate, caption: str, number: str) -> Image.Image:
    """Draws a scanned leaf of a pecha: six lines in a red frame, with the work's name and the page's number
    beside it.
    """
    page = plate.blank.copy()
    width, height = page.size
    chance = _chance(caption)
    line_width = int(width * 0.80)
    starts = chance.sample(range(0, plate.lines.width - line_width, line_width // 2), 6)
    for line, start in enumerate(starts):
        mask = plate.lines.crop((start, 0, start + line_width, plate.lines.height))
        page.paste((38, 28, 24), (int(width * 0.10), int(height * (0.16 + 0.115 * line))), mask)
    draw = ImageDraw.Draw(page)
    draw.text((width * 0.945, height * 0.5), number, (120, 30, 22), plate.number_font, anchor="mm")
    draw.text((width * 0.5, height * 0.975), caption, (205, 205, 200), plate.caption_font, anchor="mm")
    return page


def _font(size: int) -> _Font:
    return ImageFont.load_default(max(size, 8))


def _blank_leaf(rid: str, name: str, size: tuple[int, int]) -> Image.Image:
    """Draws the scanner's bed, the paper with its grain, the frame, and the work's name."""
    chance = _chance(rid, "paper")
    width, height = size
    tint = (chance.randrange(222, 240), chance.randrange(200, 216), chance.randrange(158, 182))
    stains = Image.frombytes("L", (24, 8), bytes(chance.randrange(222, 256) for _ in range(24 * 8)))
    # A scanner's noise: without it a page is a tenth of the size of a real one.
    grain = Image.frombytes("L", size, chance.randbytes(width * height)).point(lambda value: 226 + value // 9)
    texture = ImageChops.multiply(stains.resize(size, Image.Resampling.BICUBIC), grain)
    paper = ImageChops.multiply(Image.new("RGB", size, tint), Image.merge("RGB", [texture] * 3))
    leaf = Image.new("RGB", size, (44, 44, 46))
    edge = (int(width * 0.015), int(height * 0.045))
    leaf.paste(paper.crop((*edge, width - edge[0], int(height * 0.95))), edge)
    draw = ImageDraw.Draw(leaf)
    for inset in (0, max(height // 60, 3)):
        frame = (width * 0.09 + inset, height * 0.11 + inset, width * 0.91 - inset, height * 0.885 - inset)
        draw.rectangle(frame, outline=(150, 38, 28), width=max(height // 240, 1))
    margin = Image.new("L", (int(height * 0.75), int(width * 0.06)), 0)
    middle = (margin.width / 2, margin.height / 2)
    ImageDraw.Draw(margin).text(middle, name, 255, _font(height // 15), anchor="mm")
    leaf.paste((120, 30, 22), (int(width * 0.022), int(height * 0.125)), margin.rotate(90, expand=True))
    return leaf


def _lines_of_script(rid: str, size: tuple[int, int]) -> Image.Image:
    """Draws one long line, as a mask, from which each line of each page is cut.

    It only looks like Tibetan (heads along one line, legs, vowels, a dot after each syllable): no Tibetan font can be
    counted on where the demo runs, and drawing the strokes anew for each page would take too long.
    """
    chance = _chance(rid, "script")
    unit = max(size[1] // 40, 3)
    strip = Image.new("L", (size[0] * 12, unit * 9), 0)
    draw = ImageDraw.Draw(strip)
    x, head, stroke = unit, unit * 3, max(unit // 2, 2)
    while x < strip.width - unit * 8:
        for _ in range(chance.randint(1, 3)):
            draw.line((x, head, x + unit * 2, head), 255, stroke)
            for leg in chance.sample((0, 1, 2), chance.randint(1, 2)):
                foot = head + unit * chance.choice((2, 3, 4))
                draw.line((x + unit * leg, head, x + unit * leg, foot), 255, stroke)
            if chance.choice((True, True, False)):
                draw.arc((x, head + unit, x + unit * 2, head + unit * 3), chance.choice((0, 180)), 360, 255, stroke)
            if not chance.randrange(3):
                draw.arc((x, unit, x + unit * 2, head), 160, 380, 255, stroke)
            x += unit * 3
        draw.ellipse((x, head - stroke, x + stroke, head), 255)
        x += unit + stroke
        if not chance.randrange(10):
            draw.line((x + unit, head, x + unit, head + unit * 4), 255, stroke)
            x += unit * 3
    return strip.reduce(2)
