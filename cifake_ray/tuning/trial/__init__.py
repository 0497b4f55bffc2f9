"""One trial: `loop.py` runs in the trial's process, `workers.py` in its data-parallel workers."""
