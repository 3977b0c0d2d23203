"""The benchmark data sets of the field, and the ones that are embedded."""
