"""A Python file as a user writes one, and an experiment that names the file; for tests of `kind: python`."""

from pathlib import Path

NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * width, 1)
        )

    def forward(self, pictures):
        return self.layers(pictures)
"""

EXPERIMENT = """
name: mine
model: {kind: python, target: my_net.py:Net, args: {width: 4}}
training: {epochs: 2, lr: 1e-2, batch_size: 32, precision: fp32}
search_space:
  lr: {type: float, low: 1e-3, high: 1e-1, log: true}
  args.width: {type: int, low: 2, high: 8}
search: {trials: 3, winner_seeds: 1}
data: {source: sample, limit: 240}
"""


def write_experiment(folder: Path, net: str = NET, experiment: str = EXPERIMENT) -> Path:
    """Write both files; the path of the experiment."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "my_net.py").write_text(net)
    (folder / "mine.yaml").write_text(experiment)
    return folder / "mine.yaml"
