import sys
from pathlib import Path

import PIL
import pytest

from crossprompt.errors import RequestError
from crossprompt.utils.optional import find_folder, require_extra


def test_what_is_installed_is_required_without_being_imported(monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, "braceexpand", raising=False)
    require_extra("bulk", ["braceexpand"], "a-{0..2}.tar")
    assert "braceexpand" not in sys.modules


@pytest.mark.parametrize("packages", [["pillow-two"], ["PIL", "a-b", "c"]])
def test_what_is_missing_is_named_with_the_extra_that_has_it(packages) -> None:
    missing = ", ".join(package for package in packages if package != "PIL")
    with pytest.raises(RequestError, match=rf"^the page .*{missing}.*'crossprompt\[x\]'"):
        require_extra("x", packages, "the page")


def test_a_package_is_found_by_the_name_that_pip_has_for_it(tmp_path, monkeypatch) -> None:
    assert find_folder("PIL") == Path(PIL.__file__).parent
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "two_words"
    package.mkdir()
    assert find_folder("two-words") is None  # a folder, of what is not said
    (package / "__init__.py").touch()
    assert find_folder("two-words") == package
