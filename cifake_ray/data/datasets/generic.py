"""The card of pictures of no known data set, such as the user's own."""

from cifake_ray.data.datasets.card import Card

CARD = Card("generic")
