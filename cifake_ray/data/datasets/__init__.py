"""Dataset cards: one file a data set, and one line here."""

from collections.abc import Mapping

from cifake_ray.data.datasets import cifake, generic, sample, sample_native, tiny_genimage
from cifake_ray.data.datasets.card import Card

_MODULES = (cifake, sample, sample_native, tiny_genimage, generic)
CARDS: dict[str, Card] = {module.CARD.name: module.CARD for module in _MODULES}


def card_of_content(content: Mapping[str, str]) -> Card:
    """The card whose whole set has these content digests of its parts; the generic card without one."""
    return next((card for card in CARDS.values() if card.is_whole(content)), CARDS[generic.CARD.name])


def recorded_card(noted: Mapping[str, object]) -> Card:
    """The card of images as a run or a cache entry records the card.

    Keys: `card`, a name; of version 0.1 `is_cifake`, or `generated`, or only the `fingerprint` of the whole set.
    """
    if (named := CARDS.get(str(noted.get("card")))) is not None:
        return named
    if noted.get("generated"):
        return sample.CARD
    if noted.get("is_cifake"):
        return cifake.CARD
    return next((card for card in CARDS.values() if noted.get("fingerprint") in card.fingerprints), generic.CARD)
