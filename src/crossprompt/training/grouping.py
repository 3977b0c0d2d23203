"""Groups data sets by the similarity of their gradients."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

Cosines = Float[Tensor, "tasks tasks"]
"""Mean cosine of every two tasks' gradients."""
Groups = list[list[int]]
"""A partition of the tasks, each a position."""

EXHAUSTIVE = 8
"""Tasks, at most, of which every partition is tried: 4140 for 8 of them."""


def mean_cosines(steps: Sequence[Sequence[Tensor]]) -> Cosines:
    """Cosines of the tasks' gradients, averaged over steps.

    Args:
        steps: for every step one gradient per task, all of one shape.
    """
    cosines = []
    for gradients in steps:
        directions = normalize(torch.stack([x.flatten() for x in gradients]), dim=1)
        cosines.append(directions @ directions.T)
    return torch.stack(cosines).mean(0)


def choose_groups(cosines: Cosines) -> Groups:
    """Choose the partition with the highest affinity; of equals the first.

    Up to 8 tasks all partitions are compared, with more those of agglomerative clustering (average
    linkage of 1 - cosine).
    """
    tasks = cosines.shape[0]
    partitions = partition(tasks) if tasks <= EXHAUSTIVE else cluster(cosines)
    return max(partitions, key=lambda groups: affinity(groups, cosines))


def affinity(groups: Groups, cosines: Cosines) -> float:
    """Silhouette (Rousseeuw, 1987) on cosines, averaged over tasks.

    For each task the mean cosine with the others of its group (0 if it is alone), minus that with
    the nearest other group (0 if there is none). The mean within the groups alone would always be
    highest for the closest pairs.
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


def partition(tasks: int) -> Iterator[Groups]:
    """Yield every partition of a number of tasks, each once."""
    if tasks == 0:
        yield []
        return
    last = tasks - 1
    for groups in partition(last):
        for number, group in enumerate(groups):
            yield [*groups[:number], [*group, last], *groups[number + 1 :]]
        yield [*groups, [last]]


def cluster(cosines: Cosines) -> Iterator[Groups]:
    """Yield one partition for every number of groups, from one for all to one for each task."""
    from sklearn.cluster import AgglomerativeClustering

    tasks = cosines.shape[0]
    distances = (1 - cosines).double().cpu().numpy()
    for groups in range(1, tasks + 1):
        found = AgglomerativeClustering(groups, metric="precomputed", linkage="average")
        labels = found.fit_predict(distances).tolist()
        yield [
            [task for task in range(tasks) if labels[task] == label]
            for label in dict.fromkeys(labels)
        ]
