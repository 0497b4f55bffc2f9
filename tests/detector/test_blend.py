"""Several detectors as one: the weighted mean of their logits, stored whole in one file."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cifake_ray.data.transform import Transform
from cifake_ray.detector.blend import Blend
from cifake_ray.detector.load import describe_detector, load_detector, parameter_counts, save_detector
from cifake_ray.detector.module import Detector
from cifake_ray.errors import InputError
from cifake_ray.experiment.families.cnn import CnnDeepModel, CnnModel
from cifake_ray.experiment.families.torchvision import BackboneModel
from cifake_ray.models.registry import family_of
from cifake_ray.models.weights import resolve_weights
from cifake_ray.runs.records import MemberNote
from cifake_ray.runs.run import Run

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
SHARES = (0.5, 0.3, 0.2)


def small(model: CnnModel | CnnDeepModel, transform: Transform | None = None) -> Detector:
    torch.manual_seed(model.channels)
    return Detector(model, family_of(model).build(model), transform=transform)


def frozen() -> Detector:
    torch.manual_seed(0)
    model = BackboneModel(weights="random", image_size=32, stages=("stem",), head_width=8)
    return Detector(model, family_of(model).build(model), [resolve_weights("resnet50", "random", ["stem"])])


def three() -> Blend:
    """A CNN, a deeper one and a head on a frozen backbone."""
    cnn, deep = small(CnnModel(channels=4, head_width=8)), small(CnnDeepModel(channels=3, head_width=8))
    return Blend(list(zip((cnn, deep, frozen()), SHARES, strict=True)))


def save(blend: Blend, folder: Path) -> Run:
    note = describe_detector(blend)
    note.members = [MemberNote(run=f"run-{at}", weight=share, note=describe_detector(member))
                    for at, (member, share) in enumerate(blend.members)]  # fmt: skip
    save_detector(blend, folder / "best", note)
    return Run(folder)


def test_logits_are_the_weighted_mean_of_the_members() -> None:
    blend = three()
    each = [member.logits(IMAGES) for member, _ in blend.members]
    expected = sum(share * logits for share, logits in zip(SHARES, each, strict=True))
    np.testing.assert_allclose(blend.logits(IMAGES), expected, rtol=1e-12)
    np.testing.assert_allclose(blend(torch.from_numpy(IMAGES)).numpy(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(blend.p_fake(IMAGES), 1 / (1 + np.exp(-np.asarray(expected))), rtol=1e-6)
    assert not np.allclose(blend.logits(IMAGES), each[0])


def test_a_saved_blend_predicts_as_before_and_is_one_file(tmp_path: Path) -> None:
    blend = three()
    run = save(blend, tmp_path)
    assert sorted(file.name for file in run.best.iterdir()) == ["model.json", "model.safetensors"]
    loaded = load_detector(run)
    assert isinstance(loaded, Blend)
    assert loaded.shares == SHARES
    assert [member.model for member, _ in loaded.members] == [member.model for member, _ in blend.members]
    np.testing.assert_array_equal(loaded.logits(IMAGES), blend.logits(IMAGES))
    noted = json.loads((run.best / "model.json").read_text())
    assert [member["run"] for member in noted["members"]] == ["run-0", "run-1", "run-2"]
    assert noted["members"][2]["note"]["backbone"]["weights"] == "random"


def test_backbones_that_were_used_are_not_stored() -> None:
    blend = three()
    before = set(blend.tensors)
    blend.logits(IMAGES)
    assert set(blend.tensors) == before
    assert not [name for name in before if "backbone" in name]


def test_parameters_are_those_of_all_members() -> None:
    blend = three()
    blend.logits(IMAGES)
    counts = [parameter_counts(member) for member, _ in blend.members]
    assert parameter_counts(blend) == tuple(map(sum, zip(*counts, strict=True)))
    assert blend.weights_label == "random"


def test_a_damaged_member_is_refused(tmp_path: Path) -> None:
    run = save(three(), tmp_path)
    file = run.best / "model.json"
    noted = json.loads(file.read_text())
    noted["members"][1]["note"]["model"]["head_width"] = 9
    file.write_text(json.dumps(noted))
    with pytest.raises(InputError, match="not the tensors of a cnn-deep of these settings"):
        load_detector(run)


def test_members_that_see_pictures_in_other_ways_get_squares_of_their_own() -> None:
    model = CnnModel(channels=4, head_width=8)
    blend = Blend([(small(model), 0.5), (small(model, Transform("crop", 32)), 0.5)])
    judges: list[Callable[[], object]] = [lambda: blend.logits(IMAGES), lambda: blend(torch.from_numpy(IMAGES))]
    for judge in judges:
        with pytest.raises(InputError, match="the members of this blend see pictures as resize-32, crop-32; call each"):
            judge()
