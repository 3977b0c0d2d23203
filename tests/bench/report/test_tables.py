"""The tables of every protocol, against numbers worked out by hand."""

from typing import Any

import pytest

from crossprompt.bench.report.entries import Measured
from tests.bench.report.lines import batch, line, report_of, shown, table_of

MISSING = "\u2013"


def seeds(*accuracies: float, **cell: Any) -> list[dict[str, Any]]:
    """One line per seed."""
    return [line(accuracy=share, seed=seed, **cell) for seed, share in enumerate(accuracies, 1)]


def test_few_shot_accuracy_is_shown_for_every_series_and_number_of_shots() -> None:
    lines = [
        *seeds(0.40, 0.50, 0.60, shots=1),
        *seeds(0.70, shots=16),
        *seeds(0.30, 0.32, 0.31, shots=1, method="coop"),
        *seeds(0.90, 0.90, 0.90, shots=100),
    ]
    table = table_of("few-shot-emoji", *lines)
    assert table.header[1:] == ["1 shot", "16 shots", "100 shots"]
    assert shown(table) == {
        "coop": ["31.00 ± 1.00", MISSING, MISSING],
        "dcp": ["50.00 ± 10.00", "70.00 ± 0.00*", "90.00 ± 0.00"],
    }
    assert table.seeds == (1, 2, 3)


def test_the_source_of_domain_generalisation_stands_in_for_few_shot_where_that_was_not_run() -> (
    None
):
    source = {"protocol": "domain-generalisation"}
    lines = [
        *seeds(0.4, shots=1),
        line(accuracy={"test": 0.6, "v2": 0.1}, shots=16, **source),
        line(accuracy={"test": 0.9, "v2": 0.1}, shots=1, **source),  # few-shot was run
        line("other", accuracy={"test": 0.9, "v2": 0.1}, shots=1, **source),  # nothing to go with
        line(method="coop", accuracy={"test": 0.9, "v2": 0.1}, shots=1, **source),
    ]
    assert shown(table_of("few-shot-emoji", *lines)) == {"dcp": ["40.00 ± 0.00*", "60.00 ± 0.00*"]}
    assert not any(table.name == "few-shot-other" for table in report_of(*lines).tables)


def test_a_number_from_fewer_seeds_than_the_protocol_has_is_marked() -> None:
    lines = [*seeds(0.4, 0.5, 0.6), *seeds(0.5, 0.5, method="coop")]
    assert shown(table_of("few-shot-emoji", *lines)) == {
        "coop": ["50.00 ± 0.00†"],
        "dcp": ["50.00 ± 10.00"],
    }


def test_every_seed_is_in_the_table() -> None:
    (row,) = table_of("few-shot-emoji", *seeds(0.4, 0.5, 0.6)).rows
    assert isinstance(row.entries[0], Measured)
    assert row.entries[0].seeds == {1: 0.4, 2: 0.5, 3: 0.6}


def test_the_average_is_over_the_data_sets_that_all_series_have_and_says_which_are_not() -> None:
    lines = [
        *seeds(0.40, 0.50, dataset="a", method="dcp"),
        *seeds(0.60, 0.90, dataset="b", method="dcp"),
        *seeds(0.10, 0.10, dataset="c", method="dcp"),
        *seeds(0.20, 0.30, dataset="a", method="coop"),
        *seeds(0.40, 0.50, dataset="b", method="coop"),
    ]
    table = table_of("few-shot-average", *lines)
    # dcp: (0.4 + 0.6) / 2 and (0.5 + 0.9) / 2, so 0.5 and 0.7; coop: 0.3 and 0.4
    assert shown(table) == {"coop": ["35.00 ± 7.07"], "dcp": ["60.00 ± 14.14"]}
    assert "The average is over 2 of 3 data sets: a, b." in table.notes[0]
    assert "c (not run: coop at 8 shots)" in table.notes[0]


def test_shots_at_which_a_series_was_run_nowhere_leave_no_data_set_out() -> None:
    lines = [*seeds(0.4, dataset="a", shots=1), *seeds(0.6, dataset="b", shots=1)]
    lines += [*seeds(0.5, dataset="a", shots=16), *seeds(0.7, dataset="b", shots=16)]
    lines += [line(name, "coop", 0.1, shots=1) for name in "ab"]
    assert shown(table_of("few-shot-average", *lines)) == {
        "coop": ["10.00 ± 0.00*", MISSING],
        "dcp": ["50.00 ± 0.00*", "60.00 ± 0.00*"],
    }
    del lines[3]  # now b lacks 16 shots of dcp, which a has
    assert shown(table_of("few-shot-average", *lines))["dcp"] == ["40.00 ± 0.00*", "50.00 ± 0.00*"]


def test_batch_dependent_results_appear_only_in_the_study_of_inference() -> None:
    report = report_of(
        *seeds(0.5), *seeds(0.9, **batch(4, "sorted")), *seeds(0.8, inference="per-image")
    )
    tables = {table.name: table for table in report.tables}
    assert shown(tables["few-shot-emoji"]) == {"dcp": ["50.00 ± 0.00*"]}
    assert list(shown(tables["per-class-few-shot-emoji-test"])["mammal"]) == ["70.00 ± 0.00*"]
    alone = report_of(*seeds(0.9, **batch(4, "sorted")))
    assert [section.name for section in alone.sections] == ["inference"]


def test_inference_modes_are_compared_with_calibrated_seed_by_seed() -> None:
    lines = [
        *seeds(0.50, 0.60),
        *seeds(0.49, 0.57, inference="per-image"),
        *seeds(0.60, 0.90, **batch(16, "sorted")),
        *seeds(0.40, **batch(4, "shuffled")),
    ]
    table = table_of("inference-dcp-on-emoji-8-shots", *lines)
    assert table.header[1:] == ["test", "test, minus calibrated"]
    assert shown(table) == {
        "calibrated": ["55.00 ± 7.07", ""],
        "per-image": ["53.00 ± 5.66", "-2.00 ± 1.41"],
        "batch of 4, shuffled": ["40.00 ± 0.00*", "-10.00 ± 0.00*"],
        "batch of 16, sorted": ["75.00 ± 21.21", "+20.00 ± 14.14"],
    }


def test_shifted_sets_stand_beside_the_source_and_only_they_are_averaged() -> None:
    lines = [
        line(
            "imagenet", "dcp", {"test": 0.7, "v2": 0.6, "a": 0.5}, protocol="domain-generalisation"
        ),
        line("imagenet", "coop", {"test": 0.6, "v2": 0.5}, protocol="domain-generalisation"),
    ]
    table = table_of("domain-generalisation-imagenet-8", *lines)
    assert table.header[1:] == ["imagenet (source)", "v2", "a", "average of shifted"]
    assert shown(table) == {
        "coop": ["60.00 ± 0.00*", "50.00 ± 0.00*", MISSING, "50.00 ± 0.00*"],
        "dcp": ["70.00 ± 0.00*", "60.00 ± 0.00*", "50.00 ± 0.00*", "60.00 ± 0.00*"],
    }
    assert "1 of 2 shifted sets: v2. Left out, so that all" in table.notes[0]
    assert "a (not run: coop)" in table.notes[0]


def test_few_shot_runs_have_tables_of_their_shifted_sets() -> None:
    sets = {"test": 0.5, "openmoji": 0.4, "line-art": 0.2}
    lines = [line(accuracy=sets), line(accuracy=sets, shots=1)]
    table = table_of("few-shot-shift-emoji-8", *lines)
    assert shown(table)["dcp"][-1] == "30.00 ± 0.00*"
    assert not table.folded
    assert table_of("few-shot-shift-emoji-1", *lines).folded


def test_cross_dataset_results_are_named_by_their_targets() -> None:
    sets = {"imagenet": 0.7, "dtd": 0.4, "eurosat": 0.5}
    table = table_of(
        "cross-dataset-imagenet-16",
        line("imagenet", "dcp", sets, protocol="cross-dataset", shots=16),
    )
    assert table.header[1:] == ["imagenet (source)", "dtd", "eurosat", "average of targets"]
    assert shown(table)["dcp"][-1] == "45.00 ± 0.00*"


def test_runs_that_differ_in_their_targets_are_one_row() -> None:
    given = {"protocol": "cross-dataset", "shots": 16}
    first = {"imagenet": 0.7, "dtd": 0.4}
    second = {"imagenet": 0.7, "dtd": 0.4, "eurosat": 0.6}
    lines = [
        line("imagenet", accuracy=first, targets=["dtd"], **given),
        line("imagenet", accuracy=second, targets=["dtd", "eurosat"], **given),
        line("imagenet", accuracy=first, seed=2, targets=["dtd"], **given),
        line(
            "imagenet",
            accuracy={"imagenet": 0.7, "eurosat": 0.8},
            seed=2,
            targets=["eurosat"],
            **given,
        ),
    ]
    for order in (lines, lines[::-1]):
        table = table_of("cross-dataset-imagenet-16", *order)
        found = dict(zip(table.header[1:], shown(table)["dcp"], strict=True))
        assert found == {
            "imagenet (source)": "70.00 ± 0.00",
            "dtd": "40.00 ± 0.00",
            "eurosat": "70.00 ± 14.14",
            "average of targets": "55.00 ± 7.07",
        }


def test_base_to_new_has_the_harmonic_mean_of_the_means_and_of_the_averages() -> None:
    given = {"protocol": "base-to-new", "shots": 16, "method": "dcp"}
    lines = [
        line("a", accuracy={"base": 0.8, "new": 0.2}, **given),
        line("a", accuracy={"base": 0.4, "new": 0.6}, seed=2, **given),
        line("b", accuracy={"base": 0.9, "new": 0.8}, **given),
        line("b", accuracy={"base": 0.9, "new": 0.8}, seed=2, **given),
    ]
    # a: 0.6 and 0.4, so 0.48 (the seeds' own: 0.32 and 0.48); b: 2 * 0.72 / 1.7
    assert shown(table_of("base-to-new-a-16", *lines))["dcp"][2] == "48.00 ± 11.31"
    assert shown(table_of("base-to-new-b-16", *lines))["dcp"][2] == "84.71 ± 0.00"
    # 0.75 and 0.6: 0.9 / 1.35, where the mean of 0.48 and 0.847 would be 66.35
    assert shown(table_of("base-to-new-average-16", *lines))["dcp"][2].startswith("66.67 ±")


def test_classes_are_shown_at_the_most_shots_with_those_that_a_series_lacks() -> None:
    lines = [
        line(shots=1, accuracy=0.3),
        line(accuracy=0.5, classes=("cat", "dog")),
        line(accuracy=0.6, classes=("cat", "dog"), seed=2),
        line(accuracy=0.4, classes=("cat",), method="coop"),
    ]
    table = table_of("per-class-few-shot-emoji-test", *lines)
    assert shown(table) == {
        "cat": ["60.00 ± 0.00*", "75.00 ± 7.07"],
        "dog": [MISSING, "35.00 ± 7.07"],
    }
    assert table.folded
    assert "8 shots" in table.caption


def test_the_highest_mean_of_a_column_is_marked_as_it_is_shown() -> None:
    lines = [
        line(accuracy=0.50001),
        line(accuracy=0.5, method="coop"),
        line(accuracy=0.4, method="zero_shot"),
    ]
    table = table_of("few-shot-emoji", *lines)
    assert {row.label: row.best[0] for row in table.rows} == {
        "zero_shot": False,
        "coop": True,
        "dcp": True,
    }
    alone = table_of("few-shot-emoji", line())
    assert not alone.rows[0].best[0]


@pytest.mark.parametrize("name", ["../../etc", "CON\\x", "a b", "…"])
def test_tables_are_named_so_that_no_path_stumbles(name: str) -> None:
    report = report_of(line(name), line(name.upper()), line(name + "!"))
    names = [table.name for table in report.tables]
    assert len(set(names)) == len(names)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for name in names)


def test_settings_that_depend_on_the_shots_are_all_described() -> None:
    lines = [
        line(shots=n, seed=s, training={"epochs": e})
        for n, e in ((1, 50), (4, 100))
        for s in (1, 2)
    ]
    for value in lines:
        value["cell"]["training"] = {}  # the recipe's own
    (found,) = report_of(*lines).descriptions
    assert [(cells, settings["training"]["epochs"]) for cells, settings in found.settings] == [
        ("few-shot: emoji; 1 shot", 50),
        ("few-shot: emoji; 4 shots", 100),
    ]
    facts = dict(found.facts)
    assert facts["seeds"] == "1, 2"
    assert facts["versions"] == "crossprompt 0.1.0, torch 2.13.0, python 3.11.7"
    assert "5f1e" * 16 in facts["weights (hash)"]
