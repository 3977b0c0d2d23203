"""Under which licence a backbone's weights are, as far as that is known here."""

import re
from pathlib import Path

TINY = "tiny"
LICENCES = {
    TINY: "cc-by-sa-4.0",
    "openai/clip-vit-base-patch32": "mit",
    "openai/clip-vit-base-patch16": "mit",
    "openai/clip-vit-large-patch14": "mit",
    "laion/CLIP-ViT-B-16-laion2B-s34B-b88K": "mit",
}
"""Name that ``load_clip`` takes to the hub's word for a licence: of OpenAI's weights that of the
repository openai/CLIP, of the others that of their model cards."""
LARGEST = 2**20
"""Characters of a model card that are looked at."""


def licence_of(backbone: str) -> str | None:
    """The licence of a backbone; None where it is not known.

    Args:
        backbone: its name in a saved classifier. In a folder, the model card is asked.
    """
    if backbone in LICENCES:
        return LICENCES[backbone]
    card = Path(backbone) / "README.md"
    if not card.is_file():
        return None
    with card.open(encoding="utf-8", errors="replace") as file:
        start = file.read(LARGEST)
    front = re.match(r"---\n(.*?)\n---\n", start, re.DOTALL)
    said = re.search(r"^license: *[\"']?([\w.+-]+)", front[1], re.MULTILINE) if front else None
    return said[1] if said else None


def hub_name(backbone: str) -> str | None:
    """The repository of a backbone on the hub; None where it has none."""
    named = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", backbone)
    return backbone if named and not Path(backbone).exists() else None
