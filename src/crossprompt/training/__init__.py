"""Training: the whole job, the loop, batches, checkpoints and run folders."""
