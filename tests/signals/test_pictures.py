"""Pictures against NumPy and Pillow: read as grids, written rounded and clipped, refused by name."""

from __future__ import annotations

import io
import os
import signal
import struct
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image, ImageOps

from convtool import isolation
from convtool.errors import InputError
from convtool.isolation import Children
from convtool.signals import pictures
from convtool.signals.inputs import Input, expand
from convtool.signals.opening import ReadOptions, open_reader
from convtool.signals.signal import Signal

Convtool = Callable[..., Any]
Pixels = NDArray[Any]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(isolation, "_here", False)
    handlers = {"decode": pictures._decode, "take": pictures._take}
    monkeypatch.setattr(pictures, "_CHILDREN", Children(handlers, keep=0))  # forked after what a test has put in place
    return tmp_path


def noise(*shape: int, most: int = 255) -> Pixels:
    return np.random.default_rng(0).integers(0, most + 1, shape, np.uint8 if most == 255 else np.uint16)


def save(path: str, pixels: Pixels, **options: Any) -> Pixels:
    Image.fromarray(pixels).save(path, **options)
    return pixels


def load(path: str | io.BytesIO) -> Pixels:
    with Image.open(path) as picture:
        return np.asarray(picture)


def read(path: str, **options: Any) -> tuple[Pixels, Signal, list[str]]:
    """The pixels ``(..., rows, columns)``, the description and the notes of a picture, read a few rows at a time."""
    with open_reader(Input.of_word(path), ReadOptions(**options)) as reader:
        blocks = list(reader.blocks(100))
        assert len(blocks) > 1
        return np.concatenate(blocks, axis=-1).swapaxes(-1, -2), reader.signal, reader.notes


@pytest.mark.parametrize("path", ["a.png", "a.tif", "a.tiff"])
@pytest.mark.parametrize(
    ("shape", "most", "subtype"),
    [
        ((9, 21), 255, "8"),
        ((9, 21), 65535, "16"),
        ((9, 21, 2), 255, "8"),
        ((9, 21, 3), 255, "8"),
        ((9, 21, 4), 255, "8"),
    ],
)
def test_every_number_of_a_picture_comes_back(path: str, shape: tuple[int, ...], most: int, subtype: str) -> None:
    pixels = save(path, noise(*shape, most=most))
    found, signal, notes = read(path)
    assert np.array_equal(found, np.moveaxis(pixels, -1, 0) if pixels.ndim == 3 else pixels)
    format = "PNG" if path == "a.png" else "TIFF"
    assert (signal.format, signal.subtype, signal.dtype, notes) == (format, subtype, "int64", [])
    assert (signal.frames, signal.channels, signal.batch) == (9, 21, shape[2] if len(shape) == 3 else None)
    assert read(path, exact=False)[1].dtype == "float64"


def test_a_jpeg_is_what_pillow_makes_of_it() -> None:
    save("a.jpg", noise(16, 24, 3))
    assert np.array_equal(read("a.jpg")[0], np.moveaxis(load("a.jpg"), -1, 0))


def test_a_picture_comes_from_the_child_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "SHARED_BYTES", 100)
    pixels = save("a.tif", noise(9, 21, most=65535))
    assert np.array_equal(read("a.tif")[0], pixels)


def test_workers_decode_pictures_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_here", True)
    monkeypatch.setattr(pictures, "_CHILDREN", None)
    pixels = save("a.png", noise(9, 21))
    assert np.array_equal(read("a.png")[0], pixels)


def test_a_picture_that_crashes_its_decoder_is_one_line(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    save("a.png", noise(9, 21))
    monkeypatch.setattr(ImageOps, "exif_transpose", lambda _: os.kill(os.getpid(), signal.SIGKILL))
    run = convtool("local-var", "a.png", "-w", "3x3")
    assert (run.code, run.out) == (1, "")
    assert run.err == "Error: a.png: the decoder crashed on it (SIGKILL): the file is damaged\n"


def test_pictures_that_are_stored_otherwise() -> None:
    colours = Image.fromarray(noise(9, 21, 3))
    colours.quantize(8).save("palette.png")
    assert np.array_equal(
        read("palette.png")[0], np.moveaxis(np.asarray(Image.open("palette.png").convert("RGB")), -1, 0)
    )
    colours.quantize(8).save("clear.png", transparency=0)
    assert read("clear.png")[1].batch == 4
    Image.fromarray(noise(9, 21)).convert("1").save("bits.png")
    assert set(read("bits.png")[0].ravel().tolist()) == {0, 255}
    colours.convert("CMYK").save("print.jpg")
    _, signal, notes = read("print.jpg")
    assert (signal.batch, notes) == (3, ["its colours are CMYK, and were made RGB"])
    heights = np.random.default_rng(0).normal(size=(9, 21)).astype(np.float32)
    save("heights.tif", heights)
    found, signal, _ = read("heights.tif")
    assert np.array_equal(found, heights)
    assert (signal.dtype, signal.subtype) == ("float32", "FLOAT")


def tiff(
    pixels: Pixels, order: str, kind: int, bands: int = 1, light: int = 1, extra: int | None = None, big: bool = False
) -> bytes:
    """A TIFF of the numbers of `pixels` ``(rows, columns[, bands])``, by hand; a BigTIFF where `big`."""
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    place, number, head = ("Q", 8, 16) if big else ("I", 4, 8)  # Pillow reads no BigTIFF of the other byte order
    tags = {
        256: ("I", [pixels.shape[1]]),
        257: ("I", [pixels.shape[0]]),
        258: ("H", [8 * pixels.itemsize] * bands),
        259: ("H", [1]),
        262: ("H", [light]),
        273: ("I", [0]),
        277: ("H", [bands]),
        278: ("I", [pixels.shape[0]]),
        279: ("I", [len(data)]),
        338: ("H", [extra]),
        339: ("H", [kind] * bands),
    }
    if extra is None:
        del tags[338]
    entry = 4 + 2 * number
    end = head + (8 if big else 2) + entry * len(tags) + number
    long = [tag for tag, (form, values) in tags.items() if struct.calcsize(form) * len(values) > number]
    starts = {tag: end + 16 * index for index, tag in enumerate(long)}
    tags[273] = ("I", [end + 16 * len(long)])
    entries, behind = b"", b""
    for tag, (form, values) in tags.items():
        packed = struct.pack(f"{order}{len(values)}{form}", *values)
        if tag in starts:
            behind += packed.ljust(16, b"\0")
            packed = struct.pack(order + place, starts[tag])
        entries += struct.pack(f"{order}HH{place}", tag, {"H": 3, "I": 4}[form], len(values))
        entries += packed.ljust(number, b"\0")
    magic = b"II" if order == "<" else b"MM"
    first = struct.pack(order + ("HHHQQ" if big else "HIH"), *((43, 8, 0, 16) if big else (42, 8)), len(tags))
    return magic + first + entries + bytes(number) + behind + data


def ramp(dtype: str) -> Pixels:
    """Numbers from the least to the most that `dtype` holds."""
    if dtype.startswith("f"):
        return np.linspace(-1.5, 1.5, 6 * 20, dtype=dtype).reshape(6, 20)
    info = np.iinfo(dtype)
    return (
        np.linspace(float(info.min), float(info.max), 6 * 20)
        .astype("f8")
        .clip(max=info.max)
        .astype(dtype)[np.arange(6 * 20).reshape(6, 20)]
    )


@pytest.mark.parametrize(
    ("dtype", "order", "kind"),
    [
        ("u1", "<", 1),
        ("i1", "<", 2),
        ("i1", ">", 2),
        ("u2", "<", 1),
        ("u2", ">", 1),
        ("i2", "<", 2),
        ("i2", ">", 2),
        ("u4", "<", 1),
        ("i4", "<", 2),
        ("i4", ">", 2),
        ("f4", "<", 3),
        ("f4", ">", 3),
    ],
)
def test_a_tiff_is_read_as_the_numbers_that_it_holds(convtool: Convtool, dtype: str, order: str, kind: int) -> None:
    Path("a.tif").write_bytes(tiff(ramp(dtype), order, kind, big=order == "<"))
    found, signal, notes = read("a.tif")
    assert np.array_equal(found, ramp(dtype))
    assert (signal.dtype, notes) == ("float32" if kind == 3 else "int64", [])
    assert convtool("local-var", "a.tif", "-w", "1x1", "--stat", "max", "-o", "b.tif").err == ""
    assert np.array_equal(load("b.tif"), ramp(dtype).astype(np.float32))


@pytest.mark.parametrize(
    ("dtype", "kind", "bands", "words"),
    [
        ("f8", 3, 1, "1 float of 64 bits, which Pillow does not read as they are; save it with 16, or as floats of 32"),
        ("f2", 3, 1, "1 float of 16 bits"),
        ("i8", 2, 1, "1 signed number of 64 bits"),
        ("c8", 6, 1, "1 number of 64 bits"),
        ("u2", 1, 3, "3 whole numbers of 16 bits, which Pillow does not read as they are; save it with 8, or as grey"),
        ("f4", 3, 3, "3 floats of 32 bits"),
        ("i1", 2, 3, "3 signed numbers of 8 bits"),
    ],
)
def test_a_tiff_of_other_numbers_is_refused_by_name(dtype: str, kind: int, bands: int, words: str) -> None:
    pixels = np.zeros((6, 20, bands) if bands > 1 else (6, 20), dtype)
    Path("a.tif").write_bytes(tiff(pixels, "<", kind, bands, light=1 if bands == 1 else 2))
    with pytest.raises(InputError, match=f"its pixels are {words}"):
        read("a.tif")


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_in_a_tiff_that_has_white_at_0_light_is_turned_round(dtype: str) -> None:
    Path("a.tif").write_bytes(tiff(ramp(dtype), "<", 1, light=0))
    assert np.array_equal(read("a.tif")[0], np.iinfo(dtype).max - ramp(dtype))


def test_numbers_beside_the_colours_of_a_tiff_are_left_out_and_told() -> None:
    pixels = noise(6, 20, 4)
    Path("a.tif").write_bytes(tiff(pixels, "<", 1, 4, light=2, extra=0))
    found, _, notes = read("a.tif")
    assert np.array_equal(found, np.moveaxis(pixels[..., :3], -1, 0))
    assert notes == ["its pixels are 4 numbers, of which the first 3 are read"]


def test_a_tiff_that_pillow_does_not_know_is_no_riddle() -> None:
    Path("a.tif").write_bytes(tiff(ramp("u4"), ">", 1))
    with pytest.raises(InputError, match="can't be decoded as TIFF: it is damaged, or of a kind that Pillow lacks"):
        read("a.tif")


@pytest.mark.parametrize("path", ["a.png", "a.tif", "b.tif"])
def test_a_photo_stands_upright(path: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned to the right
    pixels = save(path, ramp("i4") if path == "b.tif" else noise(9, 21), exif=exif)
    with open_reader(Input.of_word(path), ReadOptions()) as reader:
        assert np.array_equal(reader.read(100).T, np.rot90(pixels, -1))
        assert reader.remarks == ["turned upright, as its EXIF says (orientation 6)"]


@pytest.mark.parametrize("path", ["a.tif", "a.png"])
def test_of_several_pictures_in_a_file_the_first_is_read(path: str) -> None:
    pages = [Image.fromarray(noise(9, 21)), Image.fromarray(noise(9, 21) // 2)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    found, _, notes = read(path)
    assert np.array_equal(found, noise(9, 21))
    assert notes == ["it holds 2 pictures; the first is read"]


def test_what_pillow_warns_of_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def transpose(picture: Image.Image) -> Image.Image:
        warnings.warn("its profile is odd ", UserWarning, stacklevel=1)
        return picture

    save("a.png", noise(9, 21))
    monkeypatch.setattr(ImageOps, "exif_transpose", transpose)
    assert read("a.png")[2] == ["its profile is odd"]


def test_colours_of_16_bits_are_refused_by_name() -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
    Path("a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(7))) + chunk(b"IEND", b"")
    )
    assert load("a.png").dtype == np.uint8
    with pytest.raises(InputError, match="it is a PNG of 16 bits with colours, of which Pillow reads 8"):
        read("a.png")


@pytest.mark.parametrize("path", ["a.png", "a.jpg", "a.tif"])
@pytest.mark.parametrize("end", [30, 300])
def test_a_damaged_picture_is_one_line(convtool: Convtool, path: str, end: int) -> None:
    save(path, noise(30, 30))
    Path(path).write_bytes(Path(path).read_bytes()[:end])
    run = convtool("local-var", path, "-w", "2x2")
    assert (run.code, run.out, run.err.count("\n")) == (1, "", 1)
    format = {"png": "PNG", "jpg": "JPEG", "tif": "TIFF"}[path[2:]]
    assert run.err.startswith(f"Error: {path}: can't be decoded as {format}: ")


def test_a_picture_of_too_many_pixels_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    save("a.png", noise(9, 21))
    monkeypatch.setattr(pictures, "_MOST_PIXELS", 188)
    with pytest.raises(InputError, match="it has 21 x 9 pixels; at most 188 are read"):
        read("a.png")


@pytest.mark.parametrize("arguments", [["a.png"], ["1,2", "-o", "b.png"]])
def test_without_pillow_the_extra_is_named(
    convtool: Convtool, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    save("a.png", noise(9, 21))
    monkeypatch.setitem(sys.modules, "PIL", None)
    run = convtool("convolve", *arguments, "-k", "1")
    assert (run.code, run.out) == (2, "")
    assert "a picture needs Pillow, which is not installed: pip install 'convtool[image]'" in run.err


def test_the_texture_of_a_photo(convtool: Convtool) -> None:
    pixels = save("photo.png", noise(30, 40, 3) // 10)
    run = convtool("local-var", "photo.png", "-w", "5x5", "-o", "texture.png")
    assert (run.code, run.err) == (0, "")
    expected = sliding_window_view(pixels.astype(float), (5, 5), (0, 1)).var((-1, -2))
    assert np.array_equal(load("texture.png"), np.rint(expected))


def test_what_a_picture_can_not_hold_is_clipped_and_counted(convtool: Convtool) -> None:
    pixels = save("a.png", noise(20, 30))
    results = 2.0 * pixels - 100
    run = convtool("rescale", "a.png", "--method", "minmax", "--range", "-100:410", "--fit", "ends.csv", "-o", "b.png")
    assert run.code != 0  # there is no such file
    Path("ends.csv").write_text("0\n255\n")
    run = convtool("rescale", "a.png", "--range", "-100:410", "--fit", "ends.csv", "-o", "b.png")
    clipped = int(((results < 0) | (results > 255)).sum())
    told = (
        f"Warning: a.png: {clipped} values clipped to 0:255, the results go from {results.min():g} to "
        f"{results.max():g}; write .npy, and bring that to the range with rescale\n"
    )
    assert (run.code, run.err) == (0, told)
    assert np.array_equal(load("b.png"), results.clip(0, 255))
    run = convtool("rescale", "a.png", "--range", "-100:410", "--fit", "ends.csv", "-o", "c.png", "--fail-on-clip")
    assert (run.code, Path("c.png").exists()) == (3, False)


@pytest.mark.parametrize(
    ("output", "subtype", "most"), [("b.png", "16", 65535), ("b.tif", "8", 255), ("b.tif", None, 65535)]
)
def test_depths(convtool: Convtool, output: str, subtype: str | None, most: int) -> None:
    pixels = save("a.tif", noise(9, 21, most=65535) // 2)
    options = [] if subtype is None else ["--subtype", subtype]
    assert convtool("local-var", "a.tif", "-w", "1x1", "--stat", "max", "-o", output, *options).code == 0
    assert np.array_equal(load(output), pixels.clip(0, most))


def test_a_tiff_of_floats_holds_what_other_pictures_do_not(convtool: Convtool) -> None:
    values = np.array([[-1.5, 0.25, np.nan], [1e30, np.inf, 70000.5]], np.float32)
    np.save("a.npy", values)
    run = convtool("local-var", "a.npy", "-w", "1x1", "--stat", "max", "-o", "a.tif", "--subtype", "float")
    assert (run.code, run.err) == (0, "")
    assert np.array_equal(load("a.tif"), values, equal_nan=True)
    np.save("b.npy", np.array([[1e300, -1e39], [0, np.inf]]))
    run = convtool("local-var", "b.npy", "-w", "1x1", "--stat", "max", "-o", "b.tif", "--subtype", "FLOAT")
    assert run.code == 1
    assert run.err == "Error: b.npy: 2 results past what a float of 32 bits holds; write .npy\n"
    save("c.png", noise(9, 7, 3))
    run = convtool("local-var", "c.png", "-w", "1x1", "-o", "c.tif", "--subtype", "FLOAT")
    assert (run.code, "a TIFF picture of 3 colours is written with 8 bits" in run.err) == (1, True)


def test_results_of_which_a_picture_keeps_next_to_nothing_are_told(convtool: Convtool) -> None:
    save("a.tif", np.linspace(0, 1, 189, dtype=np.float32).reshape(9, 21))
    run = convtool("local-var", "a.tif", "-w", "1x1", "--stat", "max", "-o", "a.png")
    told = (
        "Warning: a.tif: the results go from 0 to 1, and were rounded to whole numbers; .tif with --subtype FLOAT, or "
        ".npy, holds them as they are\n"
    )
    assert (run.code, run.err) == (0, told)
    np.save("b.npy", np.array([[0, 1], [2, 1]]))
    assert convtool("local-var", "b.npy", "-w", "1x1", "--stat", "max", "-o", "b.png").err == ""


def test_arrays_become_pictures_and_pictures_arrays(convtool: Convtool) -> None:
    pixels = noise(9, 21)
    np.save("a.npy", pixels)
    assert convtool("rescale", "a.npy", "--method", "clip", "--range", "0:255", "-o", "a.png").code == 0
    assert np.array_equal(load("a.png"), pixels)
    assert convtool("local-var", "a.npy", "-w", "1x1", "--stat", "max", "-o", "b.png").code == 0
    assert np.array_equal(load("b.png"), pixels)
    assert convtool("local-var", "a.png", "-w", "1x1", "--stat", "max", "-o", "b.npy").code == 0
    assert np.array_equal(np.load("b.npy"), pixels)
    colours = save("c.png", noise(9, 21, 3))
    assert convtool("local-var", "c.png", "-w", "1x1", "--stat", "max", "-o", "c.npy").code == 0
    assert np.array_equal(np.load("c.npy"), np.moveaxis(colours, -1, 0))


def test_through_pipes(convtool: Convtool) -> None:
    pixels = save("a.png", noise(9, 21, 3))
    options = ["-w", "1x1", "--stat", "max", "-o", "-", "--format"]
    run = convtool("local-var", *options, "jpeg", stdin=Path("a.png").read_bytes())
    assert load(io.BytesIO(run.raw)).shape == pixels.shape
    run = convtool("local-var", "--input-format", "png", *options, "png", stdin=Path("a.png").read_bytes())
    assert np.array_equal(load(io.BytesIO(run.raw)), pixels)


def test_beside_audio_a_picture_is_passed_over() -> None:
    save("a.png", noise(9, 21))
    Path("b").write_bytes(Path("a.png").read_bytes())
    assert [item.value for item in expand(["."])[0]] == ["./a.png", "./b"]
    Path("c.wav").touch()
    assert expand(["."])[1] == ["./a.png", "./b"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            "a.png -w 3x3 --stat var,mean -o b.png",
            1,
            "holds 1 grid, or one for each of up to 4 colours; the result is 6",
        ),
        (
            "grey.png -w 3x3 --stat var,mean -o b.jpg",
            1,
            "a JPEG picture holds 1 grid, or one for each of up to 3 colours",
        ),
        ("a.png -w 3x3 -o b.png --subtype 16", 1, "a PNG picture of 3 colours is written with 8 bits; write .npy"),
        ("a.png -w 3x3 -o b.jpg --subtype 16", 2, "JPEG can't hold subtype 16; it can hold 8 (bits)"),
        (
            "a.png -w 3x3 -o b.tif --subtype PCM_16",
            2,
            "TIFF can't hold subtype PCM_16; it can hold 8, 16, FLOAT (bits)",
        ),
        ("nan.csv -w 1x1 -o b.png", 1, "3 results NaN or infinite, which a picture of bits can't hold; see --nan"),
        ("wide.npy -w 1x1 -o b.jpg", 1, "JPEG can't be written of 70000 x 2 pixels: "),
        ("hwc.npy -w 5x5", 1, "shape (9, 7, 3) looks like colours: --layout HWC says that it is"),
        ("grey.npy -w 3x3 --layout HWC", 1, "the array has shape (9, 7); --layout HWC is for (rows, columns, colours)"),
    ],
)
def test_what_does_not_fit(convtool: Convtool, arguments: str, code: int, message: str) -> None:
    save("a.png", noise(9, 7, 3))
    save("grey.png", noise(9, 7))
    Path("nan.csv").write_text("1,nan\ninf,2\nnan,3\n")
    np.save("wide.npy", np.zeros((2, 70_000)))
    np.save("hwc.npy", noise(9, 7, 3))
    np.save("grey.npy", noise(9, 7))
    run = convtool("local-var", *arguments.split())
    assert (run.code, run.out) == (code, ""), run.err
    assert message in run.err
    assert not list(Path().glob("b.*"))


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_with_colours_last(convtool: Convtool, order: Any) -> None:
    values = np.random.default_rng(0).normal(size=(9, 7, 3))
    np.save("a.npy", np.asarray(values, order=order))
    windows = sliding_window_view(values, (5, 5), (0, 1))
    assert convtool("local-var", "a.npy", "-w", "5x5", "--layout", "HWC", "-o", "b.npy").err == ""
    np.testing.assert_allclose(np.load("b.npy"), windows.var((-1, -2)), rtol=1e-12)
    assert convtool("local-var", "a.npy", "-w", "5x5", "--stat", "mean,max", "--layout", "HWC", "-o", "c.npy").code == 0
    stats = np.stack([windows.mean((-1, -2)), windows.max((-1, -2))], -1)  # colour by colour, each in its place
    np.testing.assert_allclose(np.load("c.npy"), stats.reshape(*windows.shape[:2], -1), rtol=1e-12)
    run = convtool("local-var", "a.npy", "-w", "3x3", "-o", "d.npy")
    told = "Warning: a.npy: the last axis of its shape (9, 7, 3) looks like colours: --layout HWC says that it is\n"
    assert (run.code, run.err) == (0, told)
