"""ViT-B/16's structure at a width that takes no time: as many blocks, one head, few patches."""

from dataclasses import replace

from benchmarks.workload import VIT_B_16

NARROW = replace(
    VIT_B_16,
    image=replace(VIT_B_16.image, side=48, width=64, heads=1, mlp_width=64),
    text=replace(VIT_B_16.text, vocabulary=1300, width=64, heads=1, mlp_width=64),
    embed=32,
)
