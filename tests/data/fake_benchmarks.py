"""Every benchmark's layout on disk in miniature: a few classes, 8-pixel images, files of the real
format."""

import io
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from itertools import count
from pathlib import Path

from PIL import Image

WNIDS = {
    "n01440764": "tench",
    "n01443537": "goldfish",
    "n04355933": "sunglasses",
    "n04356056": "sunglasses",
}
IMAGENET_NAMES = ("tench", "goldfish", "sunglasses", "Sunglasses")
PACS = ("art_painting", "cartoon", "photo", "sketch")
DOMAINNET = ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")
EACH = {"train": 4, "val": 2, "test": 2}
"""Images of each class in the splits of a split file."""


@cache
def picture() -> bytes:
    """A JPEG file of 8 by 8 pixels."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "green").save(file, "JPEG")
    return file.getvalue()


def put(folder: Path, paths: Iterable[str]) -> None:
    """Write a picture at each path."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(picture())


def write(path: Path, lines: Iterable[str]) -> None:
    """Write a text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def from_split_file(
    folder: str,
    images: str,
    file: str,
    classes: Mapping[str, tuple[int, str]],
) -> Callable[[Path], None]:
    """A writer of a data set with CoOp's split file.

    Args:
        folder: of the data set.
        images: the image folder in it.
        file: name of the split file.
        classes: pattern of paths, with ``{n}`` and, for what lies in folders by split,
            ``{split}``, to label and class name, in the file's order.
    """

    def fake(root: Path) -> None:
        numbers = count(1)
        rows = {
            split: [
                [pattern.format(n=next(numbers), split=split.replace("val", "train")), *entry]
                for pattern, entry in classes.items()
                for _ in range(EACH[split])
            ]
            for split in EACH
        }
        for listed in rows.values():
            put(root / folder / images, (path for path, *_ in listed))
        (root / folder / file).write_text(json.dumps(rows))

    return fake


def by_wnid(
    folder: str, images: str, wnids: Iterable[str], splits: Iterable[str] = ("",)
) -> Callable[[Path], None]:
    """A writer of a data set with ``classnames.txt`` and folders called by WordNet id."""

    def fake(root: Path) -> None:
        write(root / folder / "classnames.txt", (f"{x} {name}" for x, name in WNIDS.items()))
        for split in splits:
            for wnid in wnids:
                put(root / folder / images / split / wnid, (f"{wnid}_{n}.JPEG" for n in range(3)))

    return fake


def fake_aircraft(root: Path) -> None:
    folder = root / "fgvc_aircraft"
    write(folder / "variants.txt", ["Boeing 707-320", "DHC-8-100"])
    numbers = count(34309)
    for split in EACH:
        lines = [f"{next(numbers):07d} {name}" for name in ("DHC-8-100", "Boeing 707-320") * 2]
        write(folder / f"images_variant_{split}.txt", lines)
        put(folder / "images", (f"{line.split()[0]}.jpg" for line in lines))


def fake_matched(root: Path) -> None:
    by_wnid("imagenetv2", "imagenetv2-matched-frequency-format-val", ["0", "1", "2", "3"])(root)


def fake_renditions(root: Path) -> None:
    by_wnid("imagenet-rendition", "imagenet-r", ["n01443537", "n04356056"])(root)
    (root / "imagenet-rendition/imagenet-r/README.txt").write_text("about")


def fake_pacs(root: Path) -> None:
    for domain in PACS:
        paths = [f"{domain}/{name}/{n}.png" for name in ("dog", "horse") for n in range(4)]
        put(root / "pacs/images", paths)
        lines = [f"{path} {1 + ('horse' in path)}" for path in paths]
        lists = {"train": lines[:3] + lines[4:7], "crossval": lines[3::4], "test": lines}
        for split, listed in lists.items():
            write(root / f"pacs/splits/{domain}_{split}_kfold.txt", listed)
    with (root / "pacs/splits/sketch_train_kfold.txt").open("a") as file:
        file.write("sketch/dog/n02103406_4068-1.png 1\n")


def fake_office_home(root: Path) -> None:
    for domain in ("Art", "Clipart", "Product", "Real World"):
        for name in ("Alarm_Clock", "TV"):
            put(root / "office_home" / domain / name, (f"{n:05d}.jpg" for n in range(10)))


def fake_domainnet(root: Path) -> None:
    for domain in DOMAINNET:
        names = ("airplane", "The_Eiffel_Tower")  # the official order is not that of the bytes
        paths = [f"{domain}/{name}/{domain}_{n}.jpg" for name in names for n in range(4)]
        put(root / "domainnet", paths)
        lines = [f"{path} {int('Tower' in path)}" for path in paths]
        write(root / f"domainnet/splits/{domain}_train.txt", lines[:3] + lines[4:7])
        write(root / f"domainnet/splits/{domain}_test.txt", lines[3::4])


FAKES: dict[str, Callable[[Path], None]] = {
    "imagenet": by_wnid("imagenet", "images", WNIDS, ("train", "val")),
    "caltech101": from_split_file(
        "caltech-101",
        "101_ObjectCategories",
        "split_zhou_Caltech101.json",
        {"Faces/{n}.jpg": (0, "face"), "yin_yang/{n}.jpg": (1, "yin_yang")},
    ),
    "oxford_pets": from_split_file(
        "oxford_pets",
        "images",
        "split_zhou_OxfordPets.json",
        {"Abyssinian_{n}.jpg": (0, "abyssinian"), "Egyptian_Mau_{n}.jpg": (1, "egyptian_mau")},
    ),
    "stanford_cars": from_split_file(
        "stanford_cars",
        "",
        "split_zhou_StanfordCars.json",
        {
            "cars_{split}/{n:05d}.jpg": (0, "2012 Acura RL Sedan"),
            "cars_{split}/{n:06d}.jpg": (1, "2008 Audi RS 4 Convertible"),
        },
    ),
    "oxford_flowers": from_split_file(
        "oxford_flowers",
        "jpg",
        "split_zhou_OxfordFlowers.json",
        {
            f"image_{label:02d}{{n:05d}}.jpg": (label, f"flower {label}")
            for label in (2, 0, 1)  # the real file begins with the label 76
        },
    ),
    "food101": from_split_file(
        "food-101",
        "images",
        "split_zhou_Food101.json",
        {"apple_pie/{n}.jpg": (0, "apple_pie"), "waffles/{n}.jpg": (1, "waffles")},
    ),
    "fgvc_aircraft": fake_aircraft,
    "sun397": from_split_file(
        "sun397",
        "SUN397",
        "split_zhou_SUN397.json",
        {
            "a/abbey/sun_{n}.jpg": (0, "abbey"),
            "a/apse/indoor/sun_{n}.jpg": (1, "indoor apse"),
        },
    ),
    "dtd": from_split_file(
        "dtd",
        "images",
        "split_zhou_DescribableTextures.json",
        {"banded/{n}.jpg": (0, "banded"), "zigzagged/{n}.jpg": (1, "zigzagged")},
    ),
    "eurosat": from_split_file(
        "eurosat",
        "2750",
        "split_zhou_EuroSAT.json",
        {
            "AnnualCrop/{n}.jpg": (0, "Annual Crop Land"),
            "SeaLake/{n}.jpg": (1, "Sea or Lake"),
        },
    ),
    "ucf101": from_split_file(
        "ucf101",
        "UCF-101-midframes",
        "split_zhou_UCF101.json",
        {
            "Apply_Eye_Makeup/v_{n}.jpg": (0, "Apply_Eye_Makeup"),
            "Yo_Yo/v_{n}.jpg": (1, "Yo_Yo"),
        },
    ),
    "imagenetv2": fake_matched,
    "imagenet_sketch": by_wnid("imagenet-sketch", "images", WNIDS),
    "imagenet_a": by_wnid("imagenet-adversarial", "imagenet-a", ["n01440764", "n04356056"]),
    "imagenet_r": fake_renditions,
    "pacs": fake_pacs,
    "office_home": fake_office_home,
    "domainnet": fake_domainnet,
}
"""Every benchmark."""

NAMES = {
    "imagenet": IMAGENET_NAMES,
    "caltech101": ("face", "yin yang"),
    "oxford_pets": ("abyssinian", "egyptian mau"),
    "stanford_cars": ("2012 Acura RL Sedan", "2008 Audi RS 4 Convertible"),
    "oxford_flowers": ("flower 0", "flower 1", "flower 2"),
    "food101": ("apple pie", "waffles"),
    "fgvc_aircraft": ("Boeing 707-320", "DHC-8-100"),
    "sun397": ("abbey", "indoor apse"),
    "dtd": ("banded", "zigzagged"),
    "eurosat": ("Annual Crop Land", "Sea or Lake"),
    "ucf101": ("Apply Eye Makeup", "Yo Yo"),
    "imagenetv2": IMAGENET_NAMES,
    "imagenet_sketch": IMAGENET_NAMES,
    "imagenet_a": ("tench", "Sunglasses"),
    "imagenet_r": ("goldfish", "Sunglasses"),
    "pacs": ("dog", "horse"),
    "office_home": ("Alarm Clock", "TV"),
    "domainnet": ("airplane", "The Eiffel Tower"),
}
"""The class names of each fake, by label."""
