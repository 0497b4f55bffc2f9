"""Whatever a file holds, it is read as it looks or refused in one line; nothing hangs, and no code runs."""

import random
import string
from pathlib import Path

import pytest

from cifake_ray.errors import InputError
from cifake_ray.experiment import SAMPLES, load_experiment, parse_yaml, validate_experiment

ROOT = Path(__file__).parent.parent.parent
SHIPPED = sorted((ROOT / "search_spaces").rglob("*.yaml"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-3", -3), ("0", 0), ("1e-3", 1e-3), ("1.0e-05", 1e-5), (".5", 0.5), ("5.", 5.0), ("+2", 2),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
        ("yes", "yes"), ("off", "off"), ("no", "no"), ("010", "010"), ("0x1f", "0x1f"), ("1:30", "1:30"),
        ("1_000", "1_000"), ("2020-01-01", "2020-01-01"), ("2020-13-45", "2020-13-45"), ("0,001", "0,001"),
        ("'2'", "2"), ("[a, 1]", ["a", 1]), ("{a: {b: 1}}", {"a": {"b": 1}}),
    ],
)  # fmt: skip
def test_plain_values_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert parse_yaml(text, "here") == value
    assert type(parse_yaml(text, "here")) is type(value)


def test_merge_keys_are_read_and_do_not_count_as_repeats() -> None:
    text = "base: &base {a: 1, b: 2}\nother:\n  <<: *base\n  b: 3\n"
    assert parse_yaml(text, "here")["other"] == {"a": 1, "b": 3}


def laughs(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines)


REFUSED = {
    "aliases": (laughs(9), "more than 20,000 values"),
    "itself": ("a: &a [*a]", "line 1: .*contains itself"),
    "depth": ("[" * 500 + "]" * 500, "nested deeper than 50 levels"),
    "size": ("# " + "x" * 2_000_000, "are no experiment"),
    "binary": ("a: !!binary aGk=", "line 1: .*binary"),
    "set": ("a: !!set {x, y}", "line 1: .*set"),
    "time": ("a: !!timestamp x", "line 1: .*timestamp"),
    "int": ("\na: !!int abc", "line 2: .*'abc' is no int"),
    "bool": ("a: !!bool x", "'x' is no bool"),
    "digits": ("a: !!int " + "9" * 5000, "is no int"),
    "python": ("a: !!python/object/apply:os.system [ls]", "python/object/apply"),
    "key": ("{1: 2}", "the key 1 is no text"),
    "list as key": ("? [a]\n: 1", "is no text|unhashable"),
    "twice": ("a: 1\na: 2", "line 2: .*the key 'a' is given twice"),
    "two documents": ("a: 1\n---\nb: 2", "another document"),
    "tab": ("a:\n\t- 1", "line 2: not valid YAML.*indent with spaces, not tabs"),
    "text as map": ("a: 1\nb: !!map x", "line 2: .*expected a mapping"),
    "list as map": ("a: !!map [1]", "line 1: .*expected a mapping"),
    "null": ("a: !!null x", "'x' is no null"),
    "twice in what is merged": ("a:\n  <<: {b: 1, b: 2}", "line 2: .*the key 'b' is given twice"),
    "control character": ("a: 1\nb: \x1b", "line 2: .*does not allow, 0x1b"),
    "undefined": ("a: *b", "undefined alias"),
}


@pytest.mark.parametrize(("text", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_plain_yaml_is_one_line_with_its_place(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        parse_yaml(text, "here.yaml")
    assert str(refused.value).startswith("here.yaml")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_many_digits_without_a_tag_are_no_number(tmp_path: Path) -> None:
    file = tmp_path / "digits.yaml"
    file.write_text(f"name: x\nmodel: {{kind: cnn}}\ntraining: {{epochs: {'9' * 5000}}}\n")
    with pytest.raises(InputError, match=r"training\.epochs") as refused:
        load_experiment(file)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("name: ü".encode("latin-1"), "save it as UTF-8"),
        ("name: x".encode("utf-16"), "save it as UTF-8"),
        ("name: x".encode("utf-16-le"), "save it as UTF-8"),
    ],
)
def test_another_encoding_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "x.yaml").write_bytes(data)
    with pytest.raises(InputError, match=words):
        load_experiment(tmp_path / "x.yaml")


def test_a_device_is_no_experiment() -> None:
    with pytest.raises(InputError, match="no regular file"):
        load_experiment(Path("/dev/zero"))


def test_a_space_with_tiny_steps_is_counted_and_not_listed() -> None:
    tree = {
        "name": "x", "model": {"kind": "cnn"}, "search": {"sampler": "grid"},
        "search_space": {"lr": {"type": "float", "low": 0.001, "high": 1.0, "step": 1e-12}},
    }  # fmt: skip
    with pytest.raises(InputError, match="999,000,000,001 configurations"):
        validate_experiment(tree, "here")
    fine = {"type": "float", "low": 0.0, "step": 1e-15}
    tree["search_space"] = {key: fine | {"high": 0.9} for key in ("dropout", "label_smoothing", "warmup", "ema")}
    with pytest.raises(InputError, match="over 1,000,000,000,000,000 configurations"):
        validate_experiment(tree, "here")


def test_choices_that_decide_over_others_are_counted_and_not_listed() -> None:
    many = {"type": "categorical", "choices": list(range(2, 1002))}
    tree = {
        "name": "x", "model": {"kind": "cnn"}, "search": {"sampler": "grid"},
        "search_space": {
            "batch_size": many, "head_width": many, "channels": many,
            "lr": {"type": "categorical", "choices": [0.001, 0.01],
                   "when": {"batch_size": [2], "head_width": [2, 3], "channels": [4]}},
        },
    }  # fmt: skip
    with pytest.raises(InputError, match="1,000,000,002 configurations"):
        validate_experiment(tree, "here")


def test_more_than_a_thousand_choices_are_refused() -> None:
    tree = {
        "name": "x", "model": {"kind": "cnn"},
        "search_space": {"batch_size": {"type": "categorical", "choices": list(range(2, 18_000))}},
    }  # fmt: skip
    with pytest.raises(InputError, match="at most 1000 items"):
        validate_experiment(tree, "here")


def test_an_experiment_without_images_is_refused_when_they_must_be_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nmodel: {kind: cnn}\n")
    with pytest.raises(InputError, match=r"mine: no images are named; give --data FOLDER"):
        load_experiment(file, images_named=True)
    assert load_experiment(file, ["data.source=sample"], images_named=True).data.source == "sample"


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_only_demos_and_examples_that_ship_name_a_sample(file: Path) -> None:
    if file.parent.name in ("demo", "examples"):
        assert load_experiment(file, images_named=True).data.source in SAMPLES
    else:
        with pytest.raises(InputError, match="no images are named"):
            load_experiment(file, images_named=True)


WORDS = (
    "yes", "1:30", "010", "2020-01-01", "1e400", "-1", "'2'", "[]", "{}", "null", "!!set {a}", "!!int z", "&a [*a]",
    "*a",
    "<<: {a: 1}", "[[[[", "\x00", "\ud800", "ü" * 300, "9" * 400, "0.0", "1e22", "[a, a]", "{a: 1, a: 2}", "!!binary x",
    "%", "@x", "`x`", "|", ">", "? a", "- - -", "---", "...", "#", "\t", "true", ".nan", ".inf", "sample", "/dev/zero",
)  # fmt: skip


def mutated(text: str, draw: random.Random) -> str:
    """The text with one to four changes: a value, a line, or some characters replaced, repeated or removed."""
    for _ in range(draw.randint(1, 4)):
        lines = text.splitlines() or [""]
        at = draw.randrange(len(lines))
        match draw.randrange(6):
            case 0:
                lines[at] = lines[at].partition(":")[0] + ": " + draw.choice(WORDS)
            case 1:
                lines.insert(at, draw.choice(lines))
            case 2:
                del lines[at]
            case 3:
                lines[at] = lines[at].replace(draw.choice([",", ":", "{", "}", "[", "]", " "]), draw.choice(WORDS), 1)
            case 4:
                cut = draw.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:cut] + draw.choice(string.printable) + lines[at][cut:]
            case 5:
                lines[at] = " " * draw.randrange(9) + lines[at]
        text = "\n".join(lines)
    return text


def refused_with(file: Path, settings: list[str]) -> str | None:
    """The line that refuses the experiment; None when it is valid. Whatever else is raised fails the test."""
    try:
        load_experiment(file, settings)
    except InputError as error:
        return str(error)
    return None


def test_300_mutations_of_the_shipped_experiments_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    draw, file, refused = random.Random(14), tmp_path / "x.yaml", 0
    for _ in range(300):
        text = mutated(draw.choice(SHIPPED).read_text(), draw)
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        setting = [f"{draw.choice(['training.lr', 'search.trials', 'model.pool', 'a.b'])}={draw.choice(WORDS)}"]
        refusal = refused_with(file, setting if draw.random() < 0.3 else [])
        refused += refusal is not None
        assert "\n" not in (refusal or "")
        assert len(refusal or "") < 2000
    assert 100 < refused < 300  # some are valid all the same
