"""Headless Chromium, driven over a pipe by its DevTools protocol: needs the browser and no further package."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip


def browser() -> str | None:
    """The path of the browser that is installed, if any."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


@dataclass(frozen=True)
class Size:
    """A screen in CSS pixels."""

    width: int
    height: int


class Chromium:
    """A running browser with one page."""

    def __init__(self, program: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        to_browser, self._write = os.pipe()
        read, from_browser = os.pipe()
        # The protocol is spoken on the file descriptors 3 and 4.
        script = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        self._process = subprocess.Popen(
            [
                "bash",
                "-c",
                script,
                "bash",
                program,
                *FLAGS,
                f"--user-data-dir={self._folder.name}",
                "about:blank",
            ],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._answers = os.fdopen(read, "rb")
        self._number = 0
        self._events: list[dict[str, Any]] = []
        self._session: str | None = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._write)  # ends the browser
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()
        self._folder.cleanup()

    def send(self, method: str, **values: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        self._number += 1
        call: dict[str, Any] = {"id": self._number, "method": method, "params": values}
        if self._session is not None:
            call["sessionId"] = self._session
        os.write(self._write, json.dumps(call).encode() + b"\0")
        while (message := self._receive()).get("id") != self._number:
            self._events.append(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']['message']}")
        return dict(message["result"])

    def open(self, page: Path | str, size: Size, *, dark: bool = False, media: str = "screen") -> None:
        """Open a file or an address on a screen of this size, and wait until it has loaded."""
        self._events.clear()
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=size.width, height=size.height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media=media, features=[theme])
        self.send("Page.navigate", url=page.resolve().as_uri() if isinstance(page, Path) else page)
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._events.append(self._receive())

    def ask(self, expression: str) -> Any:
        """Return the value of a JavaScript expression on the page."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def requests(self) -> list[str]:
        """The addresses that were asked for since the page was opened, its own left out."""
        self.ask("0")  # collects what has happened until now
        own = self.ask("location.href").partition("#")[0]
        asked = [one["params"] for one in self._events if one["method"] == "Network.requestWillBeSent"]
        return [url for one in asked if (url := str(one["request"]["url"])).partition("#")[0] != own]

    def picture(self, path: Path) -> None:
        """Write a picture of the whole page, as a PNG file."""
        width, height = self.ask("[innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        found = self.send("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(found["data"]))

    def pdf(self, path: Path) -> None:
        """Print the page to a PDF file, on A4."""
        found = self.send(
            "Page.printToPDF",
            paperWidth=8.27,
            paperHeight=11.69,
            printBackground=True,
            preferCSSPageSize=True,
        )
        path.write_bytes(base64.b64decode(found["data"]))

    def _receive(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("the browser has ended")
            text += byte
        return dict(json.loads(text))


@contextmanager
def running() -> Iterator[Chromium]:
    """A running browser; the caller has made sure that there is one."""
    program = browser()
    assert program is not None, "needs chromium"
    with Chromium(program) as chromium:
        yield chromium
