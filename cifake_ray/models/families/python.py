"""The family `python`: a network that the user's own Python file defines."""

import linecache
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.parameter import UninitializedParameter

from cifake_ray.errors import InputError, nearest
from cifake_ray.experiment import OwnFile
from cifake_ray.experiment.families.python import PythonModel
from cifake_ray.models.families.base import Family, Prepare
from cifake_ray.models.weight_files import Weights

_TRIED = 2  # pictures of the trial batch: batch norm needs two
_NO_MEMORY = "can't allocate memory"  # in the message of torch's RuntimeError on the CPU


class PythonNetwork(nn.Module):
    """The user's network as the fit loop takes one. Input: float [n, 3, s, s] in 0..1; output: logits [n] of REAL.

    The file's logit is that of FAKE. Here alone its sign changes. `forward` raises InputError for what goes wrong in
    the file, and for an output that is not one logit a picture.
    """

    def __init__(self, net: nn.Module, file: OwnFile, name: str) -> None:
        super().__init__()
        self.net, self._file, self._name = net, file, name

    def forward(self, images: Tensor) -> Tensor:
        with _located(self._file, self._name):
            logits = self.net(images)
        count = len(images)
        if not isinstance(logits, Tensor):
            raise self._refused(f"expected a tensor of logits, found {type(logits).__name__}")
        if logits.shape not in ((count,), (count, 1)):
            raise self._refused(f"expected one logit a picture, [{count}] or [{count}, 1], found {list(logits.shape)}")
        if not logits.is_floating_point():
            raise self._refused(f"expected logits of a floating-point type, found {logits.dtype}")
        return -logits.reshape(count)

    def _refused(self, what: str) -> InputError:
        return InputError(f"{_place(self._file, self._name)}: {self._name}: {what}", "mend its forward")


class PythonFamily(Family[PythonModel]):
    """Networks that are trained on images from scratch, or from whatever their file loads."""

    def build(self, model: PythonModel, weights: Sequence[Weights] = ()) -> PythonNetwork:  # noqa: ARG002
        """Raises InputError where the file, the class or its arguments are wrong, naming file and line."""
        file, name = model.own_file, model.class_name
        if file is None or not file.trusted:
            raise InputError(f"{model.target}: its Python file was not read, or may not be run", "give --trust")
        with _located(file, name):
            module = _module(file)
            target = getattr(module, name, None)
            if target is None:
                raise InputError(f"{file.path}: no {name} in it", nearest(name, _defined(module)))
            net = target(**model.args)
        if not isinstance(net, nn.Module):
            found = type(net).__name__
            raise InputError(f"{_place(file, name)}: {name} makes a {found}", "expected a torch.nn.Module")
        network = PythonNetwork(net, file, name)
        if any(isinstance(parameter, UninitializedParameter) for parameter in net.parameters()):  # lazy layers
            with torch.no_grad():
                network(torch.zeros(_TRIED, 3, model.image_size, model.image_size))
        return network

    def prepare(self, model: PythonModel) -> Prepare:
        return partial(as_unit_range, image_size=model.image_size)

    def check(self, model: PythonModel) -> None:
        """Build the network, train it on two made-up pictures and judge one, on the CPU."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = self.build(model)
            images = torch.rand(_TRIED, 3, model.image_size, model.image_size)
            where = _place(network._file, network._name)
            if not any(parameter.requires_grad for parameter in network.parameters()):
                raise InputError(f"{where}: {network._name} has no parameter to train", "give it layers")
            logits = network.train()(images)
            if not logits.isfinite().all():
                raise InputError(f"{where}: {network._name} gives NaN or infinity for pictures in 0..1", "mend it")
            if not logits.requires_grad:
                raise InputError(f"{where}: no parameter of {network._name} has a part in its logits", "mend forward")
            with _located(network._file, network._name):
                logits.sum().backward()
            with torch.inference_mode():
                network.eval()(images[:1])


def as_unit_range(images: Tensor, image_size: int) -> Tensor:
    """uint8 [n, h, h, 3], 0..255 -> float32 [n, 3, s, s] in 0..1, resized bilinearly; channels_last in memory."""
    scaled = images.permute(0, 3, 1, 2).to(torch.float32).div_(255)
    if scaled.shape[-1] == image_size:
        return scaled
    return interpolate(scaled, size=(image_size, image_size), mode="bilinear", align_corners=False, antialias=True)


@lru_cache(maxsize=8)
def _module(file: OwnFile) -> ModuleType:
    """The file, run as a module of a name of its own; torch's random numbers stay where they were."""
    module = ModuleType(f"cifake_ray_own_{file.sha256[:16]}")
    module.__file__ = file.path
    lines = file.content.decode("utf-8-sig").splitlines(keepends=True)
    linecache.cache[file.path] = (len(file.content), None, lines, file.path)  # for tracebacks on a node without it
    sys.modules[module.__name__] = module  # dataclasses and pickle look there
    state = torch.get_rng_state()
    try:
        exec(compile(file.content, file.path, "exec"), module.__dict__)
    except BaseException:
        del sys.modules[module.__name__]
        raise
    finally:
        torch.set_rng_state(state)
    return module


@contextmanager
def _located(file: OwnFile, name: str) -> Iterator[None]:
    """Errors of the user's code as one line with file, line and exception. Lack of memory passes as it is."""
    try:
        yield
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())[:300]
        if _NO_MEMORY in text:
            raise
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file.path]
        where = f"{file.path}:{lines[-1]}" if lines else _place(file, name)
        raise InputError(f"{where}: {type(error).__name__}: {text}", "mend that file, or model.args") from error


def _place(file: OwnFile, name: str) -> str:
    return f"{file.path}:{file.line_of(name)}"


def _defined(module: ModuleType) -> list[str]:
    """The names of the classes and functions that the file itself defines."""
    return [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
