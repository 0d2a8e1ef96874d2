"""A real gateway on a port, and a real Chromium that looks at it."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZE = {"width": 1280, "height": 800}


def _world_module() -> Any:
    """Return world.py; tests of one folder cannot import from another by name."""
    for name in ("fakes", "world", "telling"):
        path, full = Path(__file__).parents[1] / "gateway" / f"{name}.py", f"gateway_{name}"
        if full not in sys.modules:
            spec = importlib.util.spec_from_file_location(full, path)
            assert spec and spec.loader
            sys.modules[full] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[full])
    return sys.modules["gateway_world"]


@dataclass
class Site:
    """A gateway that serves, and its world."""

    url: str
    world: Any
    setting: Any
    loop: asyncio.AbstractEventLoop

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run something in the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The gateway under granian in a thread, with one report to review."""
    setting = _world_module()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ready = threading.Event()
    found: dict[str, Any] = {}

    async def serve() -> None:
        from services.gateway import app, server

        async with setting.open_world(tmp_path) as world:
            settings = replace(world.gateway.settings, http_listen=f"127.0.0.1:{port}")
            task = asyncio.create_task(server.run(server.make(app.make(world.gateway), settings)))
            found.update(world=world, loop=asyncio.get_running_loop(), stop=asyncio.Event())
            ready.set()
            await found["stop"].wait()
            task.cancel()
            await asyncio.wait([task])

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(20)
    made = Site(f"http://127.0.0.1:{port}", found["world"], setting, found["loop"])
    _wait(made.url)
    yield made
    made.loop.call_soon_threadsafe(found["stop"].set)
    thread.join(15)


def _wait(url: str) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{url}/healthz", timeout=1)
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the gateway does not answer")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser; tests that need it are skipped where there is none.

    It is closed with its module: while it is open, its event loop runs in this thread and no
    asynchronous test could.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if not path:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=FLAGS, headless=True)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any, site: Site) -> Iterator[Callable[..., Any]]:
    """Return a maker of pages in a language; a console error or warning fails the test."""
    problems: list[str] = []
    contexts: list[Any] = []

    def make(language: str = "en", *, sign_in: bool = True) -> Any:
        locale = "zh-CN" if language == "zh" else "en-GB"
        context = chromium.new_context(viewport=SIZE, locale=locale, base_url=site.url)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on(
            "console",
            lambda m: problems.append(m.text) if m.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: problems.append(str(error)))
        if sign_in:
            page.goto("/sign-in")
            page.fill("#name", "reader")
            page.fill("#password", site.setting.PASSWORD)
            page.press("#password", "Enter")
            page.wait_for_url("**/worklist")
        return page

    make.problems = problems  # type: ignore[attr-defined]  # tests that expect one clear it
    yield make
    for context in contexts:
        context.close()
    assert problems == []
