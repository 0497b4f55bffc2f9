"""Plain PyTorch: batches, augmentation, one fit loop, checkpoints; no Ray."""
