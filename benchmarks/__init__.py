"""Side-by-side measurements, each one command: `python -m benchmarks.<name>`, or all of them by `make bench`."""
