"""The package timm: its configurations, and its networks without values, with random ones, and with tensors."""

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from cifake_ray.console import shortened
from cifake_ray.errors import InputError, nearest

_FAILURES = (RuntimeError, AssertionError, ValueError, TypeError, KeyError, IndexError, AttributeError)  # of timm


def library() -> Any:
    """The package timm. Raises InputError with the command that installs the package."""
    try:
        import timm
    except ImportError as error:
        raise InputError(
            f"model.kind timm: the package timm cannot be imported ({error})", "run `pip install 'cifake-ray[timm]'`"
        ) from error
    return timm


def configuration(name: str) -> Any:
    """timm's configuration of the weights `name`, a network with the tag of its weights or without (the default's).

    Raises InputError for a network or a tag that timm does not have.
    """
    models = library().models
    architecture, _, tag = name.partition(".")
    if not models.is_model(architecture):
        close = difflib.get_close_matches(architecture, models.list_models(), n=1)
        cure = f"did you mean {close[0]}?" if close else "timm.list_models() in Python lists what timm has"
        raise InputError(f"model.name: timm has no {architecture}", cure)
    try:
        found = models.get_pretrained_cfg(name)
    except RuntimeError as error:
        tags = [known.partition(".")[2] for known in models.list_models(f"{architecture}.*", include_tags=True)]
        raise InputError(f"model.name: timm has no weights {tag} of {architecture}", nearest(tag, tags)) from error
    if found is None:
        raise InputError(f"model.name: timm has no configuration of {name}", "name another network")
    return found


def empty_network(name: str, image_size: int) -> Any:
    """The network without values, or with random ones where timm cannot build it so."""
    try:
        with torch.device("meta"):
            return created(name, image_size)
    except InputError:
        return random_network(name, image_size)


def random_network(name: str, image_size: int) -> Any:
    """timm's own initialisation at seed 0; the caller's generators are unchanged."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # torch.manual_seed would also seed the GPUs, which fork_rng skips here
        return created(name, image_size)


def loaded_network(name: str, image_size: int, tensors: Mapping[str, Tensor], where: str) -> Any:
    """The network with these tensors, whose names timm translates where they are the original authors'.

    Raises InputError, naming `where`, when tensors are missing, do not fit, or hold NaN or infinity.
    """
    classifier = configuration(name).classifier or ()
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    needed = {key: shape for key, shape in tensor_names(name).items() if key.startswith(heads)}
    headless = not any(key in tensors for key in needed)
    given = dict(tensors) | ({key: torch.zeros(shape) for key, shape in needed.items()} if headless else {})
    overlay = {"state_dict": given, "custom_load": False}
    try:
        with torch.random.fork_rng(devices=[]):  # timm initialises first
            network = created(name, image_size, pretrained=True, pretrained_cfg_overlay=overlay)
    except InputError as error:
        raise InputError(f"{where}: not the tensors of timm's {name} ({error.what})", "name another file") from error
    network.pretrained_cfg.pop("state_dict", None)  # else it would hold all tensors a second time
    damaged = [key for key, value in network.state_dict().items() if not value.isfinite().all()]
    if damaged:
        raise InputError(f"{where}: {damaged[0]} holds NaN or infinity ({len(damaged)} such tensors)", "fetch it again")
    return network


def tensor_names(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of the whole network at timm's own size, in timm's order."""
    size = configuration(name).input_size[-1]
    return {key: tuple(tensor.shape) for key, tensor in empty_network(name, size).state_dict().items()}


def created(name: str, image_size: int, **options: Any) -> Any:
    """timm's network in evaluation mode. Raises InputError for what timm refuses: a size, a tensor."""
    sized = {"img_size": image_size} if _fixed_size(name) else {}
    with refusing(name, image_size):
        return library().create_model(name, **options, **sized).eval()


@contextmanager
def refusing(name: str, image_size: int) -> Iterator[None]:
    """Turn what timm raises within the block into an InputError of one line."""
    try:
        yield
    except _FAILURES as error:
        reason = shortened(" ".join(str(error).split()) or type(error).__name__, 200)
        raise InputError(f"timm's {name} at {image_size} px: {reason}", "choose another model.image_size") from error


@lru_cache(64)
def _fixed_size(name: str) -> bool:
    return bool(configuration(name).fixed_input_size)
