"""Calls of the command in processes forked from one that has everything imported: hundreds in a minute."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Call:
    """A running call; its streams are files."""

    pid: int
    out: Path
    err: Path

    @property
    def stderr(self) -> str:
        return self.err.read_text("utf-8", "replace") if self.err.exists() else ""

    def kill(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, most_s: float) -> tuple[int, resource.struct_rusage]:
        """The exit code (below 0: a signal) and what was used; a call that lasts too long is killed."""
        deadline_s = time.monotonic() + most_s
        while True:
            pid, status, used = os.wait4(self.pid, os.WNOHANG)
            if not pid and time.monotonic() > deadline_s:
                os.killpg(self.pid, signal.SIGKILL)
                pid, status, used = os.wait4(self.pid, 0)
            if pid:
                return os.waitstatus_to_exitcode(status), used
            time.sleep(0.005)


def start(args: list[str], out: Path, err: Path, cpu_s: float = 60.0) -> Call:
    """`foley ARGS` in a forked process of its own group."""
    child = os.fork()
    if child:
        return Call(child, out, err)
    code = 99
    try:
        os.setsid()
        for path, stream in ((out, 1), (err, 2)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb"), encoding="utf-8", errors="surrogateescape")
        sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb"), encoding="utf-8", errors="surrogateescape")
        resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s), int(cpu_s)))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from foleycli.cli.app import main

        main(args)
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
