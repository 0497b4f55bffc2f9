"""Networks of each kind of model; the settings are in `experiment/families`."""
