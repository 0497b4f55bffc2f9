"""Studies as jobs on a Ray cluster: what goes up, versions on its nodes, submit, status, logs, stop."""
