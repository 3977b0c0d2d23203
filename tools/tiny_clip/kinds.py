"""Classes of the ``emoji`` data set, merged from Unicode's emoji subgroups."""

SUBGROUPS_OF_KIND: dict[str, tuple[str, ...]] = {
    "smiling face": ("face-smiling", "face-affection", "face-tongue", "face-hat", "face-glasses"),
    "unhappy face": ("face-concerned", "face-unwell"),
    "hand": (
        "hand-fingers-open",
        "hand-fingers-partial",
        "hand-single-finger",
        "hand-fingers-closed",
        "hands",
        "hand-prop",
    ),
    "person": ("person", "person-gesture", "person-role"),
    "athlete": ("person-activity", "person-sport", "person-resting"),
    "heart": ("heart", "emotion"),
    "mammal": ("animal-mammal",),
    "bird or reptile": ("animal-bird", "animal-reptile", "animal-amphibian"),
    "fish or insect": ("animal-marine", "animal-bug"),
    "plant": ("plant-flower", "plant-other"),
    "fruit or vegetable": ("food-fruit", "food-vegetable"),
    "meal": ("food-prepared", "food-asian"),
    "dessert or drink": ("food-sweet", "drink"),
    "building": ("place-building", "place-religious"),
    "landscape": ("place-geographic", "place-map", "place-other"),
    "land vehicle": ("transport-ground",),
    "clock": ("time",),
    "weather": ("sky-weather",),
    "sports equipment": ("sport", "award-medal"),
    "game": ("game", "arts-crafts"),
    "clothing": ("clothing",),
    "music": ("sound", "music", "musical-instrument"),
    "electronics": ("phone", "computer", "light-video"),
    "paper": ("book-paper", "mail", "writing"),
    "office supply": ("office", "money"),
    "tool": ("tool", "lock", "science"),
    "household item": ("household", "medical", "hotel"),
    "arrow": ("arrow", "av-symbol"),
    "sign": ("transport-sign", "warning", "gender"),
    "letters": ("alphanum",),
    "shape": ("geometric",),
    "symbol": ("math", "punctuation", "other-symbol", "currency"),
}
"""Kind to Unicode subgroups; every kind has at least 28 single-code-point emoji."""

LEFT_OUT = {"skin-tone", "hair-style", "keycap"}
"""Subgroups that are not pictures of things."""
