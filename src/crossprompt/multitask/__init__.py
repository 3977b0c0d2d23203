"""Several data sets learned together, each ending in a classifier of its own."""

from crossprompt.multitask.fit import fit_tasks as fit_tasks
from crossprompt.multitask.job import TasksJob as TasksJob
