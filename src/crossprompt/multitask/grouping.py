"""Which tasks learn together: those whose gradients of a shared prompt point the same way."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

Cosines = Float[Tensor, "tasks tasks"]
"""Of every task's gradient with every other's."""
Groups = list[list[int]]
"""Every task once, in the order of the tasks."""

EXHAUSTIVE = 8
"""Tasks, at most, whose every division is tried: 4140 for 8 of them."""


def mean_cosines(steps: Sequence[Sequence[Tensor]]) -> Cosines:
    """The cosines of the tasks' gradients, on average over steps.

    Args:
        steps: for every step one gradient a task, all of one shape.
    """
    cosines = []
    for gradients in steps:
        directions = normalize(torch.stack([x.flatten() for x in gradients]), dim=1)
        cosines.append(directions @ directions.T)
    return torch.stack(cosines).mean(0)


def choose_groups(cosines: Cosines) -> Groups:
    """The division of the tasks with the greatest affinity; of equals the first.

    All divisions are compared for up to 8 tasks; for more those that agglomerative clustering
    (average linkage of 1 - cosine) passes through.

    Args:
        cosines: symmetric.
    """
    tasks = cosines.shape[0]
    divisions = divide(tasks) if tasks <= EXHAUSTIVE else cluster(cosines)
    return max(divisions, key=lambda groups: affinity(groups, cosines))


def affinity(groups: Groups, cosines: Cosines) -> float:
    """How much better tasks agree with their groups than with others, on average over tasks.

    Of every task the mean cosine with the others of its group (0 if it is alone), less that with
    the group which comes nearest (0 if there is no other): the silhouette of Rousseeuw, 1987, on
    cosines. The mean within the groups alone would always be greatest for the closest pairs.

    Args:
        groups: a division of the tasks.
        cosines: of all tasks.
    """
    rows = cosines.tolist()
    total = 0.0
    for number, group in enumerate(groups):
        others = groups[:number] + groups[number + 1 :]
        for task in group:
            own = _mean([rows[task][other] for other in group if other != task])
            nearest = max((_mean([rows[task][x] for x in other]) for other in others), default=0.0)
            total += own - nearest
    return total / len(rows)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def divide(tasks: int) -> Iterator[Groups]:
    """Every division of so many tasks into groups, each once."""
    if tasks == 0:
        yield []
        return
    last = tasks - 1
    for groups in divide(last):
        for number, group in enumerate(groups):
            yield [*groups[:number], [*group, last], *groups[number + 1 :]]
        yield [*groups, [last]]


def cluster(cosines: Cosines) -> Iterator[Groups]:
    """One division for every number of groups, from one group for all to one for each."""
    from sklearn.cluster import AgglomerativeClustering

    tasks = cosines.shape[0]
    distances = (1 - cosines).double().cpu().numpy()
    for count in range(1, tasks + 1):
        found = AgglomerativeClustering(count, metric="precomputed", linkage="average")
        labels = found.fit_predict(distances).tolist()
        yield [
            [task for task in range(tasks) if labels[task] == label]
            for label in dict.fromkeys(labels)
        ]
