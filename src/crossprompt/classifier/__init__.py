"""The trained classifier: evaluate, save, load, publish, explain and export it."""
