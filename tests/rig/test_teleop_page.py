"""The page's server as a device, and against strangers: over real sockets, without a browser."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
import pytest
from contracts import DeviceCell, DeviceContract
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from handful.config import load
from handful.rig.operator import OperatorSettings
from handful.rig.teleop.device import DeviceError
from handful.rig.teleop.page import BAD, SILENT, TAKEN, Page
from handful.rig.teleop.settings import TeleopSettings

SETTINGS = load(TeleopSettings, "teleop", {"max_silence_s": 2.0, "page.seat_s": 0.5})
SAYS = load(OperatorSettings, "node/operator")


class Visitor:
    """A page without a browser."""

    def __init__(self, page: Page) -> None:
        self.page, self.down = page, set[str]()
        self.line: ClientConnection | None = None

    def come(self, **options: object) -> ClientConnection:
        url = self.page.url.replace("http", "ws").replace("/?", "/ws?")
        self.line = connect(url, compression=None, **options).__enter__()  # type: ignore[arg-type]
        return self.line

    def say(self, **message: object) -> None:
        (self.line or self.come()).send(json.dumps({"keys": sorted(self.down), **message}))

    def hold(self, key: str, on: bool) -> None:
        with suppress(DeviceError):  # it is not open yet
            if self.line is None:
                self.say()  # a page speaks before anything is pressed on it
        self.down = self.down | {key} if on else self.down - {key}
        with suppress(DeviceError):
            self.say()

    def go(self) -> None:
        if self.line is not None:
            self.line.close()
        self.line = None


@pytest.fixture
def page() -> Iterator[Page]:
    page = Page(SETTINGS, SAYS)
    page.open()
    yield page
    page.close()


class TestPage(DeviceContract):
    def make_cell(self) -> DeviceCell:
        page = Page(SETTINGS, SAYS)
        visitor = Visitor(page)
        return DeviceCell(
            page,
            deadman=lambda on: visitor.hold("shift", on),
            push=lambda on: visitor.hold("up", on),
            press=lambda: visitor.say(typed=["s"]),
            unplug=visitor.go,
            plug=lambda: visitor.say(),
            wait=lambda: time.sleep(0.15),
            dispose=visitor.go,
        )


def test_without_the_token_nobody_gets_in(page: Page) -> None:
    base = page.url.split("/?")[0]
    for address in (base, f"{base}/?token=", f"{base}/?token={'x' * 22}"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address, timeout=10)
        assert refused.value.code == 403
        assert "token" in refused.value.read().decode()
    with pytest.raises(InvalidStatus):
        connect(base.replace("http", "ws") + "/ws?token=nonsense").__enter__()
    assert not page.occupied
    assert page.url.startswith("http://127.0.0.1:"), "bound to the loopback unless told"


def test_another_site_may_not_drive_with_a_stolen_address(page: Page) -> None:
    with pytest.raises(InvalidStatus):
        Visitor(page).come(origin="http://elsewhere.example")
    assert not page.occupied


def test_the_page_is_served_with_a_strict_policy(page: Page) -> None:
    with urllib.request.urlopen(page.url, timeout=10) as answer:
        text, policy = answer.read().decode(), answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "NONCE" not in text and "<canvas" not in text
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(page.url.replace("/?", "/etc/passwd?"), timeout=10)
    assert refused.value.code == 404


def test_a_second_operator_is_refused_in_a_sentence_and_a_silent_one_gives_way(page: Page) -> None:
    first, second, third = Visitor(page), Visitor(page), Visitor(page)
    first.hold("shift", False)
    until(lambda: page.occupied)
    line = second.come()
    assert closed(line) == (TAKEN, "Another operator drives this arm. Close that page first.")
    time.sleep(0.6)  # the first one says nothing for longer than a seat is kept
    third.say()
    until(lambda: not page.read().note)
    assert first.line is not None and closed(first.line)[0] == SILENT
    third.go()
    until(lambda: not page.occupied)


@pytest.mark.parametrize("message", ["{", '{"press": ["explode"]}', b"bytes", "x" * 20000])
def test_a_page_that_talks_nonsense_is_shown_the_door(page: Page, message: str | bytes) -> None:
    line = Visitor(page).come()
    line.send(message)
    assert closed(line)[0] in (BAD, 1009)
    until(lambda: not page.occupied)
    assert not page.read().held


def test_pictures_go_out_one_at_a_time_and_the_newest_counts(page: Page) -> None:
    visitor = Visitor(page)
    line = visitor.come()
    until(lambda: page.occupied)
    for number in range(1, 6):
        page.show({"third": np.full((8, 8, 3), 40 * number, np.uint8)}, {"line": "x"})
        time.sleep(0.02)
    first = picture(line)
    visitor.say(shown=first)
    assert picture(line) == 5, "old pictures were queued"
    page.tell({"line": "the end"})
    while "the end" not in (said := line.recv(timeout=10)):  # type: ignore[operator]
        assert isinstance(said, str)
    visitor.say(shown=5, at_s=time.time())
    until(lambda: page.read().note == "" and page.latency() != {})
    assert 0.0 <= page.latency()["drawn_median_ms"] < 10_000.0
    visitor.go()


def test_an_address_that_is_taken_is_a_sentence(page: Page) -> None:
    port = int(page.url.split("/?")[0].rsplit(":", 1)[1])
    taken = SETTINGS.model_copy(update={"page": SETTINGS.page.model_copy(update={"port": port})})
    with pytest.raises(
        DeviceError, match=f"cannot serve at 127.0.0.1:{port}: Address already in use"
    ):
        Page(taken, SAYS).open()


def test_a_page_beside_another_device_shows_and_says_but_does_not_drive() -> None:
    page = Page(SETTINGS, SAYS, drives=False)
    page.open()
    visitor = Visitor(page)
    visitor.hold("shift", False)
    visitor.down |= {"shift", "up"}
    visitor.say(press=["stop"])
    until(lambda: page.occupied)
    time.sleep(0.2)
    wish = page.read()
    assert not wish.held and not wish.move.any() and [i.value for i in wish.pressed] == ["stop"]
    visitor.go()
    page.close()


def picture(line: ClientConnection) -> int:
    while not isinstance(message := line.recv(timeout=10), bytes):
        pass
    return int.from_bytes(message[:4], "little")


def closed(line: ClientConnection) -> tuple[int, str]:
    try:
        while True:
            line.recv(timeout=10)
    except ConnectionClosed as end:
        assert end.rcvd is not None
        return end.rcvd.code, end.rcvd.reason


def until(come: Callable[[], object], timeout_s: float = 10.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not come():
        assert time.monotonic() < end_s
        time.sleep(0.01)
