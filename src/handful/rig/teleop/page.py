"""A page in a browser: the cameras for a person's eyes, and keyboard or gamepad for their hands.

Served by this process, bound to the loopback unless told otherwise, opened by nobody without the
token in its address. One page drives at a time. A page that is closed, hidden, or whose line is cut
is a hand that lets go. Pictures go out one at a time: the next when the page has drawn the last
one, so a slow line shows fewer of them and never old ones.
"""

import contextlib
import hmac
import json
import logging
import secrets
import struct
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from handful.rig.operator import OperatorSettings, help_lines
from handful.rig.teleop.device import DeviceError, Wish
from handful.rig.teleop.page_input import PageInput
from handful.rig.teleop.settings import TeleopSettings

HTML = Path(__file__).with_name("page.html")
_MOST_BYTES = 16384  # of one message from a page
_UNDRAWN_S = 0.5  # a picture that was not drawn by then was lost, or the page is hidden
TAKEN, SILENT, BAD = 4001, 4002, 4003
"""Close codes of ours: somebody else drives, you were silent too long, that was no message."""


@dataclass
class _Seat:
    """Who drives: their line, their hands, and what has been sent to them."""

    line: ServerConnection
    hands: PageInput
    left: threading.Event = field(default_factory=threading.Event)
    sent: int = 0
    sent_s: float = 0.0


class Page:
    """``Device`` in a browser, and the live view of every other device.

    Args:
        settings: keys, pad, and where to serve. operator: which key says what.
        drives: whether its keys and pad may move the arm; its buttons always count.
    """

    name = "page"

    def __init__(
        self, settings: TeleopSettings, operator: OperatorSettings, drives: bool = True
    ) -> None:
        self._settings, self._operator, self._drives = settings, operator, drives
        self._token = secrets.token_urlsafe(16)
        self._server: Server | None = None
        self._seat: _Seat | None = None
        self._changed = threading.Condition()
        self._pictures: dict[str, NDArray[np.uint8]] = {}
        self._status: dict[str, Any] = {}
        self._number = self._status_number = 0
        self._taken_s: dict[int, float] = {}
        self.drawn_s: deque[float] = deque(maxlen=500)
        self.waited_s: deque[float] = deque(maxlen=500)
        self._event_s: float | None = None

    @property
    def url(self) -> str:
        """The address of the page, token included."""
        if self._server is None:
            raise DeviceError("page: no address before open")
        host, port = self._server.socket.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{port}/?token={self._token}"

    @property
    def occupied(self) -> bool:
        """Somebody has the page open."""
        return self._seat is not None

    def open(self) -> None:
        """Serve the page from now on.

        Raises:
            DeviceError: the address is taken or not this machine's.
        """
        page, quiet = self._settings.page, logging.getLogger("handful.page")
        quiet.setLevel(logging.CRITICAL)  # a stranger at the door is no news
        try:
            self._server = serve(
                self._attend,
                page.host,
                page.port,
                process_request=self._answer,
                compression=None,
                max_size=_MOST_BYTES,
                ping_interval=2.0,
                ping_timeout=6.0,
                close_timeout=1.0,
                logger=quiet,
            )
        except OSError as error:
            raise DeviceError(
                f"page: cannot serve at {page.host}:{page.port}: {error.strerror or error}; "
                "choose another with --listen HOST:PORT"
            ) from None
        threading.Thread(target=self._server.serve_forever, name="page", daemon=True).start()

    def close(self) -> None:
        """Nobody is served any more; an open page says so."""
        server, self._server = self._server, None
        seat = self._seat
        if seat is not None:
            with contextlib.suppress(Exception):
                seat.line.close(1001, "the session has ended")
        if server is not None:
            server.shutdown()

    def read(self) -> Wish:
        """The newest wish of whoever has the page open."""
        if self._server is None:
            raise DeviceError("page: read before open")
        seat = self._seat
        if seat is None:
            return Wish(note="page: nobody has it open")
        wish = seat.hands.wish(time.monotonic())
        event_s = seat.hands.event_s
        if event_s is not None and event_s != self._event_s:
            self._event_s = event_s
            self.waited_s.append(time.time() - event_s)
        return wish if self._drives else Wish(pressed=wish.pressed)

    def show(self, pictures: Mapping[str, NDArray[np.uint8]], status: Mapping[str, Any]) -> None:
        """What a person is to see: camera -> (H, W, 3) uint8 RGB, and words (JSON-ready)."""
        with self._changed:
            self._pictures = dict(pictures)
            self._number += 1
            if dict(status) != self._status:
                self._status = dict(status)
                self._status_number += 1
            self._taken_s[self._number] = time.monotonic()
            self._taken_s.pop(self._number - 500, None)
            self._changed.notify_all()

    def tell(self, status: Mapping[str, Any]) -> None:
        """New words under the same pictures."""
        with self._changed:
            if dict(status) != self._status:
                self._status = dict(status)
                self._status_number += 1
                self._changed.notify_all()

    def latency(self) -> dict[str, float]:
        """Medians and 95th percentiles [ms]: from a picture's capture to the word that it was
        drawn, and from a key or stick to the reading that took it. Empty before both happened.
        """
        found = {}
        for name, values in (("drawn", self.drawn_s), ("waited", self.waited_s)):
            if not values:
                return {}
            found[f"{name}_median_ms"] = round(1e3 * median(values), 1)
            found[f"{name}_p95_ms"] = round(1e3 * float(np.percentile(list(values), 95)), 1)
        return found

    # HTTP.

    def _answer(self, line: ServerConnection, request: Request) -> Response | None:
        """The page, a refusal, or None: go on to the web socket."""
        url = urlsplit(request.path)
        given = parse_qs(url.query).get("token", [""])[0]
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return _text(403, "Forbidden", "The address needs the token that handful printed.\n")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("Host"):
            return _text(403, "Forbidden", "Another page may not drive this arm.\n")
        if url.path == "/ws":
            return None
        if url.path == "/":
            return _page(HTML.read_text(encoding="utf-8"))
        return _text(404, "Not Found", "There is one page here, and this is not it.\n")

    # The web socket.

    def _attend(self, line: ServerConnection) -> None:
        seat = self._take_seat(line)
        if seat is None:
            line.close(TAKEN, "Another operator drives this arm. Close that page first.")
            return
        sender = threading.Thread(target=self._send, args=(seat,), name="page out", daemon=True)
        sender.start()
        try:
            for message in line:
                if not isinstance(message, str):
                    raise ValueError("a message must be text")
                self._heard(seat, message)
        except ConnectionClosed:
            pass
        except ValueError as error:
            line.close(BAD, f"not understood: {error}"[:120])
        finally:
            seat.left.set()
            with self._changed:
                if self._seat is seat:
                    self._seat = None
                self._changed.notify_all()

    def _take_seat(self, line: ServerConnection) -> _Seat | None:
        with self._changed:
            old = self._seat
            if old is not None:
                silent_s = time.monotonic() - old.hands.heard_s
                if silent_s < self._settings.page.seat_s:
                    return None
            seat = _Seat(line, PageInput(self._settings, self._operator))
            seat.hands.heard_s = time.monotonic()
            self._seat = seat
        if old is not None:
            with contextlib.suppress(Exception):
                old.line.close(SILENT, "This page was silent, and another operator took over.")
        return seat

    def _heard(self, seat: _Seat, message: str) -> None:
        before, now_s = seat.hands.shown, time.monotonic()
        seat.hands.take(message, now_s)
        if seat.hands.shown != before:
            with self._changed:
                taken_s = self._taken_s.get(seat.hands.shown)
                self._changed.notify_all()
            if taken_s is not None:
                self.drawn_s.append(now_s - taken_s)

    def _send(self, seat: _Seat) -> None:
        words = -1
        with contextlib.suppress(ConnectionClosed, OSError):
            seat.line.send(json.dumps({"hello": self._hello()}))
            while not seat.left.is_set():
                with self._changed:
                    self._changed.wait_for(lambda seen=words: self._due(seat, seen), 0.2)  # type: ignore[misc]
                    due, number = self._picture_due(seat), self._number
                    pictures, status = self._pictures, self._status
                    words_new, words = words != self._status_number or due, self._status_number
                if due:
                    seat.line.send(self._packed(number, pictures))
                    seat.sent, seat.sent_s = number, time.monotonic()
                if words_new:
                    seat.line.send(json.dumps({"status": status}))

    def _due(self, seat: _Seat, words: int) -> bool:
        return seat.left.is_set() or words != self._status_number or self._picture_due(seat)

    def _picture_due(self, seat: _Seat) -> bool:
        if self._number == seat.sent or not self._pictures:
            return False
        drawn = seat.hands.shown >= seat.sent
        return drawn or time.monotonic() - seat.sent_s > _UNDRAWN_S

    def _packed(self, number: int, pictures: dict[str, NDArray[np.uint8]]) -> bytes:
        quality = [cv2.IMWRITE_JPEG_QUALITY, self._settings.page.jpeg_quality]
        parts = [struct.pack("<IB", number, len(pictures))]
        for picture in pictures.values():
            _, jpeg = cv2.imencode(".jpg", picture[:, :, ::-1], quality)
            parts += [struct.pack("<I", jpeg.size), jpeg.tobytes()]
        return b"".join(parts)

    def _hello(self) -> dict[str, Any]:
        keys = self._settings.keys
        return {
            "drives": self._drives,
            "deadman": keys.deadman,
            "motions": {motion.value: list(names) for motion, names in keys.motions.items()},
            "slow": keys.slow,
            "intents": {i.value: list(names) for i, names in self._operator.keys.items()},
            "help": help_lines(self._operator),
            "cameras": list(self._pictures),
        }


def _text(code: int, phrase: str, text: str) -> Response:
    headers = Headers({"Content-Type": "text/plain; charset=utf-8", "Connection": "close"})
    headers["Content-Length"] = str(len(text.encode()))
    return Response(code, phrase, headers, text.encode())


def _page(html: str) -> Response:
    nonce = secrets.token_urlsafe(12)
    body = html.replace("NONCE", nonce).encode()
    headers = Headers()
    headers["Content-Type"] = "text/html; charset=utf-8"
    headers["Content-Length"] = str(len(body))
    headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
        "img-src blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    headers["Referrer-Policy"] = "no-referrer"
    headers["Cache-Control"] = "no-store"
    headers["Connection"] = "close"
    return Response(200, "OK", headers, body)
