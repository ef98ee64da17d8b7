"""Files that the page shows: each was offered by a handler and is asked for by a token, never by its path."""

import hashlib
import hmac
import io
import secrets
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import soundfile
from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse, Response

from distill.audio.formats import Kind
from distill.audio.reading import Samples, UnusableSound, as_channels, kind_of, read_planes
from distill.audio.tagging import put_tags, read_tags
from distill.audio.tags import SoundTags
from distill.audio.thumbnails import sound_picture
from distill.errors import DistillError
from distill.settings.geometry import SAMPLE_RATE

PLAYED_BY_BROWSERS = {"WAV": "audio/wav", "MP3": "audio/mpeg", "FLAC": "audio/flac", "OGG": "audio/ogg"}
"""By what the file is, whatever it is called; the rest is served as WAV."""
MOST_OFFERED = 100_000
CACHED = {"Cache-Control": "private, max-age=3600"}


class Offers:
    """What may be read through the page: files that were shown on it."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._paths: dict[str, Path] = {}
        self._lock = threading.Lock()

    def player(self, path: Path) -> str:
        """The address of a sound, for an audio element."""
        return f"/sound/{self._offer(path)}"

    def picture(self, path: Path) -> str:
        """The address of a sound's waveform and spectrogram, or of a PNG file itself."""
        return f"/picture/{self._offer(path)}"

    def download(self, path: Path, suffix: str = "") -> str:
        """The address of a file to save; `suffix` ".wav" or ".flac": as that kind of sound."""
        return f"/download/{self._offer(path)}/{quote(path.stem + (suffix or path.suffix))}"

    def _offer(self, path: Path) -> str:
        whole = path.absolute()
        changed = whole.stat().st_mtime_ns if whole.exists() else 0
        token = hmac.new(self._secret, f"{whole}\0{changed}".encode(errors="surrogateescape"), hashlib.sha256)
        name = token.hexdigest()[:32]
        with self._lock:
            while len(self._paths) >= MOST_OFFERED:
                self._paths.pop(next(iter(self._paths)))
            self._paths[name] = whole
        return name

    def find(self, token: str) -> Path:
        """The file behind a token.

        Raises:
            HTTPException: it was not offered, or is gone.
        """
        path = self._paths.get(token)
        if path is None or not path.is_file():
            raise HTTPException(404, "There is no such sound on the page. Reload it.")
        return path


def add_routes(app: FastAPI, offers: Offers) -> None:
    """The addresses that `Offers` gives out."""

    @app.get("/sound/{token}", include_in_schema=False)
    def sound(token: str) -> Response:
        path = offers.find(token)
        played = PLAYED_BY_BROWSERS.get(_kind(path).name)
        if played is not None:
            return FileResponse(path, media_type=played, headers=CACHED)
        return Response(_as_sound(path, "WAV"), media_type="audio/wav", headers=CACHED)

    @app.get("/picture/{token}", include_in_schema=False)
    def picture(token: str) -> Response:
        path = offers.find(token)
        if path.suffix.lower() == ".png":
            return FileResponse(path, media_type="image/png", headers=CACHED)
        try:
            return Response(sound_picture(path), media_type="image/png", headers=CACHED)
        except DistillError as error:
            raise HTTPException(422, str(error)) from error

    @app.get("/download/{token}/{name}", include_in_schema=False)
    def download(token: str, name: str) -> Response:
        path = offers.find(token)
        wanted = Path(name).suffix.lower()
        if wanted == path.suffix.lower() or wanted not in (".wav", ".flac"):
            return FileResponse(path, filename=path.name)
        headers = {"Content-Disposition": f"attachment; filename*=utf-8''{quote(path.stem + wanted)}"}
        return Response(_as_sound(path, wanted[1:].upper()), media_type="application/octet-stream", headers=headers)


def _kind(path: Path) -> Kind:
    try:
        return kind_of(path)
    except UnusableSound as reason:
        raise HTTPException(422, f"{path.name} cannot be played: {reason}.") from reason


def _as_sound(path: Path, container: str) -> bytes:
    samples: Samples | None = None
    subtype = "PCM_24"
    if _kind(path).by_libsndfile:  # which keeps the channels
        with suppress(soundfile.LibsndfileError, OSError), soundfile.SoundFile(path) as file:
            samples, rate = file.read(dtype="float32", always_2d=True), file.samplerate
            subtype = "PCM_16" if file.subtype == "PCM_16" else subtype
    if samples is None:
        try:
            planes, _ = read_planes(path)
        except DistillError as error:
            raise HTTPException(422, str(error)) from error
        samples, rate = as_channels(planes).T, SAMPLE_RATE
    tags: SoundTags | None = None
    with suppress(DistillError):  # a recording has none
        tags = read_tags(path)
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate, samples.shape[1], subtype, format=container) as file:
        file.write(samples)
    put_tags(buffer, container, tags, len(samples), rate)  # what a sound was made with goes with it
    return buffer.getvalue()
