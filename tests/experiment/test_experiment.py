"""The YAML: what is accepted, what is refused, and in which words."""

from pathlib import Path

import pytest

from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, load_experiment, parse_yaml, save_experiment, validate_experiment

CNN = """
name: cnn
model: {kind: cnn, head_width: 64}
training: {epochs: 3, lr: 1e-3, batch_size: 32}
search_space:
  lr: {type: float, low: 1e-4, high: 1e-2, log: true}
  batch_size: {type: categorical, choices: [32, 64]}
"""
RESNET = """
name: r
model: {kind: resnet50}
search_space: {stages: {type: categorical, choices: [[stem], [stem, layer1, layer2]]}}
"""
SHIPPED = sorted((Path(__file__).parent.parent.parent / "search_spaces").rglob("*.yaml"))


def load(tmp_path: Path, text: str, *overrides: str) -> Experiment:
    file = tmp_path / "experiment.yaml"
    file.write_text(text)
    return load_experiment(file, overrides)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_shipped_experiment_is_valid_and_searches_the_three_always_searched(path: Path) -> None:
    experiment = load_experiment(path)
    assert {"lr", "batch_size", "head_width"} <= {name.removeprefix("args.") for name in experiment.search_space}
    schema, command = path.read_text().splitlines()[:2]
    assert schema.startswith("# yaml-language-server: $schema=")
    assert (path.parent / schema.partition("=")[2]).is_file()
    assert command.startswith("# cifake-ray ")


def test_there_are_shipped_experiments() -> None:
    assert {path.stem for path in SHIPPED} >= {
        "cnn",
        "cnn-deep",
        "resnet50",
        "conditional",
        "native",
        "pareto",
        "python",
    }


def test_numbers_in_scientific_notation_are_numbers() -> None:
    assert parse_yaml("[1e-4, 1.5e3, -2E-2, 1e+4, 3, text]", "here") == [1e-4, 1500.0, -0.02, 1e4, 3, "text"]


def test_saved_experiment_loads_as_the_same_experiment(tmp_path: Path) -> None:
    for text in (CNN, RESNET):
        experiment = load(tmp_path, text)
        assert validate_experiment(parse_yaml(save_experiment(experiment), "saved"), "saved") == experiment


def test_groups_are_named_by_column_and_a_list_names_subjects(tmp_path: Path) -> None:
    for value, groups in (
        ("[bird, ship]", {"subject": ("bird", "ship")}),
        ("bird+ship", {"subject": ("bird", "ship")}),
        ("[]", {}),
        ("{generator: [midjourney, 2023], source: coco}", {"generator": ("midjourney", "2023"), "source": ("coco",)}),
    ):
        assert load(tmp_path, CNN, f"data.leave_out={value}").data.leave_out == groups
    for value, unseen in (
        ("same", 0),
        ("{unseen: 2}", 2),
        ("{unseen: [sdxl]}", ("sdxl",)),
        ("{unseen: sdxl}", ("sdxl",)),
    ):
        experiment = load(tmp_path, CNN, f"data.validate={value}")
        assert experiment.data.unseen == unseen
        assert validate_experiment(parse_yaml(save_experiment(experiment), "saved"), "saved") == experiment


def test_baseline_is_the_experiments_own_values(tmp_path: Path) -> None:
    assert load(tmp_path, CNN).baseline_params() == {"lr": 1e-3, "batch_size": 32}
    assert load(tmp_path, RESNET).baseline_params() == {"stages": "stem+layer1+layer2"}


def test_params_of_a_trial_are_put_where_they_belong(tmp_path: Path) -> None:
    trial = load(tmp_path, RESNET).with_params({"stages": "stem"}, seed=7)
    assert trial.model.stages == ("stem",)
    assert trial.training.seed == 7


def test_overrides_apply_in_order_and_are_checked(tmp_path: Path) -> None:
    assert load(tmp_path, CNN, "training.epochs=5", "training.epochs=7", "data.limit=100").training.epochs == 7
    with pytest.raises(InputError, match="expected key=value"):
        load(tmp_path, CNN, "training.epochs")
    with pytest.raises(InputError, match="holds a value"):
        load(tmp_path, CNN, "name.x=3")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("trainin.lr=3", "trainin: unknown key; did you mean training"),
        ("training.lrr=3", r"training\.lrr: unknown key; did you mean lr"),
        ("model.head_widht=3", r"model\.head_widht: unknown key; did you mean head_width"),
        ("model.kind=vgg", "'vgg'; expected 'cnn', 'cnn-deep', 'resnet18', "),
        ("training.lr=fast", r"training\.lr: .*number.*'fast'"),
        ("training.epochs=2.5", r"training\.epochs: .*integer"),
        ("training.epochs=0", r"training\.epochs: .*greater"),
        ("search_space.lr.lo=3", r"search_space\.lr\.lo: unknown key; did you mean low"),
        ("search_space.lr={type: float, lo: 1.0e-4, high: 1}", r"lr\.lo: .* low\?; .*lr\.low: .*missing"),
        ("search_space.lr.low=3", "low 3 is above high 0.01; swap them"),
        ("search_space.lr.step=0.1", "log and step cannot be combined"),
        ("search_space.lr.low=0", "low > 0"),
        ("search_space.head_width={type: float, low: 8, high: 90}", "head_width is a whole number; use type int"),
        ("search_space.lrate={type: float, low: 1, high: 2}", "not a key that can be searched; did you mean lr"),
        ("search_space.batch_size.choices=[64]", "starting value 32 is not among the choices"),
        ("search_space.augment={type: int, low: 1, high: 2}", "is not allowed|is no number"),
        ("search_space.batch_size.choices=[]", "at least 1 item"),
        ("search_space.batch_size.choices=[32, 0]", "batch_size = 0 is not allowed"),
        ("search_space.batch_size.choices=[32, 32]", "given twice"),
        ("training.lr=0.5", "starting value 0.5 lies outside"),
        ("search_space.head_width={type: int, low: 60, high: 90, step: 3}", "not low \\+ a multiple of step"),
        ("resources.max_concurrent=all", r"max_concurrent: input should be 'auto'"),
        ("data.limit=3", r"data\.limit"),
        ("name=a/b", "'a/b' is no name; use letters"),
        ("epochs=2", r"epochs: unknown key; did you mean training\.epochs\?"),
        ("head_width=2", r"did you mean model\.head_width\?"),
        ("training.lr=3", r"^--set training\.lr=3: .*widen it with --set search_space\.lr\.high=3"),
        ("search.trials=yes", "search.trials: .*integer"),
        ("search.trials=1:30", "search.trials: .*integer"),
        ("search.trials=010", "search.trials: .*integer"),
        ("search.trials='2'", "search.trials: .*integer"),
        ("search.trials=1e22", "search.trials: .*integer"),
        ("training.lr=true", "training.lr: .*number"),
        ("training.augment=[flip, flip]", "flip is given twice"),
        ("model.pool=[mean, mean]", "mean is given twice"),
        ("model.views=[identity, identity]", "identity is given twice"),
        ("model.views=[left8-left8]", "left8-left8 is no view"),
        ("data.leave_out=[bird, bird]", "bird is given twice"),
        ("data.leave_out={generator: [sd14, sd14]}", r"data\.leave_out\.generator: sd14 is given twice"),
        ("data.leave_out={generator: []}", r"data\.leave_out\.generator: .* at least 1 item"),
        ("data.validate=some", r"data\.validate: expected same, \{unseen: 2\} or \{unseen: \[names of generators\]\}"),
        ("data.validate={unseen: 0}", r"data\.validate: unseen: 0 generators; expected 1 to 100"),
        ("data.validate={unseen: [a, a]}", r"data\.validate: a is given twice"),
        ("data.validate={unseen: [1.5]}", r"data\.validate: expected same"),
        ("data={validate: {unseen: [a]}, leave_out: {generator: [a]}}", "a is left out by data.leave_out; name"),
        ("data.validation=same", r"data\.validation: unknown key; did you mean validate\?"),
        ("search.metric=val_acc", "search.metric: input should be 'val_accuracy', .* or 'val_degraded'"),
        ("search={metric: val_auc, target: 2}", "an AUC lies between 0 and 1"),
        ("search_space.batch_size.choices=[32, 32.0, '32']", "32.0 means the same as 32; remove one"),
        ("search_space.views={type: categorical, choices: [identity, identity+identity]}", "identity is given twice"),
        ("search.target=1e300", "an accuracy lies between 0 and 1"),
        ("search.target=-5", "an accuracy lies between 0 and 1"),
        ("search.time_budget_s=1e-300", "time_budget_s"),
        ("search.grace_epochs=50", "is more than training.epochs"),
        ("search_space.lr={type: float, low: 1.0e-4, high: 1.0, step: 1.0e-320}", "step .* is too small"),
        ("search_space.lr={type: float, low: 1.0e-4, high: 1.0, step: 1.0e-30}", "step .* is too small"),
        ("search_space.augment={type: categorical, choices: ['', flip+crop, crop+flip]}", "means the same as"),
        ("search_space.batch_size.choices=[!!int 1:30, 32]", "'1:30' is no int"),
        ("training.epochs=!!int 010", "'010' is no int"),
        ("training.lr=!!float 1:30", "'1:30' is no float"),
        ("search_space.lr.log=!!bool yes", "'yes' is no bool"),
        ("search.target=!!int " + "9" * 400, "is no int"),
        ("epoch=2", r"did you mean training\.epochs\?"),
        ("head_widht=2", r"did you mean model\.head_width\?"),
        ("model.lr=2", r"model\.lr: unknown key; did you mean training\.lr\?"),
        ("search.epochs=2", r"did you mean training\.epochs\?"),
        ("model=cnn", "expected keys with values, found 'cnn'"),
        ("search.time_budget_s=1e300", "less than or equal"),
        ("resources.wait_s=1e300", "less than or equal"),
        ("training.lr=0,001", "training.lr: .*number.*'0,001'"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_line_that_names_file_key_and_cure(tmp_path: Path, override: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        load(tmp_path, CNN, override)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("--set ")


def test_augmentation_can_be_searched_none_included(tmp_path: Path) -> None:
    choice = "search_space.augment={type: categorical, choices: [[], [flip], [flip, crop]]}"
    experiment = load(tmp_path, CNN, choice)
    assert experiment.baseline_params()["augment"] == ""
    assert experiment.with_params({"augment": ""}).training.augment == ()
    assert experiment.with_params({"augment": "flip+crop"}).training.augment == ("flip", "crop")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.stages=[stem, layer7]", "stages: resnet50 has no layer7; did you mean layer"),
        ("model.stages=[stem, stem]", "stages: one is given twice"),
        ("model.image_size=[]", "image_size: expected whole pixels from 32 to 1024"),
        ("model.image_size=[64, 7]", "several sizes such as"),
        ("search_space={trainable: {type: categorical, choices: [none, all]}}", "not a key that can be searched"),
        ("model={kind: resnet50, trainable: all, image_size: [64, 32]}", "several sizes are for a frozen network"),
        ("model.views=[identity, upside-down]", "upside-down is no view; expected identity, flip"),
        ("model.kind=convnext_tiny", "stages: convnext_tiny has no stem"),
    ],
)
def test_a_backbones_wrong_values_are_one_line(tmp_path: Path, override: str, words: str) -> None:
    text = RESNET.replace("kind: resnet50", "kind: resnet50, stages: [stem, layer1, layer2]")
    with pytest.raises(InputError, match=words) as refused:
        load(tmp_path, text, override)
    assert "\n" not in str(refused.value)


def test_sizes_stages_and_views_of_a_backbone_are_searched_joined_by_plus(tmp_path: Path) -> None:
    space = (
        "{image_size: {type: categorical, choices: [64, [64, 32]]}, views: {type: categorical, choices: "
        "[identity, [identity, flip-left1]]}}"
    )
    experiment = load(tmp_path, "name: r\nmodel: {kind: resnet50}", f"search_space={space}")
    assert experiment.baseline_params() == {"image_size": 64, "views": "identity"}
    model = experiment.with_params({"image_size": "64+32", "views": "identity+flip-left1"}).model
    assert (model.sizes, model.views) == ((64, 32), ("identity", "flip-left1"))
    assert len(model.columns) == 6


def test_a_backbone_that_is_not_named_its_stages_has_its_shallow_ones(tmp_path: Path) -> None:
    assert load(tmp_path, "name: x\nmodel: {kind: resnet18}").model.stages == ("stem", "layer1", "layer2")
    tuned = load(tmp_path, "name: x\nmodel: {kind: convnext_tiny, trainable: all}\ntraining: {augment: [flip]}").model
    assert (tuned.stages[-1], tuned.label) == ("features.3", "convnext_tiny, fine-tuned")


def test_images_of_a_frozen_backbone_cannot_be_augmented(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cached features"):
        load(tmp_path, RESNET, "training.augment=[flip]")


@pytest.mark.parametrize(("text", "words"), [
    ("name: [", "line 1: not valid YAML"),
    ("- a\n- b", "expected keys"),
    ("name: x\nname: y\nmodel: {kind: cnn}", "given twice"),
    ("name: x", "model: this key is missing"),
    ("name: x\nmodel: {head_width: 3}", "kind is missing|'kind' is missing"),
])  # fmt: skip
def test_a_damaged_file_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load(tmp_path, text)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_experiment(tmp_path / "nothing.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        load_experiment(tmp_path)


def test_a_suggestion_leaves_out_keys_that_the_file_has_beside_the_unknown_one(tmp_path: Path) -> None:
    text = CNN.replace("log: true", "lgo: true")
    assert text != CNN
    with pytest.raises(InputError, match=r"search_space\.lr\.lgo: unknown key; did you mean log\?$"):
        load(tmp_path, text)


def test_three_faults_are_explained_and_the_others_counted(tmp_path: Path) -> None:
    wrong = ["training.epochs=0", "training.batch_size=0", "data.limit=3"]
    with pytest.raises(InputError, match=r"training\.epochs.*; training\.batch_size.*; data\.limit") as refused:
        load(tmp_path, CNN, *wrong)
    assert "more" not in str(refused.value)
    with pytest.raises(InputError, match=r"; and 1 more$"):
        load(tmp_path, CNN, *wrong, "search.trials=0")
