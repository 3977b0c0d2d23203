"""The frozen backbone: two towers in stages, their checkpoints, tokenizer and image transform."""
