"""timm's networks: their stages, their weights, and where the weights come from. timm itself is an extra."""
