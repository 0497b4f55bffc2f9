"""7: extraction of frozen features up to ResNet50's layer2, against a plain torchvision forward in fp32.

    python -m benchmarks.extraction [--runs 5] [--sizes 32 64]

Random weights (they cost what trained ones do). Two workers are two threads, as extraction without Ray runs.
"""

import argparse
import os
import time
from functools import partial

import numpy as np
import torch
from torchvision.models import ResNet, resnet50
from torchvision.transforms.v2.functional import normalize, resize

from benchmarks.pairs import HEADER, OTHER, OURS, RUNS, Row, alternate, compared
from cifake_ray.data.pixels import ArrayPixels
from cifake_ray.features.shards import Extraction, Pass, local_shards
from cifake_ray.models.backbone import IMAGENET_MEAN, IMAGENET_STD, build_backbone
from cifake_ray.models.families.torchvision import TorchvisionSpec
from cifake_ray.models.weights import random_weights
from cifake_ray.training.extract import extract_shard

STAGES = ("stem", "layer1", "layer2")
COLUMNS = tuple(f"{stage}.{statistic}" for stage in STAGES for statistic in ("mean", "std"))
MOST_APART = 0.02  # mean difference over mean size
IMAGES = {32: 4096, 64: 2048, 128: 512}


def ours(images: np.ndarray, size: int, workers: int) -> float:
    """Images a second, in shards over `workers` threads of one torch thread each."""
    torch.set_num_threads(workers)
    weights = random_weights("resnet50")
    one = Pass(TorchvisionSpec(weights, size, "layer2"), build_backbone(weights, "layer2"), COLUMNS)
    edges = range(0, len(images), 128)
    began = time.perf_counter()
    shards = [(start, min(start + 128, len(images))) for start in edges]
    for _ in local_shards(ArrayPixels(images), shards, Extraction((one,))):
        pass
    return len(images) / (time.perf_counter() - began)


def torchvision_network() -> ResNet:
    """torchvision's ResNet50 with the weights that `random` stands for here."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return resnet50().eval().requires_grad_(False)


def pooled(net: ResNet, images: torch.Tensor, size: int) -> torch.Tensor:
    """uint8 [n, 32, 32, 3] -> float32 [n, 1664]: mean and deviation of each of STAGES, as torchvision's users would."""
    batch = images.permute(0, 3, 1, 2).float() / 255
    x = normalize(resize(batch, [size, size]), list(IMAGENET_MEAN), list(IMAGENET_STD))
    stem = net.maxpool(net.relu(net.bn1(net.conv1(x))))
    layer1 = net.layer1(stem)
    maps = (stem, layer1, net.layer2(layer1))
    return torch.cat([statistic((2, 3)) for part in maps for statistic in (part.mean, part.std)], 1)


@torch.inference_mode()
def plain(images: np.ndarray, size: int, workers: int) -> float:
    """Images a second of torchvision's network in fp32, batch 64, with the same stages pooled."""
    torch.set_num_threads(workers)
    net = torchvision_network()
    began = time.perf_counter()
    for start in range(0, len(images), 64):
        pooled(net, torch.from_numpy(images[start : start + 64]), size)
    return len(images) / (time.perf_counter() - began)


@torch.inference_mode()
def check_same(images: np.ndarray, size: int) -> None:
    """Exit when the two sides' features differ by more than bf16's rounding lets them."""
    net = build_backbone(random_weights("resnet50"), "layer2")
    spec = TorchvisionSpec(random_weights("resnet50"), size, "layer2")
    mine = extract_shard(images, net, spec, COLUMNS)
    ours = np.concatenate([mine[column] for column in COLUMNS], 1).astype(np.float32)
    theirs = pooled(torchvision_network(), torch.from_numpy(images), size).numpy()
    apart = np.abs(ours - theirs).mean() / np.abs(theirs).mean()
    if apart > MOST_APART:
        raise SystemExit(f"the features at {size} px differ by {apart:.1%}")


def compare(runs: int = RUNS, sizes: tuple[int, ...] = tuple(IMAGES)) -> list[Row]:
    cores, rows = len(os.sched_getaffinity(0)), []
    for size in sizes:
        images = np.random.default_rng(0).integers(0, 256, (IMAGES[size], 32, 32, 3), dtype=np.uint8)
        check_same(images[:64], size)
        found = alternate({OURS: partial(ours, images, size, cores), OTHER: partial(plain, images, size, cores)}, runs)
        rows.append(compared(7, f"extraction at {size} px, {cores} cores", found, "img/s", 2.5, rate=True))
        found = alternate({OURS: partial(ours, images, size, 2), OTHER: partial(ours, images, size, 1)}, runs)
        rows.append(compared(7, f"extraction at {size} px, 2 workers against 1", found, "img/s", 1.9, rate=True))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(IMAGES), choices=list(IMAGES))
    options = parser.parse_args()
    print(HEADER, flush=True)
    for row in compare(options.runs, tuple(options.sizes)):
        print(row.line(), flush=True)
