"""``crossprompt classes``."""

from crossprompt import load
from crossprompt.cli import main


def test_a_classifier_of_other_classes_is_written(run, tmp_path, capsys) -> None:
    output = tmp_path / "others"
    assert main(["classes", str(run), "tabby", "red cat", "--output", str(output)]) == 0
    assert f"Written to {output}: 2 classes" in capsys.readouterr().out
    assert load(output).class_names == ("tabby", "red cat")
    assert main(["classes", str(output), "dogs", "--add", "--output", str(output)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    arguments = ["classes", str(output), "dogs", "--add", "--overwrite", "--output", str(output)]
    assert main(arguments) == 0
    assert load(output).class_names == ("tabby", "red cat", "dogs")
    assert main(arguments) == 2
    assert "'dogs'" in capsys.readouterr().err
