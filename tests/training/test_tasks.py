import pytest
import torch
from torch import Tensor

from crossprompt.training.tasks import affinity, choose_groups, cluster, mean_cosines, partition


def planted(groups: list[list[int]], within: float, between: float) -> Tensor:
    """Cosines of tasks, with a little that belongs to each pair alone."""
    tasks = sum(map(len, groups))
    noise = 0.05 * torch.rand(tasks, tasks, generator=torch.Generator().manual_seed(0))
    cosines = between + (noise + noise.T) / 2
    for group in groups:
        for one in group:
            cosines[one, group] += within - between
    return cosines.fill_diagonal_(1.0)


@pytest.mark.parametrize("between", [-0.3, 0.1])
@pytest.mark.parametrize(
    "groups",
    [
        [[0, 2], [1, 3]],
        [[0, 4, 5, 6], [1, 2, 3]],
        [[0, 3, 5, 7, 9, 11], [1, 2, 4, 6, 8, 10]],  # too many to try all divisions
    ],
    ids=["four", "seven", "twelve"],
)
def test_two_planted_groups_are_found(groups: list[list[int]], between: float) -> None:
    assert sorted(choose_groups(planted(groups, 0.6, between))) == groups


def test_clustering_finds_what_trying_all_divisions_finds() -> None:
    cosines = planted([[0, 4, 5], [1, 2], [3, 6]], 0.5, 0.0)
    best = max(cluster(cosines), key=lambda groups: affinity(groups, cosines))
    assert sorted(best) == sorted(choose_groups(cosines)) == [[0, 4, 5], [1, 2], [3, 6]]


def test_tasks_that_oppose_one_another_are_kept_apart() -> None:
    assert sorted(choose_groups(planted([[0], [1], [2]], 0, -0.2))) == [[0], [1], [2]]


@pytest.mark.parametrize(("tasks", "divisions"), [(1, 1), (2, 2), (3, 5), (4, 15), (8, 4140)])
def test_every_division_comes_once(tasks: int, divisions: int) -> None:
    """As many as Bell's numbers say."""
    found = list(partition(tasks))
    assert len({tuple(sorted(map(tuple, groups))) for groups in found}) == len(found) == divisions
    assert all(
        sorted(task for group in groups for task in group) == [*range(tasks)] for groups in found
    )


def test_affinity_is_that_with_the_group_less_that_with_the_nearest_other() -> None:
    cosines = torch.tensor([[1, 0.5, 0.2], [0.5, 1, -0.1], [0.2, -0.1, 1]])
    alone = (-0.5) + (-0.5) + (-0.2)
    assert affinity([[0], [1], [2]], cosines) == pytest.approx(alone / 3)
    pair = (0.5 - 0.2) + (0.5 + 0.1) + (0 - (0.2 - 0.1) / 2)
    assert affinity([[0, 1], [2]], cosines) == pytest.approx(pair / 3)
    together = (0.5 + 0.2) / 2 + (0.5 - 0.1) / 2 + (0.2 - 0.1) / 2
    assert affinity([[0, 1, 2]], cosines) == pytest.approx(together / 3)


def test_two_tasks_are_together_where_they_agree_and_apart_where_they_do_not() -> None:
    for cosine, expected in ((0.2, [[0, 1]]), (-0.2, [[0], [1]])):
        cosines = torch.tensor([[1.0, cosine], [cosine, 1.0]])
        assert choose_groups(cosines) == expected


def test_cosines_are_averaged_over_steps() -> None:
    right, up = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.1]])
    found = mean_cosines([[right, up], [right, -3 * right], [up, up]])
    torch.testing.assert_close(found, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
