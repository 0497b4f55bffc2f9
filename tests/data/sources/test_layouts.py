"""Other people's layouts are read without renaming, and the same pictures are the same data in each of them."""

import csv
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cifake_ray.data import ImageSet, load_images, load_labelled, split_train
from cifake_ray.data.sources.reading import Reading
from cifake_ray.errors import InputError

from ..conftest import Files, encode, picture

Write = Callable[..., Path]
Pictures = dict[tuple[str, str, str], list[bytes]]  # (generator folder, part, label) -> encoded pictures
GENERATORS = ("Midjourney", "stable_diffusion_v_1_4")


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def refused(source: Path | str, reading: Reading | None = None) -> str:
    with pytest.raises(InputError) as caught:
        load_images(str(source), reading=reading or Reading())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def encoded(seed: int, sides: tuple[int, int]) -> bytes:
    """A picture as PNG, its height and width within `sides`."""
    random = np.random.default_rng(seed)
    height, width = random.integers(sides[0], sides[1] + 1, 2).tolist()
    return encode(random.integers(0, 256, (height, width, 3), dtype=np.uint8), "PNG")


@pytest.fixture(params=[(32, 32), (40, 120)], ids=["32 px", "40 to 120 px"])
def pictures(request: pytest.FixtureRequest) -> Pictures:
    """Two generators with 20 train and 10 test pictures of each class."""
    seeds = iter(range(10_000))
    return {
        (generator, part, label): [encoded(next(seeds), request.param) for _ in range(count)]
        for generator in GENERATORS
        for part, count in (("train", 20), ("test", 10))
        for label in ("FAKE", "REAL")
    }


def genimage(root: Path, pictures: Pictures) -> Path:
    """As GenImage unpacks: each generator with REAL pictures of its own, the test part called val."""
    for (generator, part, label), some in pictures.items():
        for number, data in enumerate(some):
            split, word = {"train": "train", "test": "val"}[part], {"FAKE": "ai", "REAL": "nature"}[label]
            put(root / generator / f"imagenet_{generator.lower()}" / split / word / f"{number:04d}.png", data)
    return root


def hub(root: Path, pictures: Pictures, columns: Mapping[str, str] | None = None) -> Path:
    """As copies on the hub: label numbers without names, and a generator whose value is Real for REAL pictures."""
    names = {"image": "image", "label": "label", "generator": "generator"} | dict(columns or {})
    for part in ("train", "test"):
        rows = [(data, label, "Real" if label == "REAL" else generator)
                for (generator, of, label), some in pictures.items() if of == part for data in some]  # fmt: skip
        table = {
            names["image"]: pa.array([{"bytes": data, "path": None} for data, _, _ in rows]),
            names["label"]: pa.array([int(label == "FAKE") for _, label, _ in rows]),
            names["generator"]: pa.array([generator for _, _, generator in rows]),
        }
        put(root / "data" / "note", b"")
        (root / "data" / "note").unlink()
        pq.write_table(pa.table(table), root / "data" / f"{part}-00000-of-00001.parquet")
    return root


def manifest(root: Path, pictures: Pictures, kind: str = "csv") -> Path:
    """Pictures in one folder, and a table that tells the rest."""
    rows = []
    for (generator, part, label), some in pictures.items():
        for data in some:
            path = f"pictures/{len(rows):05d}.png"
            put(root / path, data)
            told = {"path": path, "label": label.lower(), "part": part}
            rows.append({**told, "generator": generator if label == "FAKE" else ""})
    with (root / f"manifest.{kind}").open("w", newline="") as file:
        if kind == "jsonl":
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if kind == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return root


def saved_to_disk(hub: Path, root: Path) -> Path:
    """As `datasets.save_to_disk` writes the copy on the hub, 7 rows a record batch."""
    for part in ("train", "test"):
        table = pq.read_table(hub / "data" / f"{part}-00000-of-00001.parquet")
        put(root / part / "state.json", b"{}")
        with (pa.OSFile(str(root / part / "data-00000-of-00001.arrow"), "wb") as file,
              pa.ipc.new_stream(file, table.schema) as stream):  # fmt: skip
            stream.write_table(table, max_chunksize=7)
    return root


def archived(tree: Path, folder: Path) -> list[Path]:
    """The tree as a zip, a tar and a compressed tar."""
    names = [shutil.make_archive(str(folder / "genimage"), kind, tree) for kind in ("zip", "tar", "gztar")]
    return [Path(name) for name in names]


def facts(images: ImageSet) -> dict[str, object]:
    """What must be equal in every layout: digest to part, label and generator."""
    told: dict[str, object] = {}
    for table in (images.train.table, images.test.table):
        generators = np.array(table.group_values("generator"))[table.groups["generator"]]
        rows = zip(table.digests.tolist(), table.labels.tolist(), generators.tolist(), strict=True)
        told |= {str(digest): (table.parts, label, generator) for digest, label, generator in rows}
    return told


def test_one_set_in_genimages_layout_on_the_hub_and_in_a_manifest_is_the_same_data(
    pictures: Pictures, tmp_path: Path
) -> None:
    tree = load_images(str(genimage(tmp_path / "genimage", pictures)))
    copies = [hub(tmp_path / "hub", pictures)]
    copies += [manifest(tmp_path / kind, pictures, kind) for kind in ("csv", "tsv", "jsonl")]
    copies += [saved_to_disk(tmp_path / "hub", tmp_path / "saved"), *archived(tmp_path / "genimage", tmp_path)]
    assert tree.said == ("GenImage's layout: its val is the published test part, and is taken as such",)
    assert len(facts(tree)) == 120
    for copy in map(load_images, map(str, copies)):
        assert facts(copy) == facts(tree)
        assert copy.fingerprint_v2 == tree.fingerprint_v2
        assert [one.as_note() for one in copy.taken] == [one.as_note() for one in tree.taken]
    summary = tree.summary()
    assert "train FAKE by generator: Midjourney 20, stable_diffusion_v_1_4 20" in summary
    assert "REAL by generator" not in summary


def test_one_generator_of_genimage_is_named_by_its_folder(pictures: Pictures, tmp_path: Path) -> None:
    one = genimage(tmp_path / "all", pictures) / "Midjourney"
    for place in (one, one / "imagenet_midjourney"):
        images = load_images(str(place))
        assert (len(images.train), len(images.test)) == (40, 20)
    assert load_images(str(one)).train.table.group_values("generator") == ("", "Midjourney")
    shutil.move(one / "imagenet_midjourney", tmp_path / "Midjourney")
    assert load_images(str(tmp_path / "Midjourney")).train.table.group_values("generator") == ("", "Midjourney")


def test_data_parts_says_what_val_is_where_the_layout_does_not(files: Files, write_folder: Write) -> None:
    root = write_folder(files)
    (root / "test").rename(root / "val")
    assert "`data.parts: {val: test}`" in refused(root)
    images = load_images(str(root), reading=Reading(parts=(("val", "test"),)))
    assert (len(images.train), len(images.test), images.said) == (120, 40, ())


def test_forensynths_and_aigibench_tell_the_generator(tmp_path: Path) -> None:
    seeds = iter(range(1000))
    root = tmp_path / "forensynths"
    for place in ("train/car", "train/train", "train/tvmonitor", "test/progan/airplane", "test/progan/train",
                  "test/stylegan/car", "test/SDv1.4"):  # fmt: skip
        for word in ("0_real", "1_fake"):
            for number in range(4):
                put(root / place / word / f"{number}.png", encode(picture(next(seeds)), "PNG"))
    images = load_images(str(root))
    assert (len(images.train), len(images.test)) == (24, 32)
    told = {one.part: one.groups for one in images.taken if one.label == "FAKE"}
    assert told["train"] == {"generator": {"progan": 12}}
    assert told["test"] == {"generator": {"progan": 8, "SDv1.4": 4, "stylegan": 4}}
    alone = load_labelled(str(root / "test"))
    assert (alone.part, len(alone.images)) == ("all", 32)
    assert alone.taken[0].groups == told["test"]


@pytest.mark.parametrize("layout", ["{label}/{part}", "{part}/{label}", "a/b/{part}/c/{label}/d"])
def test_a_class_folder_may_lie_at_any_depth_before_or_below_the_part(
    layout: str, files: Files, write_folder: Write, tmp_path: Path
) -> None:
    for (part, label), named in files.items():
        for name, data in named.items():
            put(tmp_path / "other" / layout.format(part=part, label=label.lower()) / name, data)
    assert load_images(str(tmp_path / "other")).fingerprint_v2 == load_images(str(write_folder(files))).fingerprint_v2


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_a_tar_archive_is_the_same_set_as_the_folder(
    suffix: str, files: Files, write_folder: Write, tmp_path: Path
) -> None:
    root = write_folder(files)
    with tarfile.open(tmp_path / f"set.{suffix}", "w:gz" if suffix.endswith("gz") else "w") as archive:
        archive.add(root, "set")
        info = tarfile.TarInfo("set/train/FAKE/link.jpg")
        info.type, info.linkname = tarfile.SYMTYPE, "0000.jpg"
        archive.addfile(info)
    packed, plain = load_images(str(tmp_path / f"set.{suffix}")), load_images(str(root))
    assert (packed.kind, packed.fingerprint) == ("tar", plain.fingerprint)
    assert [one.name for one in packed.skipped] == ["train/FAKE/link.jpg"]


def test_a_tar_archive_that_is_cut_is_one_line(files: Files, write_folder: Write, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.add(write_folder(files), "set")
    (tmp_path / "cut.tar.gz").write_bytes(stream.getvalue()[:-1000])
    assert "download it again" in refused(tmp_path / "cut.tar.gz")


# --- labels and groups of tables ----------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["model", "Label_B"])
def test_a_group_column_with_a_word_for_real_tells_the_labels(column: str, pictures: Pictures, tmp_path: Path) -> None:
    root = hub(tmp_path / "hub", pictures, {"generator": column, "image": "image_data"})
    assert facts(load_images(str(root))) == facts(load_images(str(hub(tmp_path / "plain", pictures))))


def test_bare_numbers_are_read_by_the_card_that_is_named_or_by_data_labels(pictures: Pictures, tmp_path: Path) -> None:
    root = hub(tmp_path / "hub", pictures)
    for file in (root / "data").iterdir():
        pq.write_table(pq.read_table(file).drop_columns(["generator"]), file)
    message = refused(root)
    assert "label is a number (1, 0) and nothing says which is FAKE" in message
    assert "data.labels" in message
    assert "data.card" in message
    by_card = load_images(str(root), reading=Reading(card="tiny_genimage"))
    by_words = load_images(str(root), reading=Reading(fake=("1",), real=("0",)))
    reverse = load_images(str(root), reading=Reading(fake=("0",), real=("1",)))
    assert by_card.fingerprint == by_words.fingerprint != reverse.fingerprint
    assert len({by_card.path, by_words.path, reverse.path}) == 3
    assert by_card.card.title == "Tiny-GenImage"
    assert "data.card: no card tiny_genimge; did you mean tiny_genimage?" in refused(root, Reading(card="tiny_genimge"))


def test_labels_the_wrong_way_round_are_noticed_by_the_generator(pictures: Pictures, tmp_path: Path) -> None:
    root = hub(tmp_path / "hub", pictures)
    message = refused(root, Reading(fake=("0",), real=("1",)))
    assert "is labelled FAKE and its generator is Real" in message


def test_a_file_without_pictures_beside_folders_hides_nothing(files: Files, write_folder: Write) -> None:
    root = write_folder(files)
    pq.write_table(pa.table({"file_name": ["0000.jpg"], "prompt": ["x"]}), root / "metadata.parquet")
    images = load_images(str(root))
    assert (images.kind, len(images.train)) == ("folder", 120)
    assert "metadata.parquet" in images.summary()


def test_what_save_to_disk_wrote_is_read(files: Files, write_folder: Write, tmp_path: Path) -> None:
    names = {b"huggingface": json.dumps({"info": {"features": {"label": {"names": ["real", "fake"]}}}}).encode()}
    for part in ("train", "test"):
        rows = [(data, label) for (of, label), named in files.items() if of == part for data in named.values()]
        table = pa.table({
            "image": pa.array([{"bytes": data, "path": None} for data, _ in rows]),
            "label": pa.array([int(label == "FAKE") for _, label in rows]),
        }).replace_schema_metadata(names)  # fmt: skip
        place = tmp_path / "saved" / part / "data-00000-of-00001.arrow"
        put(place, b"")
        with pa.OSFile(str(place), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
        put(tmp_path / "saved" / part / "state.json", b"{}")
    saved = load_images(str(tmp_path / "saved"))
    assert saved.fingerprint_v2 == load_images(str(write_folder(files))).fingerprint_v2
    assert "2 files beside the data set (test/state.json, train/state.json)" in saved.summary()


# --- manifests ----------------------------------------------------------------------------------------------------


def test_what_a_manifest_does_not_list_is_told(pictures: Pictures, tmp_path: Path) -> None:
    root = manifest(tmp_path / "m", pictures)
    put(root / "pictures" / "extra.png", encode(picture(7)))
    with (root / "manifest.csv").open("a") as file:
        file.write("pictures/gone.png,fake,train,Midjourney\n,real,train,\n")
    images = load_images(str(root))
    assert [(one.name, one.reason) for one in images.skipped] == [
        ("train/FAKE/pictures/gone.png", "cannot be read (No such file or directory)")
    ]
    assert {one.reason: one.examples for one in images.left} == {
        "rows of a manifest without a path": ("manifest.csv row 122",),
        "files beside the data set": ("pictures/extra.png",),
    }


def test_a_manifest_alone_may_be_the_source_and_folders_tell_what_its_columns_do_not(
    files: Files, write_folder: Write, tmp_path: Path
) -> None:
    root = write_folder(files)
    paths = [f"{root.name}/{part}/{label}/{name}" for (part, label), named in files.items() for name in named]
    (tmp_path / "list.csv").write_text("path\n" + "\n".join(paths) + "\n")
    images = load_images(str(tmp_path / "list.csv"))
    assert (images.kind, images.left) == ("manifest", ())
    assert images.fingerprint_v2 == load_images(str(root)).fingerprint_v2


def test_a_manifest_with_numbers_or_unknown_parts_is_refused(pictures: Pictures, tmp_path: Path) -> None:
    root = manifest(tmp_path / "m", pictures)
    text = (root / "manifest.csv").read_text()
    (root / "manifest.csv").write_text(text.replace(",fake,", ",1,").replace(",real,", ",0,"))
    assert "label is a number (1, 0) and nothing says which is FAKE" in refused(root)
    (root / "manifest.csv").write_text(text.replace(",test,", ",held,"))
    assert "part 'held' of pictures/" in refused(root)
    (root / "manifest.csv").write_text(text.replace(",fake,", ",banana,"))
    assert "label banana names no class" in refused(root)


def test_a_table_of_something_else_beside_folders_is_no_manifest(files: Files, write_folder: Write) -> None:
    root = write_folder(files)
    (root / "predictions.csv").write_text("file,label\na.jpg,FAKE\n")
    (root / "metadata.csv").write_text("file_name,prompt\na.jpg,x\n")
    assert load_images(str(root)).kind == "folder"


# --- parts --------------------------------------------------------------------------------------------------------


def test_a_validation_part_is_used_as_given_and_train_loses_its_copies(files: Files, write_folder: Write) -> None:
    root = write_folder(files)
    for label in ("FAKE", "REAL"):
        for number in range(10):
            put(root / "valid_data" / label / f"{number}.jpg", encode(picture(5000 + number + 50 * (label == "REAL"))))
        shutil.copy(root / "train" / label / "0003.jpg", root / "valid_data" / label / "copy.jpg")
    images = load_images(str(root))
    assert "train 60 FAKE + 60 REAL, validation 11 FAKE + 11 REAL, test 20 FAKE + 20 REAL" in images.summary()
    split = split_train(images.train, 0.5, 3)
    assert (len(split.train), len(split.validation), split.dropped) == (118, 22, 2)
    given = images.train.table.given_validation
    assert given[split.validation].all()
    assert not given[split.train].any()
    limited = load_images(str(root), limit=71)
    assert limited.train.table.given_validation.sum() == 11


def test_a_test_part_is_drawn_once_where_the_source_has_none(files: Files, write_folder: Write, tmp_path: Path) -> None:
    root = write_folder(files)
    for label in ("FAKE", "REAL"):
        shutil.move(root / "train" / label, tmp_path / "own" / label)
    own = tmp_path / "own"
    shutil.copy(own / "FAKE" / "0001 (2).jpg", own / "FAKE" / "copy.jpg")
    assert "add `data.test_fraction: 0.2`" in refused(own)
    images = load_images(str(own), reading=Reading(test_fraction=0.2))
    assert (len(images.train), len(images.test)) == (97, 24)
    assert images.test_drawn == {"fraction": 0.2, "seed": 0}
    assert not set(images.train.table.digests) & set(images.test.table.digests)
    again = load_images(str(own), reading=Reading(test_fraction=0.2, split_seed=1))
    assert again.fingerprint_v2 != images.fingerprint_v2
    for label in ("FAKE", "REAL"):
        shutil.copytree(own / label, root / "train" / label)
    assert "has a test part of its own; remove the key" in refused(root, Reading(test_fraction=0.2))
    assert "has a test part of its own; remove the key" in refused("sample", Reading(test_fraction=0.2))


def test_other_class_words_are_named_by_data_labels(files: Files, write_folder: Write) -> None:
    root = write_folder(files)
    for part in ("train", "test"):
        (root / part / "FAKE").rename(root / part / "sdxl")
        (root / part / "REAL").rename(root / part / "photos of people")
    message = refused(root)
    assert "no folder FAKE or REAL (folders with files found: test/photos of people, test/sdxl" in message
    assert "words known: fake" in message
    assert "data.labels: {fake: [ai*, sdxl], real: [human]}" in message
    images = load_images(str(root), reading=Reading(fake=("sd*",), real=("*people",)))
    assert images.train.labels.tolist() == [0] * 60 + [1] * 60
    assert images.train.table.group_values("generator") == ("", "sdxl")


def test_strata_are_labels_and_groups_and_small_ones_are_pooled(tmp_path: Path) -> None:
    rows = ["path,label,part,generator"]
    for number in range(130):
        label = "fake" if number < 65 else "real"
        generator = "" if label == "real" else f"rare{number}" if number < 15 else ("sd", "mj")[number % 2]
        put(tmp_path / "set" / f"{number}.png", encode(picture(number), "PNG"))
        rows.append(f"{number}.png,{label},{'test' if number % 13 == 0 else 'train'},{generator}")
    (tmp_path / "set" / "manifest.csv").write_text("\n".join(rows))
    train = load_images(str(tmp_path / "set")).train
    split = split_train(train, 0.2, 0)
    codes, values = train.table.groups["generator"], np.array(train.table.group_values("generator"))
    chosen = values[codes[split.validation]]
    assert len(split.validation) == 24
    assert sorted([(chosen == "sd").sum(), (chosen == "mj").sum()]) in ([4, 5], [5, 5])
    assert sum(value.startswith("rare") for value in chosen) in (2, 3)


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"), ("Training", "Validation", "Testing"), ("train_data", "valid_set", "test-data"),
        ("TRAIN", "dev", "TEST"), ("trainset", "eval", "testset"), ("train_images", "evaluation", "test split"),
    ],
)  # fmt: skip
def test_parts_are_told_by_one_rule_in_folders_archives_and_tables(
    train: str, validation: str, test: str, files: Files, tmp_path: Path
) -> None:
    names = {"train": train, "validation": validation, "test": test}
    parts = files | {("validation", label): {"v.jpg": encode(picture(at))} for at, label in enumerate(("FAKE", "REAL"))}
    (tmp_path / "tables").mkdir()
    for (part, label), named in parts.items():
        for name, data in named.items():
            put(tmp_path / "folder" / names[part] / label / name, data)
    for part, name in names.items():
        rows = [(data, label) for (of, label), named in parts.items() if of == part for data in named.values()]
        table = pa.table({"image": [data for data, _ in rows], "label": [label for _, label in rows]})
        pq.write_table(table, tmp_path / "tables" / f"{name}-00000-of-00001.parquet")
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        archive.add(tmp_path / "folder", ".")
    shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "folder")
    places = [tmp_path / name for name in ("folder", "tables", "set.tar", "set.zip")]
    loaded = [load_images(str(place)) for place in places]
    assert len({images.fingerprint_v2 for images in loaded}) == 1
    assert [images.train.table.given_validation.sum() for images in loaded] == [2, 2, 2, 2]
