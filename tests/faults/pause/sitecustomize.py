"""Test-only, found through PYTHONPATH by every process of a sweep: stops one of them at an exact moment.

`TUNEEXP_TEST_PAUSE` is `module:function:before|after:count`. The process that makes the count-th call touches the file
`TUNEEXP_TEST_MARK`, then sleeps until the test kills the whole process tree. The package does not refer to it."""

import functools
import importlib.abc
import importlib.machinery
import itertools
import os
import sys
import time

PAUSE, MARK = os.environ.get("TUNEEXP_TEST_PAUSE", ""), os.environ.get("TUNEEXP_TEST_MARK", "")


def pausing(function, moment, count):
    calls = itertools.count(1)

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        strike = next(calls) == count
        if strike and moment == "before":
            pause()
        result = function(*args, **kwargs)
        if strike and moment == "after":
            pause()
        return result

    return wrapped


def pause():
    with open(MARK, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(3600)


class Patcher(importlib.abc.MetaPathFinder):
    def __init__(self, module, path, moment, count):
        self.module, self.path, self.moment, self.count = module, path.split("."), moment, count

    def find_spec(self, name, path, target=None):
        if name != self.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            self.patch(module)

        spec.loader.exec_module = exec_module
        return spec

    def patch(self, module):
        owner = module
        for part in self.path[:-1]:
            owner = getattr(owner, part)
        setattr(owner, self.path[-1], pausing(getattr(owner, self.path[-1]), self.moment, self.count))


if PAUSE:
    module, path, moment, count = PAUSE.split(":")
    patcher = Patcher(module, path, moment, int(count))
    if module in sys.modules:  # a library, in a process that is forked from one that has it
        patcher.patch(sys.modules[module])
    else:
        sys.meta_path.insert(0, patcher)
