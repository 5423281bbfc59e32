"""Processes that train, and what happens when one of them dies or falls silent."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from autoarch.tasks import Result, Task

Heard = Callable[[Task, int, Mapping[str, float]], None]  # an epoch of a task, and what it came to

ATTEMPTS = 3  # a task whose process died is given to two more


class Worker:
    """One process, started when it gets its first task, and again after it died."""

    def __init__(self, log: Path, patience: float) -> None:
        self._log, self._patience = log, patience
        self._process: subprocess.Popen[str] | None = None

    def ask(self, task: Task, heard: Heard) -> Result | str:
        """The result, or how the process died. One that is silent for too long, an epoch included, is killed."""
        process = self._started()
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
            process.wait(1)  # it has closed its end, and is about to be gone
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

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            with self._log.open("a") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "autoarch.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                    text=True, env={**os.environ, "LAYERKIT_NUM_THREADS": "1"}, start_new_session=True,
                )  # fmt: skip
        return self._process

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
        self._heard = heard
        self._workers = [Worker(log, patience) for _ in range(count)]
        self._free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._free.put(worker)
        self._is_closed = False

    def run(self, tasks: Iterable[Task]) -> Generator[tuple[Task, Result], None, None]:
        """The results, as they come."""
        with ThreadPoolExecutor(len(self._workers)) as threads:
            waiting = {threads.submit(self._one, task): task for task in tasks}
            try:
                for future in as_completed(waiting):
                    yield waiting[future], future.result()
            except BaseException:
                self.close()
                raise

    def _one(self, task: Task) -> Result:
        worker = self._free.get()
        reasons: list[str] = []
        try:
            while len(reasons) < ATTEMPTS and not self._is_closed:
                answer = worker.ask(task, self._heard)
                if isinstance(answer, Result):
                    return answer
                reasons.append(answer)
            return Result(reason=f"died: {'; '.join(reasons)}")
        finally:
            self._free.put(worker)

    def close(self) -> None:
        """End all processes; what they trained so far is in checkpoints."""
        self._is_closed = True
        for worker in self._workers:
            worker.stop()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:  # fmt: skip
        self.close()
