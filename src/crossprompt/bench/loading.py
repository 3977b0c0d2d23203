"""What a grid needs, loaded once before it is computed, so that what is wrong is told at once."""

from collections.abc import Callable, Sequence
from typing import Any

from crossprompt.bench.protocols import PROTOCOLS
from crossprompt.bench.sources import load_backbone, load_data, parts_of
from crossprompt.bench.task import Outcome, Task, describe
from crossprompt.errors import RequestError
from crossprompt.progress import NOTE, Reporter


def load_all(tasks: Sequence[Task], reporter: Reporter) -> tuple[list[Task], list[Outcome]]:
    """Load every data set and backbone once.

    Args:
        tasks: what will be computed.
        reporter: told what is odd about the data, and what cannot be loaded, once each.

    Returns:
        The tasks that can be computed, and the others as failed.

    Raises:
        RequestError: none can be computed.
    """
    loading = _Loading()
    problems = [loading.problem_of(task) for task in tasks]
    ready = [task for task, problem in zip(tasks, problems, strict=True) if problem is None]
    if tasks and not ready:
        raise RequestError("\n".join(loading.problems.values()))
    for what, problem in loading.problems.items():
        reporter.say(f"failed: {what} cannot be loaded, the cells without it go on: {problem}")
    for note in loading.notes:
        reporter.say(f"{NOTE}{note}")
    failed = [
        Outcome(task, error=problem)
        for task, problem in zip(tasks, problems, strict=True)
        if problem is not None
    ]
    return ready, failed


class _Loading:
    """Loads each thing once and remembers what is wrong with it."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}
        self.notes: dict[str, None] = {}
        self._done = set[str]()

    def problem_of(self, task: Task) -> str | None:
        """Why a task cannot be computed, if so."""
        cell = task.training
        others = PROTOCOLS[cell.protocol].other_datasets(cell.dataset, cell.targets)
        names = dict.fromkeys((*parts_of(cell.dataset), *others))
        found = [self._data(name, task.root) for name in names]
        found.append(self._try(f"the backbone {cell.backbone}", load_backbone, *_clip(task)))
        return "; ".join(dict.fromkeys(x for x in found if x is not None)) or None

    def _data(self, name: str, root: str | None) -> str | None:
        def load() -> None:
            notes = load_data(name, root).notes
            self.notes |= dict.fromkeys(f"{name}: {note}" for note in notes)

        return self._try(f"the data set {name}", load)

    def _try(self, what: str, load: Callable[..., Any], *given: Any) -> str | None:
        if what not in self._done:
            self._done.add(what)
            try:
                load(*given)
            except RequestError as error:
                self.problems[what] = describe(error)
        return self.problems.get(what)


def _clip(task: Task) -> tuple[str, str, str]:
    return task.training.backbone, "cpu", task.training.dtype
