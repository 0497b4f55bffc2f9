"""The family `python`: the contract of the user's network, checked once, and errors by file and line."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from cifake_ray.detector.blend import Blend
from cifake_ray.detector.load import describe_detector, load_detector, save_detector
from cifake_ray.detector.module import Detector
from cifake_ray.errors import InputError
from cifake_ray.evaluation.saliency import class_activation_maps
from cifake_ray.experiment import ModelSettings, load_experiment
from cifake_ray.models.registry import family_of
from cifake_ray.runs.names import create_run
from cifake_ray.runs.records import MemberNote
from cifake_ray.runs.trust import keep_file
from cifake_ray.training.checkpoint import load_checkpoint, save_checkpoint
from tests.own_net import NET, write_experiment


def model_of(folder: Path, net: str = NET, *settings: str) -> ModelSettings:
    return load_experiment(write_experiment(folder, net), settings).model


def net_of(forward: str, init: str = "self.layer = nn.Linear(3, 1)") -> str:
    """A file whose class has these lines; `forward` on line 10."""
    return f"""import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=1):
        super().__init__()
        {init}

    def forward(self, pictures):
        {forward}
"""


MEANS = "self.layer(pictures.mean((2, 3)))"


def test_the_logit_in_the_file_is_of_fake_and_in_the_house_of_real(tmp_path: Path) -> None:
    init = "self.layer = nn.Linear(3, 1); nn.init.ones_(self.layer.weight); nn.init.zeros_(self.layer.bias)"
    model = model_of(tmp_path, net_of(f"return {MEANS}", init))
    family = family_of(model)
    family.check(model)
    bright = np.full((2, 32, 32, 3), 255, np.uint8)
    network = family.start(model)
    assert network(family.prepare(model)(torch.from_numpy(bright))).tolist() == [-3.0, -3.0]  # 3 channels of 1.0
    assert Detector(model, network).p_fake(bright)[0] == pytest.approx(1 / (1 + np.exp(-3)))


@pytest.mark.parametrize("size", [32, 48])
def test_pictures_come_as_floats_in_0_to_1_at_image_size(tmp_path: Path, size: int) -> None:
    model = model_of(tmp_path, NET, f"model.image_size={size}")
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    prepared = family_of(model).prepare(model)(images)
    assert prepared.shape == (2, 3, size, size)
    assert prepared.dtype == torch.float32
    assert 0 <= prepared.min() < prepared.max() <= 1
    if size == 32:
        assert torch.equal((prepared * 255).round().permute(0, 2, 3, 1).to(torch.uint8), images)


@pytest.mark.parametrize("output", [f"{MEANS}", f"{MEANS}.squeeze(1)", f"{MEANS}.double()"])
def test_n_and_n_by_1_of_any_float_are_logits(tmp_path: Path, output: str) -> None:
    model = model_of(tmp_path, net_of(f"return {output}"))
    family_of(model).check(model)


WRONG = [
    ("return pictures.mean((1, 2, 3))", "self.a = 1", "my_net.py:4: Net has no parameter to train"),
    ("return pictures.mean((1, 2, 3))", "self.layer = nn.Linear(3, 1)", "no parameter of Net has a part in its logits"),
    ("return torch.cat([self.layer(pictures.mean((2, 3)))] * 2, 1)", "", r"expected one logit a picture, .* \[2, 2\]"),
    (f"return {MEANS}.mean()", "", r"expected one logit a picture, \[2\] or \[2, 1\], found \[\]"),
    (f"return {MEANS}.squeeze()", "", r"expected one logit a picture, \[1\] or \[1, 1\], found \[\]"),  # of one picture
    (f"return {MEANS}.long()", "", "expected logits of a floating-point type, found torch.int64"),
    (f"return {MEANS} / 0", "", "Net gives NaN or infinity"),
    ("return self.layer", "", "expected a tensor of logits, found Linear"),
    ("return self.layer(pictures)", "", "my_net.py:10: RuntimeError: .*mat1 and mat2"),
    ("return self.missing(pictures)", "", "my_net.py:10: AttributeError: 'Net' object has no attribute 'missing'"),
    ("exit(3)", "", "my_net.py:10: SystemExit: 3"),
    (f"return {MEANS}", "self.layer = nn.Linear(3, 0 / 0)", "my_net.py:7: ZeroDivisionError"),
]


@pytest.mark.parametrize(("forward", "init", "said"), WRONG)
def test_a_network_that_breaks_the_contract_is_refused_by_file_and_line(
    tmp_path: Path, forward: str, init: str, said: str
) -> None:
    model = model_of(tmp_path, net_of(forward, init or "self.layer = nn.Linear(3, 1)"))
    with pytest.raises(InputError, match=said) as refusal:
        family_of(model).check(model)
    assert str(refusal.value).startswith(f"{tmp_path}/my_net.py:")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("net", "settings", "said"),
    [
        ("import no_such_module\n" + NET, (), r"my_net.py:1: ModuleNotFoundError: No module named 'no_such_module'"),
        (NET, ("model.target=my_net.py:Nett",), r"my_net.py: no Nett in it; did you mean Net\?"),
        (NET, ("model.args.depth=3",), r"my_net.py:5: TypeError: .*unexpected keyword argument 'depth'"),
        ("def Net(width):\n    return 3\n", (), "my_net.py:1: Net makes a int; expected a torch.nn.Module"),
    ],
)
def test_a_file_that_makes_no_network_is_refused(
    tmp_path: Path, net: str, settings: tuple[str, ...], said: str
) -> None:
    model = model_of(tmp_path, net, *settings)
    with pytest.raises(InputError, match=said):
        family_of(model).check(model)


def test_a_file_that_is_not_trusted_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "environment.json").touch()
    model = model_of(tmp_path, "from pathlib import Path\nPath('ran').touch()\n" + NET)
    for settings in (model, type(model).model_validate(model.model_dump())):
        with pytest.raises(InputError, match="--trust"):
            family_of(settings).build(settings)
    assert not Path("ran").exists()


def test_a_seed_gives_the_same_network_whether_or_not_the_file_was_run_before(tmp_path: Path) -> None:
    model = model_of(tmp_path, NET + "\nimport torch\nNOISE = torch.rand(7)\n")
    networks = []
    for _ in range(2):
        torch.manual_seed(4)
        networks.append(family_of(model).start(model).state_dict())
    for name, tensor in networks[0].items():
        assert torch.equal(tensor, networks[1][name])


def test_lazy_and_tied_layers_are_trained_saved_and_loaded(tmp_path: Path) -> None:
    init = "self.layer = nn.LazyLinear(1); self.first = nn.Linear(3, 3); self.second = nn.Linear(3, 3); "
    init += "self.second.weight = self.first.weight"
    model = model_of(tmp_path, net_of("return self.layer(self.second(self.first(pictures.mean((2, 3)))))", init))
    family = family_of(model)
    family.check(model)
    network, images = family.start(model), torch.rand(4, 3, 32, 32)
    optimizer = torch.optim.SGD(network.parameters(), 1.0)
    binary_cross_entropy_with_logits(network(images), torch.ones(4)).backward()
    optimizer.step()
    save_checkpoint(tmp_path / "saved" / "best.safetensors", network.state_dict(), {})
    stored = load_checkpoint(tmp_path / "saved" / "best.safetensors")
    assert stored is not None
    again = family.build(model)
    again.load_state_dict(stored[0])
    assert torch.equal(again(images), network(images))


@pytest.mark.parametrize("net", [NET, net_of(f"return {MEANS}")])
def test_explanations_come_from_maps_or_from_the_pixels(tmp_path: Path, net: str) -> None:
    model = model_of(tmp_path, net)
    detector = Detector(model, family_of(model).start(model))
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    maps = class_activation_maps(detector, images, np.array([True, False, True]))
    assert maps.shape == ((3, 4, 4) if net == NET else (3, 32, 32))
    assert np.isfinite(maps).all()


def test_lack_of_memory_stays_what_it_is(tmp_path: Path) -> None:
    model = model_of(tmp_path, net_of("raise torch.OutOfMemoryError('CUDA out of memory')"))
    with pytest.raises(torch.OutOfMemoryError):
        family_of(model).build(model)(torch.rand(2, 3, 32, 32))


def test_two_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    first, second = model_of(tmp_path / "a"), model_of(tmp_path / "b", net_of(f"return {MEANS}"))
    names = {type(family_of(one).build(one).net).__module__ for one in (first, second)}
    assert len(names) == 2
    assert names <= set(sys.modules)


def test_a_blend_holds_the_file_of_each_member_and_none_is_mistaken_for_another(tmp_path: Path) -> None:
    models = [model_of(tmp_path / "a"), model_of(tmp_path / "b", net_of(f"return {MEANS}"))]
    detectors = [Detector(model, family_of(model).start(model)) for model in models]
    run = create_run(tmp_path / "runs", "mix", load_experiment(tmp_path / "a" / "mine.yaml"))
    notes = [describe_detector(one).model_copy(update={"model": keep_file(run, one.model)}) for one in detectors]
    members = [MemberNote(run="a", weight=0.25, note=notes[0]), MemberNote(run="b", weight=0.75, note=notes[1])]
    blend = Blend(list(zip(detectors, (0.25, 0.75), strict=True)))
    save_detector(blend, run.best, notes[0].model_copy(update={"members": members}))
    kept = sorted(file.name for file in run.path.glob("*.py"))
    assert kept == [f"my_net-{models[1].own_file_sha256[:8]}.py", "my_net.py"]
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(load_detector(run.trusting()).logits(images), blend.logits(images))
    with pytest.raises(InputError, match="my_net-.*--trust"):
        load_detector(run)  # the user has tuned one of the two here
