"""The page's endpoints: stable names for scripts, and nothing outside the user's choice can be read through them."""

import json
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fastapi import FastAPI
from fastapi.testclient import TestClient
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from distill.audio.tagging import read_tags
from distill.audio.tags import SoundTags
from distill.audio.writing import write_audio
from distill.ui.page import make_app
from distill.ui.page_state import PageState
from distill.ui.serving import Offers, add_routes
from page import Server, start_server

ENDPOINTS = {"/models", "/look", "/train", "/train_prior", "/train_synth", "/train_again", "/training",
             "/stop_training", "/generate", "/evaluate", "/rename", "/delete", "/restore"}  # fmt: skip
SECRET = "the user's private key"


@pytest.fixture(scope="module")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A library with one model, `kit`, and files beside it that nobody chose."""
    home = tmp_path_factory.mktemp("home")
    (home / "library").mkdir()
    shutil.copy(tiny_model, home / "library" / "kit.distill")
    shutil.copy(tiny_model, home / "private.distill")
    (home / "key.txt").write_text(SECRET)
    started = start_server(home / "library")
    yield started
    started.end()


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    return Client(server.address, verbose=False, analytics_enabled=False)


def status_of(address: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers or {}), timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_endpoints_keep_their_names(client: Client) -> None:
    """Guards against a change of layout that breaks scripts, and against handlers that become endpoints by accident."""
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == ENDPOINTS


def test_a_script_generates_and_moves_models(client: Client, server: Server) -> None:
    assert client.predict(api_name="/models") == [{"name": "kit", "problem": "", "has_prior": True}]
    sounds = client.predict("kit", 2, 0.5, 7, api_name="/generate")
    assert [sound["seed"] for sound in sounds] == [7, 8]
    for sound in sounds:
        samples, rate = soundfile.read(sound["file"])
        assert len(samples) / rate == pytest.approx(sound["seconds"])
        assert np.abs(samples).max() > 0
        status, heard = status_of(server.address + sound["url"].lstrip("/"))
        assert status == 200
        assert heard == Path(sound["file"]).read_bytes()
    assert client.predict("kit", "kit two", api_name="/rename") == "kit two"
    assert client.predict("kit two", api_name="/delete") == "kit two"
    assert client.predict(api_name="/models") == []
    assert client.predict("", api_name="/restore") == "kit two"
    assert client.predict("kit two", "kit", api_name="/rename") == "kit"


def test_a_script_starts_from_a_sound_of_its_own(client: Client, server: Server, sounds: Path) -> None:
    """Guards against recordings that only the command line takes, and against paths of the server in place of files."""
    own = handle_file(sounds / "hit 1.wav")
    for verb, how in (("vary", {"vary": own}), ("morph", {"morph": [own, handle_file(sounds / "hit 2.wav")], "steps": 2}),
                      ("replace", {"replace": ["0.1-0.2", own], "candidates": 2})):  # fmt: skip
        made = client.predict("kit", 2, seed=7, api_name="/generate", **how)
        assert len(made) == 2
        tags = read_tags(Path(made[0]["file"]))
        assert (tags.verb, tags.sources[0].name) == (verb, "hit 1.wav")
    stolen = {"path": str(server.library.parent / "key.txt"), "orig_name": "key.txt"}
    for given, sentence in ((stolen, "key.txt is not among the sounds that were dropped on this page"),
                            ({}, "send the sound itself")):  # fmt: skip
        with pytest.raises(AppError, match=sentence):
            client.predict("kit", 1, vary=given, api_name="/generate")
    with pytest.raises(AppError, match="--bridge: give two files"):
        client.predict("kit", 1, bridge=[own], api_name="/generate")
    assert not list(server.library.glob(".history/*/given/key*"))


def test_a_folder_is_looked_at(client: Client, sounds: Path) -> None:
    found = client.predict(str(sounds), api_name="/look")
    assert len(found["files"]) == 9
    with pytest.raises(AppError, match="There is no folder"):
        client.predict(str(sounds / "nowhere"), api_name="/look")


MISTAKES: list[tuple[str, list[Any], str]] = [
    ("/generate", ["../private", 1, 0.5], "no model called"),
    ("/generate", ["{home}/private.distill", 1, 0.5], "no model called"),
    ("/generate", ["kit", 0, 0.5], "--count 0"),
    ("/generate", ["kit", 1, 0.5, 1, 99.0], "--temperature 99.0"),
    ("/generate", ["kit", 1, 0.5, 1, 1.0, 0, 1.0, "wma"], "--format wma"),
    ("/generate", ["kit", 1, 0.5, -1], "--seed -1"),
    ("/rename", ["../private", "mine"], "no model called"),
    ("/rename", ["kit", "../stolen"], "cannot be a file's name"),
    ("/delete", ["{home}/private.distill"], "no model called"),
    ("/restore", ["../private"], "no deleted model"),
    ("/look", ["../.."], "cannot be opened from this page"),
    ("/train", ["{home}", "../up"], "cannot be a file's name"),
    ("/train_prior", ["../private"], "no model called"),
    ("/train_synth", ["../private"], "no model called"),
    ("/train_again", ["../private"], "no model called"),
    ("/train_again", ["kit", "../.."], "cannot be opened from this page"),
]


@pytest.mark.parametrize(("endpoint", "arguments", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence(
    client: Client, server: Server, endpoint: str, arguments: list[Any], sentence: str
) -> None:
    """Guards against tracebacks, and against names that are paths."""
    given = [a.format(home=server.library.parent) if isinstance(a, str) else a for a in arguments]
    with pytest.raises(AppError, match=sentence) as mistake:
        client.predict(*given, api_name=endpoint)
    assert "Traceback" not in str(mistake.value)
    assert (server.library.parent / "private.distill").is_file()
    assert (server.library / "kit.distill").is_file()


def test_a_download_in_another_format_says_what_made_it_too(tmp_path: Path) -> None:
    """Guards against tags that are lost on the way, and samples that are rounded again."""
    offers, pages = Offers(), FastAPI()
    add_routes(pages, offers)
    path = tmp_path / "kit-seed7.wav"
    tags = SoundTags(version="0.2.0", verb="generate", model="kit", seed=7, request={"seed": 7})
    write_audio(path, np.sin(np.arange(4800, dtype=np.float32)), tags=tags)
    for suffix in (".flac", ".wav"):
        (tmp_path / f"got{suffix}").write_bytes(TestClient(pages).get(offers.download(path, suffix)).content)
        assert read_tags(tmp_path / f"got{suffix}") == tags
        with soundfile.SoundFile(tmp_path / f"got{suffix}") as file:
            assert file.format == suffix[1:].upper()
            np.testing.assert_array_equal(file.read(dtype="int32"), soundfile.read(path, dtype="int32")[0])


def test_no_file_is_served_by_its_path(server: Server) -> None:
    """Guards against path traversal: only what was shown can be fetched, and by its token alone."""
    key = server.library.parent / "key.txt"
    model = server.library / "kit.distill"
    wrong = []
    for path in (key, model, Path("/etc/passwd")):
        climbing = "../" * 20 + str(path).lstrip("/")
        for spelt in (str(path), "/" + str(path), climbing, urllib.parse.quote(str(path), safe=""),
                      urllib.parse.quote(climbing, safe=""), f"file://{path}"):  # fmt: skip
            wrong += [f"gradio_api/file={spelt}", f"file={spelt}", f"gradio_api/stream/{spelt}", f"sound/{spelt}",
                      f"picture/{spelt}", f"download/{spelt}/x", f"static/{spelt}", f"assets/{spelt}",
                      f"svelte/{spelt}", f"theme/{spelt}"]  # fmt: skip
    for address in wrong:
        status, answer = status_of(server.address + address)
        assert SECRET.encode() not in answer, address
        assert b"root:x:" not in answer, address
        assert b"distill_model" not in answer, address
        assert status in (200, 307, 400, 403, 404, 405, 422), (status, address)
    for token in ("0" * 32, "%2e%2e", "..%2f..%2fkey.txt"):
        assert status_of(f"{server.address}sound/{token}")[0] == 404


def test_other_sites_are_neither_fetched_nor_let_in(server: Server) -> None:
    """Guards against the page as a proxy, and against a site whose name was made to point here."""
    for address in ("gradio_api/file=http://example.com/", "gradio_api/file=https://example.com/",
                    "gradio_api/proxy=http://example.com/"):  # fmt: skip
        assert status_of(server.address + address)[0] == 403
    assert status_of(server.address, {"Host": "evil.example"})[0] == 403
    assert status_of(server.address)[0] == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        assert status_of(server.address + "config", {"Origin": origin})[0] == 403
    assert status_of(server.address + "config", {"Origin": server.address.rstrip("/")})[0] == 200


def test_a_hidden_handler_does_not_take_a_path_for_a_dropped_file(server: Server) -> None:
    """Guards against the upload handlers reading a file that was never uploaded."""
    config = json.loads(status_of(server.address + "config")[1])
    ids = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
    stolen = {"path": str(server.library.parent / "private.distill"), "meta": {"_type": "gradio.FileData"}}
    for name, event, arguments in (
        ("sounds-drop", "upload", [[stolen], "stolen", "me"]),
        ("library-import", "upload", [[stolen], "", "name"]),
        ("generate-from-sound", "change", [stolen, None]),
        ("generate-from-second", "change", [None, stolen]),
    ):
        (handler,) = [d for d in config["dependencies"] if [ids[name], event] in d["targets"]]
        body = {"data": arguments, "fn_index": handler["id"], "session_hash": "thief"}
        request = urllib.request.Request(
            server.address + "gradio_api/queue/join", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=20).read()
        with urllib.request.urlopen(server.address + "gradio_api/queue/data?session_hash=thief", timeout=30) as stream:
            told = ""
            while "process_completed" not in told:
                told += stream.readline().decode()
        assert '"success":false' in told.replace(" ", "")
    assert sorted(path.name for path in server.library.iterdir() if path.suffix == ".distill") == ["kit.distill"]
    assert not (server.library / "sounds" / "stolen").exists()


def test_uploads_have_a_limit(tmp_path: Path) -> None:
    """Guards against a disk filled by one drop."""
    app = make_app(PageState(tmp_path, any_folder=True), "127.0.0.1", 7860, most_upload="10kb")
    with TestClient(app, base_url="http://127.0.0.1") as browser:
        small = browser.post("/gradio_api/upload", files={"files": ("a.wav", b"x" * 1000)})
        large = browser.post("/gradio_api/upload", files={"files": ("a.wav", b"x" * 100_000)})
    assert small.status_code == 200
    assert large.status_code == 413


def test_a_taken_port_is_a_sentence_and_ctrl_c_an_end(server: Server, tmp_path: Path) -> None:
    """Guards against a traceback at either end of the page's life."""
    port = str(urllib.parse.urlsplit(server.address).port)
    command = [sys.executable, "-m", "distill", "ui", "--port", port]
    second = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert second.returncode == 1
    assert second.stderr.startswith("Error: The page cannot be opened at 127.0.0.1")
    assert second.stderr.count("\n") == 1
    started = start_server(tmp_path / "library")
    started.process.send_signal(signal.SIGINT)
    assert started.process.wait(60) == 0
