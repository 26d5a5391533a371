"""What a Dask worker leaves alone while it makes rows: measuring itself, which takes a tenth of a short row's time.

Imported only where the package distributed is.
"""

from __future__ import annotations

from typing import Any

from distributed import Worker, WorkerPlugin

SELF_MEASURING = ("profile", "profile-cycle", "tick")  # a statistical profile every 10 ms, the event loop's delay


class QuietWorker(WorkerPlugin):
    """Takes away what looks at the worker many times a second, and puts it back when the batch is over."""

    name = "foley-quiet-worker"

    def setup(self, worker: Worker) -> None:
        """Called on every worker that there is, and on those that come, before their callbacks begin."""
        found = worker.periodic_callbacks
        self._taken: dict[str, Any] = {name: found.pop(name) for name in SELF_MEASURING if name in found}
        for callback in self._taken.values():
            callback.stop()

    def teardown(self, worker: Worker) -> None:
        """Called when the plugin is taken away, and when the worker ends."""
        worker.periodic_callbacks.update(self._taken)
        if worker.status.name == "running":
            for callback in self._taken.values():
                callback.start()
