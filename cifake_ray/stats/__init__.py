"""Statistics on numbers alone: intervals, tests of differences, scores of classes. Each formula names its source.

Knows nothing of runs, images or models; evaluation and reporting both use it, so that one figure has one formula.
"""
