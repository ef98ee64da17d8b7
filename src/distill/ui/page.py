"""The page as a whole: its tabs, and the server."""

import contextlib
import ipaddress
import itertools
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response

from distill.errors import DistillError
from distill.instrument.strip import STRIP_SCRIPT, STRIP_STYLE
from distill.ui.adding import adding_panel
from distill.ui.api import add_endpoints
from distill.ui.demo import demo_panel
from distill.ui.fresh import keep_fresh
from distill.ui.generate import generate_tab
from distill.ui.library import library_tab
from distill.ui.look import CSS, SCRIPTS, theme
from distill.ui.page_state import HIDDEN, MOST_UPLOAD, PageState
from distill.ui.serving import add_routes
from distill.ui.sounds import sounds_tab
from distill.ui.stages import codec_stage, prior_stage, synthesiser_stage
from distill.ui.train import stage_section

STOP_SECONDS = 20.0
"""How long a training gets to keep its best when the server ends."""
TITLE = "distill"
MOST_OPEN_FILES = 4096
"""Gradio holds every file of a drop open, a thousand at once; macOS allows a program 256 unless it asks for more."""
SWITCH_SECONDS = 0.0005
"""How long a training may keep Python to itself while the page waits: a tenth of the usual."""


def build(page_state: PageState) -> gr.Blocks:
    """Lay out the page."""
    page: gr.Blocks
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        owner = gr.Textbox(visible="hidden", elem_id="owner", label="Browser tab")
        seen = gr.State({})
        gr.HTML(
            "<h1>distill</h1><p>Train a small model on your own recordings and generate new sound from it. "
            "Nothing leaves this machine.</p>",
            elem_id="title",
        )
        stages = [codec_stage(page_state), prior_stage(page_state), synthesiser_stage(page_state)]
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
            with gr.Tab("Sounds", id="sounds"):
                sounds, to_training, folder = sounds_tab(page_state, owner)
                demo = demo_panel(page_state, stages, owner)
            with gr.Tab("Train", id="train"):
                sections, subjects = zip(*(stage_section(page_state, stage) for stage in stages), strict=True)
                adding = adding_panel(page_state)
            with gr.Tab("Generate", id="generate"):
                generating, model, to_prior = generate_tab(page_state, owner)
            with gr.Tab("Library", id="library"):
                library = library_tab(page_state)
        to_training.click(lambda given: (gr.Tabs(selected="train"), given), folder, [tabs, subjects[0]], **HIDDEN)
        to_prior.click(lambda given: (gr.Tabs(selected="train"), given), model, [tabs, subjects[1]], **HIDDEN)
        keep_fresh(page, [sounds, demo, *itertools.chain(*sections), adding, generating, library], owner, seen)
        add_endpoints(page_state, stages)
    return page


def make_app(page_state: PageState, host: str, port: int, most_upload: str = MOST_UPLOAD) -> FastAPI:
    """The page and the files it shows, as one application.

    Args:
        most_upload: the largest file that can be dropped, such as "1gb".
    """
    os.environ["GRADIO_TEMP_DIR"] = str(page_state.uploads)
    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None, openapi_url=None)
    add_routes(app, page_state.offers)
    allowed_hosts = {"127.0.0.1", "localhost", "[::1]", host} if _is_loopback(host) else set()

    @app.middleware("http")
    async def guard(request: Request, answer: Callable[[Request], Any]) -> Response:
        """No other site's name for this address, no request made by another site, and no fetching of other sites."""
        if allowed_hosts:
            named = request.headers.get("host", "").rsplit(":", 1)[0]
            origin = request.headers.get("origin")
            from_here = origin is None or urlsplit(origin).netloc == request.headers.get("host")
            if named not in allowed_hosts or not from_here:
                return PlainTextResponse("This page answers itself only, at its address on this machine.", 403)
        path = request.url.path.lower()
        if "/file=http" in path or "/proxy=" in path:
            return PlainTextResponse("Other sites are not fetched through this page.", 403)
        response: Response = await answer(request)
        return response

    page = build(page_state).queue(default_concurrency_limit=8)
    page.has_launched = True  # else a mounted page takes any path for a file that was dropped
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        page,
        path="/",
        server_name=host,
        server_port=port,
        footer_links=["api", "settings"],
        run_history=False,
        blocked_paths=[],
        show_error=True,
        max_file_size=most_upload,
        ssr_mode=False,
        pwa=False,
        theme=theme(),
        css=CSS + STRIP_STYLE,
        head=f"{SCRIPTS}<script>{STRIP_SCRIPT}</script>",
    )
    return mounted


@contextlib.contextmanager
def running(host: str, port: int) -> Iterator[tuple[uvicorn.Server, socket.socket, str]]:
    """A server on its address, not yet serving; trainings are stopped and what is temporary is removed at the end.

    Raises:
        DistillError: the address cannot be listened on.
    """
    listening = _listen(host, port)
    sys.setswitchinterval(SWITCH_SECONDS)
    _allow_many_open_files()
    port = listening.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="distill-page-") as room, listening:
        page_state = PageState(Path(room), any_folder=_is_loopback(host))
        app = make_app(page_state, host, port)
        config = uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=2)
        shown = f"[{host}]" if ":" in host else host
        try:
            yield uvicorn.Server(config), listening, f"http://{shown}:{port}/"
        finally:
            page_state.jobs.stop_all(STOP_SECONDS)


def serve(host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C, or until the process is asked to end.

    Raises:
        DistillError: the address cannot be listened on.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # uvicorn hands signals on when it has shut down
    with running(host, port) as (server, listening, address), contextlib.suppress(KeyboardInterrupt):
        announce(address)
        server.run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DistillError(f"The page cannot be opened at {host}:{port}, {reason}: choose another --port.") from error
    return listening


def _allow_many_open_files() -> None:
    try:
        import resource
    except ImportError:  # Windows, where it takes thousands anyway
        return
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < MOST_OPEN_FILES:
        wanted = MOST_OPEN_FILES if most == resource.RLIM_INFINITY else min(MOST_OPEN_FILES, most)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
