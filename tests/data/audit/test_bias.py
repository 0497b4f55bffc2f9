"""What a model tells that sees no pixel is measured, printed by `data audit` and said before the first trial."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from cifake_ray.data import load_images
from cifake_ray.data.audit import bias as bias_module
from cifake_ray.data.audit.bias import bias_of_source, measure_bias
from cifake_ray.data.audit.bias_text import lines, sentence, warning
from cifake_ray.data.audit.encoding import headers_of, read_headers
from cifake_ray.data.datasets.sample_native import NativePicture
from cifake_ray.experiment import Experiment
from cifake_ray.runs.records import Bias
from cifake_ray.tuning.study_inputs import bias_of, gather_inputs, warnings_of

from ..conftest import Files, encode, picture

Write = Callable[..., Path]
Command = Callable[..., tuple[int, str, str]]


def measured(fake: list[bytes], real: list[bytes], **groups: list[str]) -> Bias:
    labels = np.repeat(np.array([0, 1], np.uint8), [len(fake), len(real)])
    return measure_bias(headers_of([*fake, *real]), labels, {name: np.array(of) for name, of in groups.items()})


def saved(size: tuple[int, int], seed: int, kind: str = "JPEG", **options: object) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    return encode(pixels, kind, **options)


def as_png(files: Files) -> Files:
    """The same number of pictures, FAKE ones as PNG."""
    for part, seed in (("train", 7000), ("test", 8000)):
        names = files[part, "FAKE"]
        files[part, "FAKE"] = {
            Path(name).stem + ".PNG": encode(picture(seed + at), "PNG") for at, name in enumerate(names)
        }
    return files


def test_a_format_that_separates_the_classes_is_said_by_tune_and_audit(
    files: Files, write_folder: Write, command: Command
) -> None:
    source = write_folder(as_png(files))
    images = load_images(str(source))
    (said,) = warnings_of(images, bias_of(images))
    assert said.startswith("warning: a model that sees no pixel reaches 100.0 % [")
    assert "format alone 100.0 % (FAKE mostly PNG, REAL mostly JPEG)" in said
    assert "give both classes the same, for example by data.neutral" in said
    _, out, _ = command("data", "audit", source)
    assert said in out
    assert "format               FAKE PNG 100 %; REAL JPEG 100 %" in out
    found = json.loads(command("data", "audit", source, "--json")[1])["bias"]
    assert Bias.model_validate(found).telling
    assert (found["images"], found["of"]) == ({"FAKE": 80, "REAL": 80}, 160)


def test_a_size_or_quality_that_separates_the_classes_is_found_and_named() -> None:
    random = np.random.default_rng(0)
    fake = [saved((64, 64), at) for at in range(40)]
    sizes = [(int(width), int(height)) for width, height in random.integers(40, 300, (40, 2))]
    by_size = measured(fake, [saved(size, 100 + at) for at, size in enumerate(sizes)])
    assert by_size.properties[0].name == "size"
    assert by_size.properties[0].alone > 0.95
    by_quality = measured(fake, [saved((64, 64), 200 + at, quality=90) for at in range(40)])
    names = {one.name for one in by_quality.leading()}
    assert "JPEG quality" in names
    assert "JPEG quality alone 100.0 % (FAKE median 75, REAL median 90)" in sentence(by_quality)


def test_sets_alike_give_no_warning(files: Files, write_folder: Write) -> None:
    images = load_images(str(write_folder(files)))
    found = bias_of(images)
    assert found is not None
    assert found.accuracy is not None
    assert found.accuracy.value < 0.55
    assert warnings_of(images, found) == []


def test_copies_of_a_file_are_on_one_side_so_that_nothing_is_learned_by_heart() -> None:
    fake = [saved((40 + at, 60), at) for at in range(20)]
    real = [saved((40 + at, 60), 100 + at) for at in range(20)]
    once, often = measured(fake, real), measured(fake * 8, real * 8)
    assert once.accuracy is not None
    assert often.accuracy is not None
    assert often.accuracy.value < 0.65


def test_too_few_different_files_give_the_table_and_no_score() -> None:
    few = measured([saved((40, 40), 1)] * 30, [saved((50, 50), at) for at in range(30)])
    assert few.accuracy is None
    assert warning(few) is None
    assert "too few different files" in sentence(few)
    assert [row.name for row in few.table][:3] == ["format", "width", "height"]


def test_metadata_progressive_and_chroma_are_read_from_the_header() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a prompt")
    exif = Image.Exif()
    exif[305] = "a program"
    found = headers_of(
        [
            saved((32, 32), 0, exif=exif, icc_profile=b"x" * 200, progressive=True, subsampling=0),
            saved((32, 32), 1, "PNG", pnginfo=text),
            saved((32, 32), 2, xmp=b"<x:xmpmeta/>"),
            b"broken",
        ]
    )
    first, second, third, broken = (found.different[at] for at in found.which.tolist())
    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.metadata, first.progressive, first.subsampling) == (("EXIF", "ICC profile"), True, "4:4:4")
    assert (second.metadata, second.format) == (("text",), "PNG")
    assert third.metadata == ("XMP",)
    assert broken is None
    assert found.readable.tolist() == [True, True, True, False]


def test_content_credentials_are_seen_in_jpeg_and_png() -> None:
    jpeg = saved((32, 32), 0)
    block = b"JP\x00\x01\x00\x00\x00\x01\x00\x00\x00\x20jumb" + bytes(24)
    signed = jpeg[:2] + b"\xff\xeb" + (len(block) + 2).to_bytes(2) + block + jpeg[2:]
    png = saved((32, 32), 1, "PNG")
    at = png.index(b"IDAT") - 4
    chunk = b"\x00\x00\x00\x00caBX" + zlib.crc32(b"caBX").to_bytes(4)
    headers = headers_of([signed, png[:at] + chunk + png[at:], jpeg])
    signs = [header.metadata for header in headers.different if header is not None]
    assert signs == [("C2PA",), ("C2PA",), ()]


def test_each_generator_is_scored_and_a_small_one_has_its_count_and_interval_only() -> None:
    fake = [saved((64, 64), at) for at in range(30)] + [saved((64, 64), 50 + at, "PNG") for at in range(12)]
    real = [saved((64, 64), 100 + at) for at in range(40)]
    found = measured(fake, real, generator=["one"] * 30 + ["two"] * 12 + [""] * 40)
    one, two = found.groups
    assert (one.value, one.images) == ("one", 30)
    assert one.balanced is not None
    assert (two.value, two.images, two.balanced) == ("two", 12, None)
    assert two.right.value > 0.9
    assert any(line.endswith("% called rightly") for line in lines(found))


def test_large_sets_are_measured_on_a_subset_and_the_sentence_says_so(
    files: Files, write_folder: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bias_module, "MOST_PICTURES", 50)
    found = bias_of_source(str(write_folder(as_png(files))))
    assert (found.images, found.of) == ({"FAKE": 25, "REAL": 25}, 160)
    assert "on 50 of 160 pictures" in sentence(found)


def test_answer_is_measured_once_and_kept_in_the_cache(
    files: Files, write_folder: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = str(write_folder(files))
    first = bias_of_source(source)
    monkeypatch.setattr(bias_module, "measure_bias", lambda *_: pytest.fail("measured again"))
    assert bias_of_source(source) == first


def test_sample_has_no_files_to_be_checked_and_a_study_notes_what_was_found(files: Files, write_folder: Write) -> None:
    assert bias_of(load_images("sample")) is None
    data = {"source": str(write_folder(as_png(files)))}
    inputs = gather_inputs(Experiment.model_validate({"name": "x", "model": {"kind": "cnn"}, "data": data}))
    assert inputs.bias is not None
    assert inputs.bias.telling


def test_native_sample_is_told_by_its_properties_no_better_than_by_chance(pictures: list[NativePicture]) -> None:
    labels = np.array([one.label for one in pictures], np.uint8)
    groups = {"generator": np.array([one.generator for one in pictures])}
    found = measure_bias(read_headers([one.data for one in pictures]), labels, groups)
    assert found.accuracy is not None
    assert found.accuracy.value < 0.55
    assert {group.value for group in found.groups} == {"learned", "nearest", "transposed"}
    assert found.leading() == []
