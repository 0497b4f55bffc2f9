"""Run directories: their files as typed records, their names, locks and faults."""
