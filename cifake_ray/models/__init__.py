"""Networks, pretrained weights and the passes of frozen backbones, by family."""
