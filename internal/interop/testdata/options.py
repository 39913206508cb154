# Prints the names of Celery's settings, of its worker's flags, of a task's attributes and of apply_async's arguments, one a line.
import inspect

from celery import Celery
from celery.app.defaults import NAMESPACES, flatten
from celery.app.task import Task
from celery.bin.worker import worker

names = [name for name, _ in flatten(NAMESPACES)]
names += [flag for param in worker.params for flag in param.opts if flag.startswith("--")]
for name, value in list(vars(Task).items()):
    if not name.startswith("_") and not isinstance(value, (property, classmethod)) and not callable(getattr(Task, name)):
        names.append(name)
names += [name for name in inspect.signature(Celery.send_task).parameters if name not in ("self", "name", "options")]
print("\n".join(sorted(set(names))))
