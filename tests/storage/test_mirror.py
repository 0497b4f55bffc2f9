"""Runs in object storage, against a real S3 API on localhost."""

import time
from pathlib import Path

import pytest

from cifake_ray.data.sources.find import find_source
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment
from cifake_ray.runs.files import write_text
from cifake_ray.runs.names import create_run, find_run, free_name, list_runs, open_run
from cifake_ray.runs.run import Run, run_at
from cifake_ray.storage import mirror

EXPERIMENT = Experiment.model_validate({"name": "cnn", "model": {"kind": "cnn"}})


@pytest.fixture
def elsewhere(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same storage as another machine sees it: nothing is mirrored there."""
    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "another machine"))
    return bucket


def test_a_run_made_here_is_read_and_listed_elsewhere(
    bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = create_run(bucket, "cnn", EXPERIMENT)
    write_text(run.trials_file, "trial_id\n0\n")
    (run.path / "trials" / "0").mkdir(parents=True)
    (run.path / "trials" / "0" / "last").write_text("checkpoint")
    with run.update():
        pass
    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "another machine"))
    there = open_run(bucket, "cnn")
    assert there.path != run.path
    assert there.experiment() == EXPERIMENT
    assert there.trials_file.read_text() == "trial_id\n0\n"
    assert not there.trials.exists()  # checkpoints are fetched by those who need them
    run.checkpoints("trials/0").save()
    there.checkpoints("trials/0")
    assert (there.trials / "0" / "last").read_text() == "checkpoint"
    assert [found.name for found in list_runs(bucket)] == ["cnn"]
    assert find_run(f"{bucket}/cnn") == there
    assert free_name(bucket, "cnn") == "cnn-2"
    with pytest.raises(InputError, match=f"{bucket}/cnn: a run of this name exists"):
        create_run(bucket, "cnn", EXPERIMENT)


def test_the_newer_side_wins_and_nothing_goes_twice(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run(bucket, "cnn", EXPERIMENT)
    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "another machine"))
    there = open_run(bucket, "cnn")
    time.sleep(1.1)  # S3 keeps whole seconds
    with there.update():
        write_text(there.trials_file, "there")
    run.fetch()
    assert run.trials_file.read_text() == "there"
    before = run.trials_file.stat().st_mtime_ns
    run.fetch()
    assert run.trials_file.stat().st_mtime_ns == before
    time.sleep(1.1)
    write_text(run.trials_file, "here, not put yet")
    run.fetch()
    assert run.trials_file.read_text() == "here, not put yet"


def test_what_a_writer_leaves_is_elsewhere_when_it_ends(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes into a run holds it as its writer, so that nobody has to remember the bucket: not `explain`."""
    run = create_run(bucket, "cnn", EXPERIMENT)
    with run.update():
        run.explanations.mkdir()
        (run.explanations / "00-image.png").write_bytes(b"a picture")
    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "another machine"))
    there = open_run(bucket, "cnn")
    assert (there.explanations / "00-image.png").read_bytes() == b"a picture"


def test_what_is_removed_here_is_gone_there(bucket: str) -> None:
    run = create_run(bucket, "cnn", EXPERIMENT)
    for name in ("trials/0/last", "test.json"):
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        write_text(run.path / name, "{}")
    with run.update():
        pass
    run.checkpoints("trials/0").save()
    assert mirror.exists(f"{run.url}/trials/0/last")
    run.remove("trials/0")
    run.remove("test.json")
    assert not mirror.exists(f"{run.url}/trials/0/last")
    assert not mirror.exists(f"{run.url}/test.json")
    assert not run.test_file.exists()


def test_a_second_writer_elsewhere_is_refused(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run(bucket, "cnn", EXPERIMENT)
    with run.update():
        monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "another machine"))
        with pytest.raises(InputError, match="another process is writing this run"), open_run(bucket, "cnn").update():
            pass
    with open_run(bucket, "cnn").update():
        pass


def test_a_mark_is_seen_on_every_node(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run(bucket, "cnn", EXPERIMENT)
    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "another machine"))
    there = run_at(bucket, "cnn")
    assert not there.marked("trials/3/stop")
    run.mark("trials/3/stop")
    assert there.marked("trials/3/stop")


def test_a_missing_bucket_and_a_missing_run_are_one_line(bucket: str) -> None:
    with pytest.raises(InputError, match=r"s3://nowhere/runs.*check the bucket"):
        mirror.check_writable("s3://nowhere/runs")
    with pytest.raises(InputError, match="no such run; runs in"):
        open_run(bucket, "cnn")
    with pytest.raises(InputError, match=f"^{bucket}/none: not a run directory"):
        find_run(f"{bucket}/none")


def test_a_folder_is_no_object_storage(tmp_path: Path) -> None:
    run = create_run(tmp_path, "cnn", EXPERIMENT)
    assert run == Run(tmp_path / "cnn")
    assert run.here() == run
    assert run.where == str(tmp_path / "cnn")


LONG = "x" * 300
PLACES = [
    ("", "empty"), ("  ", "empty"), ("s3://", "no name of a bucket"), ("s3:///x", "no name of a bucket"),
    ("gs://", "no name of a bucket"), ("gs:///y", "no name of a bucket"), ("s3://UPPER/x", "no name of a bucket"),
    ("s3:/x", "s3:/ is not supported"), ("http://x", "http:// is not supported"), ("ftp://a/b", "ftp:// is"),
    ("file:///tmp", "file:// is not supported"), (LONG, "File name too long"), (f"a/{LONG}/b", "File name too long"),
    ("a\0b", "null"), ("loop/runs", "Too many levels"), ("~nobody-has-this-name/runs", "not usable as a path"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "words"), PLACES)
def test_a_place_that_can_be_none_is_refused_in_one_short_line(
    place: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    for use in (
        lambda: run_at(place, "cnn"), lambda: list_runs(place), lambda: open_run(place, "cnn"),
        lambda: find_run(place), lambda: free_name(place, "cnn"), lambda: create_run(place, "cnn", EXPERIMENT),
        lambda: find_source(place),
    ):  # fmt: skip
        with pytest.raises(InputError) as refused:
            use()
        assert words in str(refused.value)
        assert len(str(refused.value)) < 250
        assert str(refused.value).isprintable()
    assert [file.name for file in tmp_path.iterdir()] == ["loop"]


def test_a_name_that_can_be_none_is_refused(tmp_path: Path) -> None:
    for use in (lambda: run_at(tmp_path, LONG), lambda: open_run(tmp_path, LONG), lambda: open_run(tmp_path, "a\0")):
        with pytest.raises(InputError, match="not usable as a path"):
            use()


@pytest.mark.parametrize("place", ["My Drive #2 50% [x] ü?", "a:b", "C:", "s3", "-", "http:"])
def test_unusual_folders_are_folders(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert create_run(place, "cnn", EXPERIMENT).exists()
    assert [run.name for run in list_runs(place)] == ["cnn"]
