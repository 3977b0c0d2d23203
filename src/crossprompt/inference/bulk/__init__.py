"""Prediction of any number of images: sources, output files, engines; imports no torch."""
