"""Scores, robustness, errors and saliency of detectors, written into runs; torch, no Ray."""
