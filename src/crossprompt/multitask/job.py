"""What to fit on several data sets together."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from crossprompt.errors import RequestError
from crossprompt.job import Job
from crossprompt.methods.mmap import MmAP
from crossprompt.settings import require


@dataclass(frozen=True)
class TasksJob:
    """One job for each data set; they differ in nothing but the data.

    Args:
        jobs: at least two.
    """

    jobs: tuple[Job, ...]

    def check(self) -> "TasksJob":
        """Find what is wrong with the words alone, before any work.

        Returns:
            The same job with the length of the groups' prompts set.

        Raises:
            RequestError: the method learns from one data set only, two are called the same, or a
                setting is impossible or would be ignored.
        """
        first, data = self.jobs[0], ", ".join(job.data for job in self.jobs)
        require(
            first.method == MmAP.name,
            f"{first.method} learns from one data set, found {len(self.jobs)}: {data}; give one, "
            f"or --method {MmAP.name}, which learns several together",
        )
        for name, count in Counter(self.names).items():
            require(count == 1, f"{count} data sets are called {name!r}; rename all but one")
        config = MmAP.Config.of(first.options, first.method)
        options = {"group_length": config.length, **first.options}
        require(
            options["group_length"] >= 1,
            "mmap: group_length is 0, expected 1 or more with several data sets, which would share "
            "nothing",
        )
        require(
            first.train_config().memory_limit is None,
            "memory_limit would be ignored with several data sets; leave it out",
        )
        require(
            first.class_names is None,
            "class_names is of one data set, found several; leave out --class-names",
        )
        jobs = tuple(replace(job, options=options) for job in self.jobs)
        for job in jobs:
            job.check()
            if replace(job, data="", root=None) != replace(jobs[0], data="", root=None):
                raise RequestError("the jobs of several data sets differ in more than the data")
        return TasksJob(jobs)

    @property
    def names(self) -> list[str]:
        """Of the tasks: what a run of each alone would be called, without the method."""
        return [job.default_output().name.removesuffix(f"-{job.method}") for job in self.jobs]

    def default_output(self) -> Path:
        """``runs/DATA+DATA-METHOD``."""
        return Path("runs") / f"{'+'.join(self.names)}-{self.jobs[0].method}"
