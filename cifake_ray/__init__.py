"""Tune detectors of AI-generated images on CIFAKE with Ray Tune, Ray Train and Optuna."""

__version__ = "0.1.0"
