"""Rows that are checked and ready to be made, and eyes for the processes that make them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from foleycli.batch.record import FOLDER, Record
from foleycli.batch.work import ModelOptions, Task
from foleycli.hub.resolve import resolve
from foleycli.media.probe import probe
from foleycli.rendering.job import RenderJob
from foleycli.settings.settings import Settings

CHEAP = Settings(prompt="glass", steps=1, engine="flow", room="off", library=False)


@pytest.fixture
def tasks_of(model_name, tmp_path) -> Callable[..., list[Task]]:
    """`tasks_of(clip, n)`: n rows of copies of a clip; without other settings at one step, with the model alone."""

    def make(clip: Path, n: int, settings: Settings = CHEAP, out: str = "out") -> list[Task]:
        model = ModelOptions(resolve(model_name), "cpu", "auto", threads=1)
        tasks = []
        for number in range(1, n + 1):
            source = Path(shutil.copy(clip, tmp_path / f"{number}{clip.suffix}"))
            job = RenderJob(video=probe(source), out=tmp_path / out / f"{number}.wav", settings=settings)
            task = Task(
                number=number,
                source=source,
                job=job,
                model=model,
                key="",
                record=Record(job.out, tmp_path / out),
                inputs=(source,),
                files=tuple(job.outputs()),
                with_report=False,
                with_pictures=False,
            )
            tasks.append(task)
        (tmp_path / out).mkdir(exist_ok=True)
        return tasks

    return make


@pytest.fixture
def killing(tmp_path):
    """`killing(n_done)`: a thread that kills a process at work once so many rows are done; gives those it killed."""

    def start(n_done: int = 0, poll_s: float = 0.02) -> list[str]:
        killed: list[str] = []

        def watch() -> None:
            done: set[Path] = set()  # which are not read again
            while not killed and not ended.is_set():
                begun = []
                for path in set((tmp_path / "out" / FOLDER).glob("*.json")) - done:
                    said = json.loads(path.read_text())
                    if said["state"] == "done":
                        done.add(path)
                    else:
                        begun.append(said["worker"])
                if begun and len(done) >= n_done:
                    os.kill(int(begun[0].split(":")[1]), signal.SIGKILL)
                    killed.append(begun[0])
                time.sleep(poll_s)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        threads.append(thread)
        return killed

    ended, threads = threading.Event(), list[threading.Thread]()
    yield start
    ended.set()
    for thread in threads:
        thread.join()
