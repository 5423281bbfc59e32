"""Processes that train, and what happens when one of them dies or falls silent."""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Protocol

from autoarch.tasks import Result, Task

Heard = Callable[[Task, int, Mapping[str, float]], None]  # an epoch of a task, and what it came to

ATTEMPTS = 3  # a task whose process died is given to two more
TICK_S = 0.25
GONE_S = 10.0


class Guard(Protocol):
    """Says which tasks may begin, and when all have to end."""

    @property
    def left(self) -> float:
        """Seconds until the end."""

    def begins(self, task: Task) -> bool:
        """Whether a task may begin now; called from several threads."""


class Always:
    """No end."""

    left = math.inf

    def begins(self, task: Task) -> bool:
        return True


def environment() -> dict[str, str]:
    """What a process of Python needs to find the modules that this one finds."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


class Worker:
    """One process, started when it gets its first task, and again after it died."""

    def __init__(self, log: Path, patience: float) -> None:
        self._log, self._patience = log, patience
        self._process: subprocess.Popen[str] | None = None
        self._starting = threading.Lock()
        self.is_stopped = False

    def ask(self, task: Task, heard: Heard) -> Result | str:
        """The result, or how the process died. One that is silent for too long, an epoch included, is killed."""
        process = self._started()
        if process is None:
            return "stopped"
        assert process.stdin is not None
        silent = threading.Event()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(asdict(task)) + "\n")
            process.stdin.flush()
            while (answer := self._answer(process, silent)).endswith("\n"):
                said = json.loads(answer)
                if "result" in said:
                    return Result(**said["result"])
                heard(task, said["epoch"], said["logs"])
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GONE_S)  # it has closed its end, and is about to be gone
        code = self.stop()
        return f"no answer in {self._patience:g} s" if silent.is_set() else f"the process ended with code {code}"

    def _answer(self, process: subprocess.Popen[str], silent: threading.Event) -> str:
        """A line, or nothing when the process is gone."""
        assert process.stdout is not None

        def give_up() -> None:
            silent.set()
            process.kill()

        alarm = threading.Timer(self._patience, give_up)
        alarm.start()
        try:
            return process.stdout.readline()
        finally:
            alarm.cancel()

    def _started(self) -> subprocess.Popen[str] | None:
        with self._starting:
            if self._process is not None and self._process.poll() is not None:
                self.stop()  # it was killed while it had nothing to do
            if self._process is None and not self.is_stopped:
                with self._log.open("a") as log:
                    self._process = subprocess.Popen(
                        [sys.executable, "-m", "autoarch.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                        text=True, env={**environment(), "LAYERKIT_NUM_THREADS": "1"}, start_new_session=True,
                    )  # fmt: skip
            return self._process

    def allow(self, goes_on: bool) -> None:
        """Let it take tasks; or none, and end its process, whose task then has no answer."""
        with self._starting:
            self.is_stopped = not goes_on
            process = self._process  # another thread may be done with it now
            if not goes_on and process is not None:
                process.kill()

    def stop(self) -> int | None:
        """End the process at once; its exit code."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        return code


class Pool:
    """Several workers.

    Args:
        count: of processes.
        log: a file for what they print.
        patience: seconds without a word after which a task counts as hanging.
        heard: gets each epoch, in a thread of its own.
    """

    def __init__(self, count: int, log: Path, patience: float, heard: Heard = lambda task, epoch, logs: None) -> None:
        self.count = count
        self._heard = heard
        self._workers = [Worker(log, patience) for _ in range(count)]
        self._free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._free.put(worker)

    def run(self, tasks: Iterable[Task], guard: Guard | None = None) -> Generator[tuple[Task, Result], None, None]:
        """The results, as they come; tasks that ``guard`` does not let begin, or that it ends, have none."""
        guard = guard or Always()
        for worker in self._workers:
            worker.allow(True)
        with ThreadPoolExecutor(len(self._workers)) as threads:
            try:
                named = {threads.submit(self._one, task, guard): task for task in tasks}
                waiting = set(named)
                while waiting:
                    done, waiting = wait(waiting, max(min(guard.left, TICK_S), 0.01), FIRST_COMPLETED)
                    for future in done:
                        result = future.result()
                        if result is not None:
                            yield named[future], result
                    if waiting and guard.left <= 0:
                        self._end()
            except BaseException:
                self._end()
                raise

    def _one(self, task: Task, guard: Guard) -> Result | None:
        worker = self._free.get()
        reasons: list[str] = []
        try:
            if worker.is_stopped or not guard.begins(task):
                return None
            while len(reasons) < ATTEMPTS:
                answer = worker.ask(task, self._heard)
                if isinstance(answer, Result):
                    return answer
                if worker.is_stopped:
                    return None
                reasons.append(answer)
            return Result(reason=f"died: {'; '.join(reasons)}")
        finally:
            self._free.put(worker)

    def _end(self) -> None:
        """End what is under way; what was trained so far is in checkpoints."""
        for worker in self._workers:
            worker.allow(False)

    def close(self) -> None:
        """End all processes."""
        self._end()
        for worker in self._workers:
            worker.stop()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:  # fmt: skip
        self.close()
