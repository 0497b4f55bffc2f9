"""The keys of the `data` section that say how a source is read: what is accepted, and refusals of one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cifake_ray.data.sources.reading import PLAIN, reading_from, reading_of
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, parse_yaml, save_experiment, validate_experiment
from cifake_ray.tuning.study_inputs import gather_inputs, split_lines

from .conftest import Files

Write = Callable[..., Path]
Command = Callable[..., tuple[int, str, str]]


def experiment(**data: object) -> Experiment:
    return validate_experiment({"name": "x", "model": {"kind": "cnn"}, "data": data}, "x.yaml")


def test_the_keys_are_read_and_survive_the_record_of_a_run() -> None:
    told = experiment(labels={"fake": ["AI*", "sdxl", 1], "real": "human"}, parts={"Val": "test"}, card="tiny_genimage")
    reading = reading_of(told.data)
    assert (reading.fake, reading.real) == (("ai*", "sdxl", "1"), ("human",))
    assert reading.parts == (("val", "test"),)
    assert validate_experiment(parse_yaml(save_experiment(told), "saved"), "saved") == told
    assert reading_of(experiment().data) == PLAIN
    assert PLAIN.key == ""
    seeded = {"test_fraction": 0.2, "split_seed": 1}
    told_apart = ({}, {"test_fraction": 0.2}, seeded, {"card": "cifake"}, {"parts": {"a": "test"}})
    assert len({reading_of(experiment(**data).data).key for data in told_apart}) == 5


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"labels": {}}, "data.labels: expected names of class folders, as {fake: [ai*, sdxl], real: [human]}"),
        ({"labels": {"fake": ["a"], "real": ["A"]}}, "data.labels: a is named fake and real; remove one"),
        ({"labels": {"fale": ["a"]}}, "data.labels.fale: unknown key; did you mean fake?"),
        ({"labels": {"fake": ["a", "a"]}}, "a is given twice"),
        ({"parts": {"val": "tset"}}, "data.parts.val: input should be 'train', 'validation' or 'test'"),
        ({"test_fraction": 1}, "data.test_fraction: input should be less than 1"),
    ],
)
def test_senseless_values_are_refused_in_one_line(data: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        experiment(**data)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_card_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"data.card: no card cifak; did you mean cifake\?"):
        reading_of(experiment(card="cifak").data)


def test_settings_of_a_source_without_an_experiment() -> None:
    assert reading_from([]) == PLAIN
    assert reading_from(["data.labels={fake: [sdxl]}", "data.parts={val: test}"]).fake == ("sdxl",)
    with pytest.raises(InputError, match=r"--set training: only keys of data count here"):
        reading_from(["training.lr=1"])


def test_an_audit_reads_by_the_keys_and_tells_what_was_taken_and_left(
    files: Files, write_folder: Write, command: Command
) -> None:
    root = write_folder(files)
    (root / "train" / "FAKE").rename(root / "train" / "sdxl")
    (root / "notes.txt").write_text("x")
    (root / "more.csv").write_text("x")
    code, out, _ = command("data", "audit", root)
    assert code == 0
    assert "files in no folder that names a class (.jpg 60, .csv 1, .txt 1: more.csv, notes.txt" in out
    code, out, _ = command("data", "audit", root, "--set", "data.labels={fake: [sdxl]}", "--json")
    found = json.loads(out)
    assert found["counts"]["train"]["FAKE"] == {"images": 60, "groups": {"generator": {"sdxl": 60}}}
    assert found["left"][0]["suffixes"] == {".csv": 1, ".txt": 1}
    assert len(found["fingerprint_v2"]) == 64


def test_a_study_says_how_its_parts_came_about(files: Files, write_folder: Write) -> None:
    root = write_folder(files)
    (root / "test").rename(root / "val")
    shutil.copy(root / "train" / "FAKE" / "0000.jpg", root / "val" / "FAKE" / "copy.jpg")
    assert split_lines(gather_inputs(experiment(source=str(root), test_fraction=0.2))) == [
        "test part: drawn from the train part, 20 % by split seed 0",
        "validation part: as given; 1 train images that equal one of its images are left out",
    ]
    assert split_lines(gather_inputs(experiment(source=str(root), parts={"val": "test"}))) == []
