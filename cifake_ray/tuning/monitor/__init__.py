"""What follows a study: display, gauges, failures, stop conditions."""
