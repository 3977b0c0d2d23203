"""Image files in folders."""

from pathlib import Path

from crossprompt.data import list_images


def test_images_are_listed_sorted_and_without_hidden_or_other_files(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/10.png", "a.heic", "é.png", "Z.gif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in (
        ".DS_Store",
        "._a.jpg",
        "Thumbs.db",
        "notes.txt",
        ".hidden/a.jpg",
        "__MACOSX/a.jpg",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert names == ["Z.gif", "a.heic", "b/10.png", "b/2.JPG", "é.png"]
