"""The only home of Ray Tune and Ray Train: from a request to a study's retrained winners."""
