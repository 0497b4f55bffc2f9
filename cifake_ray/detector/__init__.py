"""A trained model: load, save, predict, decision."""
