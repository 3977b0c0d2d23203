"""Predicting any number of images: where they come from, where answers go, and going on after a
crash. Nothing here imports torch."""
