"""Backbone weights that have a name: their licence, where they are downloaded from, how their file is identified."""

from dataclasses import dataclass, field
from typing import get_args

from cifake_ray.experiment.families.stages import BackboneKind


@dataclass(frozen=True)
class PublishedWeights:
    """Weights with a name. torchvision's file names end in the first 8 hex digits of their file's SHA-256.

    `official`: the network and the name in torchvision's list of weights, which knows where to download them.
    """

    licence: str
    digests: tuple[str, ...] = field(default=())
    url: str = ""
    official: tuple[str, str] | None = None

    @property
    def address(self) -> str:
        """The address of the download; empty for weights that are published nowhere."""
        if not self.official:
            return self.url
        from torchvision.models import get_model_weights

        kind, name = self.official
        return str(get_model_weights(kind)[name].url)

    @property
    def file(self) -> str:
        return self.address.rpartition("/")[2]

    def is_file(self, sha256: str) -> bool:
        """Whether a file with this digest is one of these weights."""
        if sha256 in self.digests:
            return True
        prefix = self.file.rpartition("-")[2].partition(".")[0]
        return bool(prefix) and sha256.startswith(prefix)


_TORCHVISION = "BSD-3-Clause (torchvision)"
_SECOND = ("resnet50", "resnet101", "efficientnet_b1", "mobilenet_v2", "mobilenet_v3_large")  # that have a V2
_DIGESTS = {  # of a file with the original tensors up to layer2 only
    ("resnet50", "imagenet-v1"): ("e8cdc9a2d9fd0bec786f4a25a86db057386ed3f49feb45f69dd503874d118e9d",)
}
KNOWN: dict[str, dict[str, PublishedWeights]] = {
    kind: {
        f"imagenet-v{version}": PublishedWeights(
            _TORCHVISION, _DIGESTS.get((kind, f"imagenet-v{version}"), ()), official=(kind, f"IMAGENET1K_V{version}")
        )
        for version in ((1, 2) if kind in _SECOND else (1,))
    }
    for kind in get_args(BackboneKind)
}
KNOWN["resnet50"]["imagenet-pq"] = PublishedWeights(  # product-quantised, arXiv 2010.15703
    "Uber Non-Commercial License (evaluation only)",
    ("0c12bb8882fe6976fd45f86ac0422ac5cea63810a934b8455573d8d18435f464",),
)
