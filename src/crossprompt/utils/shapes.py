"""Named tensor types, used in the signatures of every module and checked in the tests only."""

from jaxtyping import Float, Int
from torch import Tensor

Images = Float[Tensor, "batch 3 side side"]
"""Normalized RGB images."""
ImageTokens = Float[Tensor, "batch image_tokens image_width"]
"""Activations of the image tower: class token, patches, then any prompt tokens."""
ImagePrompt = Float[Tensor, "length image_width"]
"""Prompt tokens of the image tower, the same for every image."""
TextPrompt = Float[Tensor, "groups length text_width"]
"""Prompt tokens of the text tower, one sequence per group of texts."""
ImageFeatures = Float[Tensor, "batch embed"]
"""Pooled and projected images, not yet normalized."""
TextFeatures = Float[Tensor, "groups texts embed"]
"""Pooled and projected texts in the order they were given, not yet normalized."""
ClassFeatures = Float[Tensor, "classes embed"]
"""One feature per class."""
Rows = Float[Tensor, "rows embed"]
"""Features of any kind, of images, texts or classes."""
Labels = Int[Tensor, " batch"]
"""Class of each image."""
Logits = Float[Tensor, "batch classes"]
"""Class scores before the softmax."""
Scalar = Float[Tensor, ""]
"""A single number, for example a loss."""
Probabilities = Float[Tensor, "batch classes"]
"""Softmax of the scores."""
