"""A paper's whole evaluation: which trainings and tests it is, and what they take here."""
