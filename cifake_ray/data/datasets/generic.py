"""The card of pictures that no card knows: those of the user's own."""

from cifake_ray.data.datasets.card import Card

CARD = Card("generic")
