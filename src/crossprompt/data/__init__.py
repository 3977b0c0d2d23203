"""Data sets of images with class names: found, checked, divided and drawn from with a seed."""

from crossprompt.data.benchmarks.benchmark import Benchmark
from crossprompt.data.benchmarks.catalog import BENCHMARKS
from crossprompt.data.benchmarks.shifted_sets import ShiftedSet, shifted_sets_of
from crossprompt.data.check_images import check_images
from crossprompt.data.csv_file import load_csv
from crossprompt.data.dataset import Dataset, Item, Split
from crossprompt.data.folder import load_folder
from crossprompt.data.images import (
    BadImage,
    UndecodableImageError,
    UnreadableImageError,
    decode_image,
    list_images,
    read_image,
)
from crossprompt.data.registry import DATASETS, load_dataset

__all__ = [
    "BENCHMARKS",
    "DATASETS",
    "BadImage",
    "Benchmark",
    "Dataset",
    "Item",
    "ShiftedSet",
    "Split",
    "UndecodableImageError",
    "UnreadableImageError",
    "check_images",
    "decode_image",
    "list_images",
    "load_csv",
    "load_dataset",
    "load_folder",
    "read_image",
    "shifted_sets_of",
]
