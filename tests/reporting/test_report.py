"""The written report: which files, a page that loads nothing and shows text as text, and clear refusals."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cifake_ray.errors import InputError
from cifake_ray.reporting.formatting import wall_time
from cifake_ray.reporting.load import load_all
from cifake_ray.reporting.report import write_report
from cifake_ray.reporting.writers.html import columns

from .conftest import MakeRun, environment_of, make_run_in, robustness_of, write_predictions

EVIL = "<script>alert(1)</script>"
LOADING = {"src", "srcset", "data", "poster", "action", "background"}


class Page(HTMLParser):
    """Tags, attributes that load something, ids, and the visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in LOADING or (name in ("href", "xlink:href") and not str(value).startswith("#")):
                self.loads.append(str(value))
            if name == "id":
                self.ids.append(str(value))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report over one complete CIFAKE run, one run with hostile text, and one with nothing in it."""
    folder = tmp_path_factory.mktemp("report")
    make: MakeRun = make_run_in(folder)

    def fail(rows: list[dict[str, Any]]) -> None:
        rows[1].update(status="failed", val_accuracy=None, error=f"{EVIL} | line 1\nline 2 | `x`")

    runs = [make("cnn", trials=8), make(f"a$b$ {EVIL.replace('/', '_')}", change=fail), make("empty", parts="")]
    write_report(runs, folder / "out")
    return folder / "out"


def test_report_writes_table_page_and_plots(report: Path) -> None:
    names = {file.name for file in report.iterdir()}
    assert names == {"comparison.md", "comparison.csv", "report.html", "plots"}
    of_study = ("learning-curves", "trial-curves", "best-so-far", "cost", "hyperparameters", "parallel-coordinates",
                "timeline")  # fmt: skip
    for plot in ("comparison", "roc", "reliability", "subjects", *(f"cnn-{name}" for name in of_study)):
        assert "<text" in (report / "plots" / f"{plot}.svg").read_text()  # text as text, to select and search
    for plot in ("comparison", "cnn-learning-curves"):
        assert (report / "plots" / f"{plot}.png").read_bytes().startswith(b"\x89PNG")


def test_csv_reads_back_with_whole_numbers(report: Path) -> None:
    lines = (report / "comparison.csv").read_text().splitlines()
    assert lines[1].startswith("cnn,cnn,tuned,none,8,")
    assert len(pd.read_csv(report / "comparison.csv")) == 3 * 2 + 3


def test_page_loads_nothing_and_runs_nothing(report: Path) -> None:
    html = (report / "report.html").read_text()
    page = Page(html)
    assert all(value.startswith("data:") for value in page.loads)
    assert page.tags.isdisjoint({"script", "link", "iframe", "object", "embed"})
    assert not re.search(r"url\(\s*['\"]?(?!#)", html)
    assert "@import" not in html


def test_page_shows_hostile_text_as_text(report: Path) -> None:
    html = (report / "report.html").read_text()
    assert EVIL not in html
    assert EVIL in Page(html).text  # the error of the failed trial is there, to read
    assert "<script" not in (report / "comparison.md").read_text()


def test_ids_on_the_page_are_unique_so_that_figures_do_not_mix(report: Path) -> None:
    ids = Page((report / "report.html").read_text()).ids
    assert len(ids) == len(set(ids))


def test_page_has_light_and_dark_and_fits_a_phone(report: Path) -> None:
    html = (report / "report.html").read_text()
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html
    assert "var(--ink)" in html  # figures take the page's colours
    assert "#1b1f24" not in html.split("</style>", 1)[1]


def test_page_tells_limits_and_what_is_missing(report: Path) -> None:
    text = " ".join(Page((report / "report.html").read_text()).text.split())
    for part in (
        "No trial has been recorded yet.", "Stable Diffusion 1.4", "CIFAR-10", "378", "claims of others",
        "/experiment.yaml --name cnn-again --data CIFAKE", "Overfitting:", "broken.jpg",
    ):  # fmt: skip
        assert part in text


def explain_in(run: Path) -> None:
    """Two pictures, as `evaluate --explain` leaves them."""
    folder = run / "explain"
    folder.mkdir()
    files = {"image": "00-image.png", "overlay": "00-overlay.png"}
    for name in files.values():
        (folder / name).write_bytes(b"\x89PNG of the data set")
    entry = {"name": "0001 (3).jpg", "label": "FAKE", "p_fake": 0.02, "subject": "bird", **files}
    (folder / "explain.json").write_text(json.dumps({"schema": 1, "method": "Grad-CAM", "images": [entry]}))


UNCLEAR = (
    "goes? on with|is at it|do(es)? not tell|reckon|recogni[sz]e|a coin|called the test images|"
    "best tested|gets most wrong|empty place"
)


def test_page_and_documents_have_none_of_the_words_that_newcomers_did_not_understand(report: Path) -> None:
    root = Path(__file__).parents[2]
    texts = {"page": Page((report / "report.html").read_text()).text}
    for file in (report / "comparison.md", root / "README.md", root / "docs" / "reference.md"):
        texts[file.name] = file.read_text()
    found = {name: re.search(UNCLEAR, text, re.IGNORECASE) for name, text in texts.items()}
    assert found == dict.fromkeys(texts)


def test_pictures_of_errors_are_on_the_page_unless_images_are_not_wanted(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(trials=3)
    explain_in(run)
    picture = base64.b64encode(b"\x89PNG of the data set").decode()
    write_report([run], tmp_path / "out")
    html = (tmp_path / "out" / "report.html").read_text()
    assert picture in html
    assert "FAKE bird, called REAL with 98.0 %" in html
    write_report([run], tmp_path / "out", images=False)
    assert picture not in (tmp_path / "out" / "report.html").read_text()


def test_page_says_which_command_adds_what_is_not_there(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(trials=3)
    write_report([run], tmp_path / "out")
    text = " ".join(Page((tmp_path / "out" / "report.html").read_text()).text.split())
    assert "cifake-ray evaluate RUN --robustness" in text
    assert "cifake-ray evaluate RUN --explain" in text
    (run / "robustness.json").write_text(json.dumps(robustness_of({"as they are": 0.95, "blur, sigma 1 px": 0.6})))
    write_report([run], tmp_path / "out")
    text = " ".join(Page((tmp_path / "out" / "report.html").read_text()).text.split())
    assert "--robustness" not in text
    assert "cnn falls from 95.0 to 60.0 % (blur, sigma 1 px)" in text
    assert (tmp_path / "out" / "plots" / "robustness.svg").exists()


def test_many_studies_are_drawn_by_several_processes_and_look_the_same(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run(f"s{i}", trials=3, parts="trials curves") for i in range(4)]
    write_report(runs, tmp_path / "many")
    write_report(runs[:1], tmp_path / "one")
    for plot in ("trial-curves", "cost"):
        many, one = ((tmp_path / folder / "plots" / f"s0-{plot}.svg").read_bytes() for folder in ("many", "one"))
        assert many == one


def test_same_runs_give_the_same_bytes(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(trials=3)
    first, second = write_report([run], tmp_path / "a"), write_report([run], tmp_path / "b")
    dated = re.compile(rb"\d{4}-\d\d-\d\d(?= \xc2\xb7 cifake-ray )")  # the page's day, which midnight may change
    one, two = ([dated.sub(b"", file.read_bytes()) for file in written] for written in (first, second))
    assert one == two


@pytest.mark.parametrize("parts", ["trials", "curves", "environment test"])
def test_half_finished_run_still_gives_a_page(make_run: MakeRun, tmp_path: Path, parts: str) -> None:
    written = write_report([make_run(parts=parts)], tmp_path / "out")
    assert written[-1].name == "report.html"


def test_run_given_twice_counts_once_and_equal_names_are_told_apart(make_run: MakeRun, tmp_path: Path) -> None:
    first = make_run("cnn", parts="trials")
    other = tmp_path / "elsewhere"
    other.mkdir()
    (first.parent / "x").mkdir()
    (other / "cnn").symlink_to(first)
    assert [study.name for study in load_all([first, first, other / "cnn"])] == ["cnn"]
    (other / "cnn").unlink()
    (other / "cnn").mkdir()
    (other / "cnn" / "experiment.yaml").write_text((first / "experiment.yaml").read_text())
    assert [study.name for study in load_all([first, other / "cnn"])] == ["cnn", "cnn-2"]


def test_no_run_and_unwritable_folder_are_refused_in_one_line(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run given"):
        write_report([], tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_report([make_run(parts="")], tmp_path / "file" / "out")


def test_a_report_replaces_the_plots_of_an_earlier_one_and_no_picture_of_the_user(tmp_path: Path) -> None:
    make, out = make_run_in(tmp_path), tmp_path / "out"
    write_report([make("first"), make("second")], out)
    own = {"my-cost.png", "model-comparison.svg", "timeline.png", "third-roc.svg", "first-notes.png"}
    for name in own:
        (out / "plots" / name).write_text("mine")
    write_report([tmp_path / "runs" / "second"], out)
    left = {file.name for file in (out / "plots").iterdir()}
    assert own <= left
    assert not {name for name in left - own if name.startswith("first-")}
    assert "second-cost.svg" in left


@pytest.mark.parametrize("table", [None, "", "a,b\n1,2\n", b"\xff\xfe\x00"])
def test_pictures_beside_a_table_that_is_no_report_stay(tmp_path: Path, table: str | bytes | None) -> None:
    out = tmp_path / "out"
    (out / "plots").mkdir(parents=True)
    (out / "plots" / "robustness.png").write_text("mine")
    if table is not None:
        (out / "comparison.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    write_report([make_run_in(tmp_path)("cnn")], out)
    assert (out / "plots" / "robustness.png").read_text() == "mine"


def test_on_top_are_date_version_durations_and_the_command_of_the_best_model(report: Path) -> None:
    html = (report / "report.html").read_text()
    top = html[: html.index('<h2 id="comparison">')]
    assert re.search(r"\d{4}-\d\d-\d\d · cifake-ray [\d.]+ · 3 studies, 27 min in all", top)
    assert top.count("14 min</small>") == 2  # each tested study ran for 812 s
    assert "cifake-ray train" in top
    assert "--set training.lr=" in top


def test_short_names_are_explained_in_every_table_head(report: Path) -> None:
    html = (report / "report.html").read_text()
    for name in ("AUC", "Balanced %", "F1 of FAKE", "ECE", "Constant answer %", "p, Holm"):
        assert f">{name}</abbr>" in html
        assert f"<th>{name}</th>" not in html


@pytest.mark.parametrize(
    ("heights", "left"), [([], []), ([3], [0]), ([3, 1], [0]), ([3, 1, 2], [0]), ([5, 4, 4, 5], [0, 1])]
)
def test_plots_stand_in_two_columns_of_the_same_height_in_their_order(heights: list[int], left: list[int]) -> None:
    found = columns([{"height": height, "place": place} for place, height in enumerate(heights)])
    assert [figure["place"] for figure in found[0]] == left
    assert sorted(figure["place"] for column in found for figure in column) == list(range(len(heights)))
    assert all(column == sorted(column, key=lambda figure: figure["place"]) for column in found)


def top_of(out: Path) -> str:
    """What stands above the comparison, as text."""
    html = (out / "report.html").read_text()
    return " ".join(Page(html[html.index("<main>") : html.index('<h2 id="comparison">')]).text.split())


def test_command_on_top_trains_the_model_that_the_first_sentence_names(make_run: MakeRun, tmp_path: Path) -> None:
    real, sample = make_run("real"), make_run("toy", generated=True)
    write_predictions(sample, better=0.95)  # more right than the real one, and only the sample
    write_report([sample, real], tmp_path / "out")
    assert "of study real (tuned)" in top_of(tmp_path / "out")
    assert re.findall(r"--name (\S+)", top_of(tmp_path / "out")) == ["real-winner"]
    rows = json.loads((real / "test.json").read_text())
    baseline = next(winner["params"] for winner in rows["winners"] if winner["role"] == "baseline")
    rows["winners"][0]["mean"]["test_dedup"]["accuracy"]["value"] = 0.5
    (real / "test_predictions.npz").unlink()
    (real / "test.json").write_text(json.dumps(rows))
    write_report([real], tmp_path / "out")
    assert "of study real (baseline)" in top_of(tmp_path / "out")
    assert f"--name real-baseline --set training.lr={baseline['lr']}" in top_of(tmp_path / "out")


def test_nothing_is_to_be_trained_again_before_a_test(make_run: MakeRun, tmp_path: Path) -> None:
    write_report([make_run(parts="environment trials curves")], tmp_path / "out")
    assert "Train the best one again" not in top_of(tmp_path / "out")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3_735, "1 h 2 min"), (3_600, "1 h"), (3_599, "1 h"), (120_000, "33 h 20 min"), (700, "12 min"), (8.9, "8.9 s"),
     (0, "–"), (-5, "–"), (float("nan"), "–"), (float("inf"), "–")],
)  # fmt: skip
def test_wall_time_is_in_hours_and_minutes_and_a_dash_where_it_is_not_recorded(seconds: float, text: str) -> None:
    assert wall_time(seconds) == text


@pytest.mark.parametrize("seconds", [None, 0, -5, float("nan"), float("inf")])
def test_a_study_without_a_recorded_duration_is_not_said_to_have_taken_any(
    make_run: MakeRun, tmp_path: Path, seconds: float | None
) -> None:
    run, other = make_run("one"), make_run("other")
    noted = {key: value for key, value in environment_of().items() if key != "seconds"}
    (run / "environment.json").write_text(json.dumps(noted | ({} if seconds is None else {"seconds": seconds})))
    write_report([run, other], tmp_path / "out")
    assert "2 studies, 14 min in all" in top_of(tmp_path / "out")
    html = (tmp_path / "out" / "report.html").read_text()
    assert sorted(re.findall(r"Wall time without start and decoding</dt><dd>([^<]*)", html)) == ["14 min", "–"]
