"""Every kind of image file is read rightly or refused with its reason."""

import pickle
import random
import struct
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from threading import Barrier

import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat

from crossprompt.data import (
    UndecodableImageError,
    UnreadableImageError,
    check_images,
    decode_image,
    images,
    read_image,
)
from crossprompt.errors import RequestError

Make = Callable[[Path], None]
Pixels = list[tuple[int, int, int]]

RED, GREEN, BLUE, WHITE, BLACK = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 255),
    (0, 0, 0),
)


def pixels(image: Image.Image) -> Pixels:
    return [image.getpixel((x, y)) for y in range(image.height) for x in range(image.width)]


def row(mode: str, values: list[object]) -> Image.Image:
    image = Image.new(mode, (len(values), 1))
    for x, value in enumerate(values):
        image.putpixel((x, 0), value)
    return image


def palette() -> Image.Image:
    image = row("P", [0, 1, 2])
    image.putpalette([*RED, *GREEN, *BLUE])
    return image


def grays(path: Path) -> None:
    row("I;16", [0, 511, 65535]).save(path)


def pgm(path: Path) -> None:
    path.write_bytes(b"P5 3 1 65535\n" + struct.pack(">3H", 0, 511, 65535))


def sixteen_bit_colors(path: Path) -> None:
    rows = b"\0" + struct.pack(">6H", 65535, 0, 0, 0, 0, 65535)
    path.write_bytes(png(2, 1, depth=16, color_type=2, rows=rows))


def transparent_gray(path: Path) -> None:
    row("L", [0, 255, 9]).save(path, transparency=9)


def transparent_palette(path: Path) -> None:
    palette().save(path, transparency=bytes([255, 0, 255]))


def transparent_gif(path: Path) -> None:
    palette().save(path, transparency=1)


def animation(path: Path) -> None:
    frames = [Image.new("RGB", (2, 1), color) for color in (RED, GREEN, BLUE)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def cmyk(path: Path) -> None:
    Image.new("CMYK", (2, 1), (0, 255, 255, 0)).save(path, quality=100)


def bits(path: Path) -> None:
    row("1", [0, 255]).save(path)


def saved(mode: str, values: list[object]) -> Make:
    return lambda path: row(mode, values).save(path)


def png(width: int, height: int, depth: int, color_type: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*parts) for parts in chunks)


READABLE: dict[str, tuple[Make, Pixels]] = {
    "16-bit.png": (grays, [BLACK, (2, 2, 2), WHITE]),
    "16-bit.tif": (grays, [BLACK, (2, 2, 2), WHITE]),
    "16-bit.pgm": (pgm, [BLACK, (2, 2, 2), WHITE]),
    "16-bit colors.png": (sixteen_bit_colors, [RED, BLUE]),
    "cmyk.tif": (cmyk, [RED, RED]),
    "palette.png": (lambda path: palette().save(path), [RED, GREEN, BLUE]),
    "transparent palette.png": (transparent_palette, [RED, WHITE, BLUE]),
    "transparent.gif": (transparent_gif, [RED, WHITE, BLUE]),
    "transparent gray.png": (transparent_gray, [BLACK, WHITE, WHITE]),
    "1-bit.png": (bits, [BLACK, WHITE]),
    "gray.bmp": (saved("L", [0, 255]), [BLACK, WHITE]),
    "LA.png": (saved("LA", [(0, 255), (0, 0), (0, 51)]), [BLACK, WHITE, (204, 204, 204)]),
    "RGBA.png": (
        saved("RGBA", [(*RED, 255), (*RED, 0), (*RED, 51)]),
        [RED, WHITE, (255, 204, 204)],
    ),
    "animated.gif": (animation, [RED, RED]),
    "animated.png": (animation, [RED, RED]),
    "pages.tif": (animation, [RED, RED]),
    "no ending": (lambda path: row("RGB", [RED, BLUE]).save(path, "png"), [RED, BLUE]),
    "名前 ü.png": (saved("RGB", [RED, BLUE]), [RED, BLUE]),
}


@pytest.mark.parametrize("name", READABLE)
def test_an_image_of_any_kind_is_read_as_rgb(tmp_path: Path, name: str) -> None:
    make, expected = READABLE[name]
    make(tmp_path / name)
    image = read_image(tmp_path / name)
    assert (image.mode, image.height, pixels(image)) == ("RGB", 1, expected)


def test_a_cmyk_jpeg_keeps_its_colors(tmp_path: Path) -> None:
    cmyk(tmp_path / "cmyk.jpg")
    with Image.open(tmp_path / "cmyk.jpg") as opened:
        assert opened.mode == "CMYK"
    red, green, blue = pixels(read_image(tmp_path / "cmyk.jpg"))[0]
    assert red > 250
    assert max(green, blue) < 5


@pytest.mark.parametrize("ending", ["png", "tif", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_upright_as_its_exif_says(
    tmp_path: Path, ending: str, orientation: int
) -> None:
    path = tmp_path / f"rotated.{ending}"
    image = Image.new("RGB", (32, 16), BLACK)
    image.paste(WHITE, (0, 0, 8, 8))
    image.paste(RED, (8, 0, 32, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)
    with Image.open(path) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    assert pixels(read_image(path)) == pixels(upright)
    assert read_image(path).size == ((16, 32) if orientation > 4 else (32, 16))


@pytest.mark.parametrize("ending", ["png", "jpg"])
@pytest.mark.parametrize("exif", [b"garbage", b"II*\0\x08\0\0\0\xff\xff", b"MM\0*\0"])
def test_damaged_metadata_does_not_harm_the_image(tmp_path: Path, exif: bytes, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    Image.new("RGB", (8, 8), RED).save(path, exif=b"Exif\0\0" + exif)
    assert read_image(path).size == (8, 8)


def encoded(form: str, mode: str = "RGB") -> bytes:
    stream = BytesIO()
    noise = Image.frombytes("RGB", (48, 48), random.Random(0).randbytes(48 * 48 * 3))
    noise.convert(mode).save(stream, form)
    return stream.getvalue()


def flipped_checksum() -> bytes:
    content = bytearray(encoded("png"))
    content[len(content) // 2] ^= 0xFF
    return bytes(content)


def float_tiff() -> bytes:
    stream = BytesIO()
    Image.new("F", (2, 2), 0.5).save(stream, "tiff")
    return stream.getvalue()


UNREADABLE = {
    "empty.jpg": (b"", "the file is empty (0 bytes)"),
    "text.png": (b"hello, world", "not an image format Pillow can read"),
    "garbage.gif": (random.Random(1).randbytes(5000), "not an image format Pillow can read"),
    "photo.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(400), "not an image format"),
    "truncated.jpg": (encoded("jpeg")[:1500], "cannot be decoded: "),
    "truncated.png": (encoded("png")[:1500], "cannot be decoded: "),
    "truncated.gif": (encoded("gif", "P")[:1500], "cannot be decoded: "),
    "truncated.bmp": (encoded("bmp")[:1500], "cannot be decoded: "),
    "truncated.tif": (encoded("tiff")[:1500], "cannot be decoded: "),
    "checksum.png": (flipped_checksum(), "cannot be decoded: "),
    "bomb.png": (png(60_000, 60_000, 8, 2, b""), "3600000000 pixels"),
    "float.tif": (float_tiff(), "32-bit pixels (mode F) have no fixed range"),
    "drawing.eps": (encoded("eps"), "not an image format Pillow can read"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    content, reason = UNREADABLE[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableImageError) as raised:
        read_image(tmp_path / name)
    assert str(tmp_path / name) in str(raised.value)
    assert reason in raised.value.bad.reason


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="no such file"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(UnreadableImageError, match="a folder"):
        read_image(tmp_path)


@pytest.mark.parametrize("form", ["jpeg", "png", "gif", "bmp", "tiff", "ppm", "tga", "ico"])
def test_no_damage_ever_raises_anything_else(tmp_path: Path, form: str) -> None:
    stream, whole = random.Random(form), encoded(form, "P" if form == "gif" else "RGB")
    path = tmp_path / "damaged"
    for _ in range(40):
        content = bytearray(whole[: stream.randrange(1, len(whole) + 1)])
        for _ in range(stream.randrange(8)):
            content[stream.randrange(min(len(content), 200))] = stream.randrange(256)
        path.write_bytes(content)
        with suppress(UnreadableImageError):
            assert read_image(path).mode == "RGB"


def test_an_image_that_pillow_only_warns_about_is_read_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (4, 4), RED).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "large.png").size == (4, 4)


def test_reading_in_threads_leaves_the_warning_filters_alone(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), RED).save(tmp_path / "a.png")
    before = list(warnings.filters)
    together = Barrier(4)

    def read(_: int) -> None:
        together.wait()
        for _ in range(20):
            read_image(tmp_path / "a.png")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read, range(4)))
    assert list(warnings.filters) == before


def test_warnings_are_ignored_until_the_last_reader_is_done() -> None:
    def warn() -> None:
        warnings.warn_explicit("large", UserWarning, "Image.py", 1, module="PIL.Image")

    with images._pillow_warnings_ignored:
        with images._pillow_warnings_ignored:
            warn()
        warn()
    with pytest.warns(UserWarning, match="large"):
        warn()


def test_an_unreadable_image_can_be_reported_from_another_process(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError) as raised:
        read_image(tmp_path / "none.jpg")
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.bad) == (str(raised.value), raised.value.bad)


def test_bad_images_are_listed_in_one_error_with_reasons_and_the_way_out(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number:02d}.png" for number in range(25)]
    for path in paths[:23]:
        path.write_bytes(b"")
    for path in paths[23:]:
        Image.new("RGB", (1, 1)).save(path)
    with pytest.raises(RequestError) as raised:
        check_images(paths)
    first, *lines = str(raised.value).splitlines()
    assert first.startswith("23 of 25 images cannot be read")
    assert "--skip-bad-images" in first
    assert lines[0] == f"  {paths[0]}: the file is empty (0 bytes)"
    assert lines[20:] == ["  and 3 more"]


def test_skipped_images_come_back_in_order_and_progress_counts_each_file_once(
    tmp_path: Path,
) -> None:
    good, empty, text = tmp_path / "good.png", tmp_path / "empty.png", tmp_path / "text.png"
    Image.new("RGB", (1, 1)).save(good)
    empty.write_bytes(b"")
    text.write_text("no image")
    calls: list[tuple[int, int]] = []
    bad = check_images([text, good, empty, good], True, lambda *counts: calls.append(counts))
    assert [image.path for image in bad] == [text, empty]
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_no_images_are_no_error() -> None:
    assert check_images([]) == []


def photograph(width: int, height: int) -> Image.Image:
    """Smooth, as photographs are at this scale, with a mark in the upper left corner."""
    image = Image.radial_gradient("L").resize((width, height), Image.Resampling.BICUBIC)
    image = Image.merge("RGB", [image, ImageOps.mirror(image), ImageOps.invert(image)])
    image.paste("red", (0, 0, width // 4, height // 4))
    return image


@pytest.mark.parametrize(
    ("enough", "size"),
    [(None, (640, 480)), (300, (640, 480)), (240, (320, 240)), (100, (160, 120)), (1, (80, 60))],
)
def test_a_jpeg_is_decoded_no_larger_than_enough(
    tmp_path: Path, enough: int | None, size: tuple[int, int]
) -> None:
    path = tmp_path / "photo.jpg"
    photograph(640, 480).save(path, quality=95)
    found = read_image(path, enough)
    assert found.size == size
    expected = read_image(path).resize(size, Image.Resampling.BOX)
    difference = ImageChops.difference(found, expected)
    assert max(ImageStat.Stat(difference).mean) < 1


def test_what_is_no_jpeg_is_decoded_whole(tmp_path: Path) -> None:
    for ending in ("png", "webp", "tif"):
        photograph(64, 48).save(tmp_path / f"a.{ending}")
        assert read_image(tmp_path / f"a.{ending}", enough=1).size == (64, 48)


def test_a_small_decoding_is_upright_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn to the right
    photograph(640, 480).save(tmp_path / "a.jpg", exif=exif, quality=95)
    found = read_image(tmp_path / "a.jpg", enough=100)
    assert found.size == (120, 160)
    red, green, blue = found.getpixel((100, 10))  # the mark, now in the upper right corner
    assert red > 200
    assert max(green, blue) < 50


def test_a_jpeg_cut_short_is_refused_however_small_it_is_decoded(tmp_path: Path) -> None:
    photograph(640, 480).save(tmp_path / "whole.jpg", quality=95)
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(UnreadableImageError, match="truncated"):
        read_image(tmp_path / "cut.jpg", enough=1)
    (bad,) = check_images([tmp_path / "whole.jpg", tmp_path / "cut.jpg"], skip_bad=True)
    assert bad.path == tmp_path / "cut.jpg"


@pytest.mark.parametrize("name", READABLE)
def test_bytes_are_decoded_as_the_file_is(tmp_path: Path, name: str) -> None:
    make, expected = READABLE[name]
    make(tmp_path / name)
    image = decode_image(BytesIO((tmp_path / name).read_bytes()))
    assert (image.mode, pixels(image)) == ("RGB", expected)


@pytest.mark.parametrize("name", UNREADABLE)
def test_bytes_are_refused_for_the_reason_that_the_file_is(tmp_path: Path, name: str) -> None:
    content, reason = UNREADABLE[name]
    with pytest.raises(UndecodableImageError) as raised:
        decode_image(BytesIO(content))
    assert reason in str(raised.value)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableImageError) as read:
        read_image(tmp_path / name)
    # Pillow's own words name where it read from
    assert str(raised.value).partition(":")[0] == read.value.bad.reason.partition(":")[0]


def test_bytes_of_a_jpeg_are_decoded_no_larger_than_enough() -> None:
    stream = BytesIO()
    photograph(640, 480).save(stream, "jpeg", quality=95)
    assert decode_image(stream, enough=100).size == (160, 120)


def test_only_the_formats_that_are_taken_are_decoded() -> None:
    assert decode_image(BytesIO(encoded("png")), formats=["PNG"]).size == (48, 48)
    with pytest.raises(UndecodableImageError, match="format"):
        decode_image(BytesIO(encoded("png")), formats=["JPEG"])
    with pytest.raises(UndecodableImageError, match="format"):
        decode_image(BytesIO(encoded("eps")), formats=["EPS"])  # which needs another program


def test_more_pixels_than_wanted_are_refused_before_any_is_decoded() -> None:
    content = png(300, 200, 8, 2, b"")  # which holds none of them
    with pytest.raises(UndecodableImageError, match=r"300 x 200.*59,999"):
        decode_image(BytesIO(content), most_pixels=59_999)
    with pytest.raises(UndecodableImageError, match="cannot be decoded"):
        decode_image(BytesIO(content), most_pixels=60_000)
    assert decode_image(BytesIO(encoded("png")), most_pixels=48 * 48).size == (48, 48)
