"""The card of Tiny-GenImage, in whose label column 0 is REAL: the reverse of CIFAKE's. Chosen by `data.card` alone."""

from cifake_ray.data.datasets.card import Card

CARD = Card(
    name="tiny_genimage",
    title="Tiny-GenImage",
    numbers={0: 1, 1: 0},  # as its own card on the hub states: 0 real, 1 fake
    caveats=(
        "Tiny-GenImage is a part of GenImage: REAL images are JPEG files of any size, FAKE images are PNG files of few "
        "sizes, so that format and size tell much of the label (arXiv 2403.17608).",
    ),
)
