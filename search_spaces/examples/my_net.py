"""A network of your own: float pictures [n, 3, s, s] in 0..1 -> one logit a picture, [n], positive for FAKE."""

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d


class Net(nn.Module):
    def __init__(self, width: int = 16, head_width: int = 32, residual: bool = True) -> None:
        super().__init__()
        self.residual = residual  # what neighbouring pixels do not foretell, where generators leave their traces
        self.maps = nn.Sequential(
            nn.Conv2d(3, width, 5, padding=2), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(), nn.AdaptiveAvgPool2d(4),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Linear(32 * width, head_width), nn.ReLU(), nn.Linear(head_width, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        if self.residual:
            pictures = 8 * (pictures - avg_pool2d(pictures, 3, stride=1, padding=1, count_include_pad=False))
        return self.head(self.maps(pictures).flatten(1)).squeeze(1)
