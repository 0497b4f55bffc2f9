"""From encoded pictures to pixels, on all cores."""
