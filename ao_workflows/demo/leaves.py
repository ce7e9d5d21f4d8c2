"""The pages of the demo's works: leaves of a pecha, drawn on the spot.

What belongs here: the drawing. What does not: which works have which pages (``ao_workflows.demo.samples``).

The same Pillow draws the same each time: every choice follows from the RID.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageFont

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def chance_of(*seed: object) -> random.Random:
    """Returns a chance that is the same each time for the same seed."""
    return random.Random(" ".join(map(str, seed)))  # noqa: S311 - it draws pictures


def as_jpeg(picture: Image.Image, quality: int) -> bytes:
    """Returns a picture as the bytes of a JPEG."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


@dataclass(frozen=True)
class Plate:
    """What all pages of a work have in common. It is drawn once, since it is nearly all of the drawing."""

    blank: Image.Image
    lines: Image.Image
    number_font: _Font
    caption_font: _Font


def plate_of(rid: str, name: str, size: tuple[int, int]) -> Plate:
    """Draws what all pages of a work have in common; ``size`` is that of a page in pixels."""
    height = size[1]
    return Plate(_blank_leaf(rid, name, size), _lines_of_script(rid, size), _font(height // 12), _font(height // 24))


def page_on(plate: Plate, caption: str, number: str) -> Image.Image:
    """Draws a scanned leaf of a pecha: six lines in a red frame, with the work's name and the page's number
    beside it.
    """
    page = plate.blank.copy()
    width, height = page.size
    chance = chance_of(caption)
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
    chance = chance_of(rid, "paper")
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
    chance = chance_of(rid, "script")
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
