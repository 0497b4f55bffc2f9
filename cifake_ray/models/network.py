"""Optional methods of a network besides `forward`, which the fit uses."""

from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class StandardisesInputs(Protocol):
    """A network that takes the scale of its inputs from `sample_rows` of the train rows, before its first step."""

    sample_rows: ClassVar[int]

    def standardise_by(self, inputs: Tensor) -> None: ...


@runtime_checkable
class LearnsInGroups(Protocol):
    """A network whose parts learn at several rates: groups for an optimiser, `factor` multiplies the learning rate."""

    def parameter_groups(self) -> list[dict[str, Any]]: ...


def count_parameters(module: nn.Module, *, trained: bool = False) -> int:
    """Weights and biases, on demand only those that are trained; running statistics are not counted."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trained)
