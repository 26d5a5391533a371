"""A real Chromium without a window, spoken to over its debugging pipe."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

BINARY = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)


class Page:
    """One page; everything that it asks for, logs or fails at is kept in `events`."""

    def __init__(self, address: str, profile: Path) -> None:
        assert BINARY is not None
        (their_in, self._out), (self._in, their_out) = os.pipe(), os.pipe()
        args = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={profile}",
                "--autoplay-policy=no-user-gesture-required", "--window-size=1000,1400", "about:blank"]  # fmt: skip
        # Chromium reads from descriptor 3 and writes to 4.
        shell = f'exec "$@" 3<&{their_in} 4>&{their_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", BINARY, *args],
            pass_fds=(their_in, their_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(their_in)
        os.close(their_out)
        self._rest, self._number, self.events = b"", 0, []
        self._session: str | None = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")
        self.ask("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to one command."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._in], [], [], 120)[0], "Chromium says nothing"
            data = os.read(self._in, 1 << 16)
            assert data, "Chromium is gone"
            self._rest += data
        first, self._rest = self._rest.split(b"\0", 1)
        return json.loads(first)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression comes to; a promise is waited for."""
        said = self.ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def until(self, expression: str, most_s: float = 60.0) -> None:
        """Wait until an expression is true."""
        deadline_s = time.monotonic() + most_s
        while not self.value(expression):
            assert time.monotonic() < deadline_s, expression
            time.sleep(0.05)

    def asked_for(self) -> set[str]:
        """The addresses of all requests."""
        return {
            one["params"]["request"]["url"] for one in self.events if one.get("method") == "Network.requestWillBeSent"
        }

    def complaints(self) -> list[dict[str, Any]]:
        """Errors of scripts, of loading, and of the page's own security policy."""
        of_log = [one for one in self.events if one.get("method") == "Log.entryAdded"]
        errors = [one for one in of_log if one["params"]["entry"]["level"] == "error"]
        return errors + [one for one in self.events if one.get("method") == "Runtime.exceptionThrown"]
