"""6c: accuracy on `sample-native` through our squares, against torchvision's pipeline: within 0.5 points of each other.

    python -m benchmarks.native_accuracy [--seeds 30] [--weights imagenet-v1]

The 600 pictures as files. Both sides have the same frozen ResNet50 up to layer2 at 224 px, and the same heads: each
seed draws 480 pictures to train on, the first weights and the batches, and the head is tested on the other 120. The
whole picture is compared with `Resize`, the centre with `CenterCrop` (of a smaller picture, enlarged by `Resize`). The
figure is the mean difference over the seeds, with its standard error. Everything said of `sample-native` is a test of
the path, never a claim.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.pairs import HEADER, Row
from cifake_ray.data.datasets.sample_native import NativePicture, build_sample_native
from cifake_ray.data.decoding.decode import decode_squares
from cifake_ray.data.transform import native_transform
from cifake_ray.models.families.torchvision import TorchvisionSpec
from cifake_ray.models.head import Head
from cifake_ray.models.weights import random_weights, resolve_weights
from cifake_ray.training.extract import extract_shard

SIDE, TEST, EPOCHS, BATCH, WIDTH, APART = 224, 120, 20, 32, 64, 0.5
Step = Callable[[Image.Image], Image.Image]


def centre(picture: Image.Image) -> Image.Image:
    """torchvision's centre crop; a smaller picture is enlarged until it covers the square."""
    larger = v2.Resize(SIDE)(picture) if min(picture.size) < SIDE else picture
    cropped: Image.Image = v2.CenterCrop(SIDE)(larger)
    return cropped


STEPS: dict[str, Step] = {"resize": v2.Resize([SIDE, SIDE]), "crop": centre}


def through_ours(pictures: Sequence[NativePicture], fit: str) -> np.ndarray:
    """uint8 [n, s, s, 3]."""
    transform = native_transform("resize" if fit == "resize" else "crop", SIDE)
    return np.stack([decode_squares(picture.data, [transform])[0].pixels for picture in pictures])


def through_torchvision(pictures: Sequence[NativePicture], folder: Path, fit: str) -> np.ndarray:
    """uint8 [n, s, s, 3] of the pictures as ImageFolder reads their files."""
    found: dict[str, np.ndarray] = {}
    for part in {picture.part for picture in pictures}:
        images = ImageFolder(str(folder / part), STEPS[fit])
        for (path, _), (image, _) in zip(images.samples, images, strict=True):
            found[Path(path).relative_to(folder).as_posix()] = np.asarray(image)
    return np.stack([found[picture.path] for picture in pictures])


def features(squares: np.ndarray, spec: TorchvisionSpec) -> torch.Tensor:
    """float32 [n, d] of the frozen network."""
    columns = extract_shard(squares, spec.build(spec.columns), image_size=SIDE, columns=spec.columns)
    return torch.from_numpy(np.concatenate([columns[name] for name in spec.columns], axis=1)).float()


def accuracy(inputs: torch.Tensor, labels: torch.Tensor, seed: int) -> float:
    """Points of 100: a head trained on 480 of the pictures, tested on the others; all that is random by the seed."""
    torch.manual_seed(seed)
    order = torch.randperm(len(labels))
    train, test = order[TEST:], order[:TEST]
    head = Head(inputs.shape[1], WIDTH)
    head.standardise_by(inputs[train])
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
    for _ in range(EPOCHS):
        for rows in train[torch.randperm(len(train))].split(BATCH):
            optimizer.zero_grad()
            binary_cross_entropy_with_logits(head(inputs[rows]), labels[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        return 100 * float(((head.eval()(inputs[test]) > 0) == labels[test].bool()).float().mean())


def compared(fit: str, folder: Path, pictures: Sequence[NativePicture], spec: TorchvisionSpec, seeds: int) -> Row:
    """The row of one fit."""
    squares = through_ours(pictures, fit), through_torchvision(pictures, folder, fit)
    apart = float(np.mean([np.abs(one.astype(np.int16) - two).mean() for one, two in zip(*squares, strict=True)]))
    labels = torch.tensor([float(picture.label) for picture in pictures])
    reached = [[accuracy(inputs, labels, seed) for seed in range(seeds)]
               for inputs in (features(one, spec) for one in squares)]  # fmt: skip
    differences = [one - two for one, two in zip(*reached, strict=True)]
    mean, error = statistics.mean(differences), statistics.stdev(differences) / seeds**0.5
    mine, theirs = (f"{statistics.mean(each):.2f} %" for each in reached)
    what = f"accuracy on sample-native, {fit} to {SIDE} px, frozen ResNet50 ({spec.weights.name}), {seeds} seeds; "
    return Row("6c", f"{what}pixels {apart:.2f} levels apart", mine, theirs, f"{mean:+.2f} points (±{error:.2f})",
               f"at most {APART} points apart", abs(mean) <= APART)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--weights", default="random", help="random, imagenet-v1, or a file")
    options = parser.parse_args(arguments)
    weights = random_weights("resnet50")
    if options.weights != "random":
        weights = resolve_weights("resnet50", options.weights, ["layer2"])
    spec = TorchvisionSpec(weights, SIDE, "layer2")
    pictures = build_sample_native()
    print(HEADER, flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for picture in pictures:
            file = folder / picture.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(picture.data)
        for fit in STEPS:
            print(compared(fit, folder, pictures, spec, max(options.seeds, 2)).line(), flush=True)


if __name__ == "__main__":
    main()
