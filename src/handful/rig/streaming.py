"""A camera that streams on a thread of its own: newest frame, stale and frozen told, reconnecting.

What the devices have in common lives here; what a device is lives in its ``Source``. The thread
keeps one picture, the newest. When the device is lost it says so once, tries again for ever, and
says so when it is back.
"""

import atexit
import logging
import math
import threading
import time
from collections import deque
from dataclasses import replace

from handful.contract import Frame
from handful.rig.calibration import Calibration
from handful.rig.camera import CameraError, StaleFrameError
from handful.rig.camera_settings import CameraNodeSettings
from handful.rig.clock import Clock
from handful.rig.device_clock import DeviceClock
from handful.rig.frozen import FrozenDetector
from handful.rig.source import (
    CameraSetupError,
    EndOfRecordingError,
    Health,
    Picture,
    Shot,
    Source,
)

_log = logging.getLogger(__name__)
_RATE_OVER = 31  # pictures the measured rate is a mean of
_CLOSED = "it is not open; call open() first"
_POLL_S = 0.1  # how soon the thread notices that it shall end


class StreamingCamera:
    """The rig's ``Camera`` over a ``Source``.

    Args:
        calibration: intrinsics that take precedence over the device's, of the whole picture.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        settings: CameraNodeSettings,
        clock: Clock,
        calibration: Calibration | None = None,
    ) -> None:
        self.name, self.frame_id = name, f"{name}_color_optical_frame"
        self._source, self._settings, self._clock = source, settings, clock
        self._given = calibration
        self._view = settings.view
        self._times, self._frozen = DeviceClock(), FrozenDetector(settings.frozen_frames)
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._newest: Picture | None = None
        self._calibration: Calibration | None = None
        self._asked = self._unread = False
        self._problem, self._hopeless = _CLOSED, False
        self._arrivals_s: deque[float] = deque(maxlen=_RATE_OVER)
        self._number: int | None = None
        self._pictures = self._dropped = self._reconnects = 0

    def open(self) -> None:
        """Start delivering; returns with the first picture.

        Raises:
            CameraSetupError: what is wrong lies in the settings; trying again is no use.
            CameraError: the device cannot be opened, or sends nothing within ``start_s``.
        """
        if self._thread is not None:
            return
        self._stop.clear()
        self._newest, self._hopeless = None, False
        self._frozen.reset()
        try:
            self._begin()
        except CameraError as error:
            raise type(error)(self._about(str(error))) from None
        self._thread = threading.Thread(target=self._run, name=f"camera {self.name}", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # a device's library must not be torn down under its reader
        deadline_s = time.monotonic() + self._settings.start_s
        with self._news:
            self._asked = True
            self._news.notify_all()
            while self._newest is None and not self._problem:
                rest_s = deadline_s - time.monotonic()
                if rest_s <= 0.0 or not self._news.wait(rest_s):
                    self._problem = f"it sent no picture within {self._settings.start_s} s"
            problem, came = self._problem, self._newest is not None
        if not came:
            hopeless = self._hopeless
            self.close()
            raise (CameraSetupError if hopeless else CameraError)(self._about(problem))

    def latest(self, max_age_s: float) -> Frame:
        """The newest frame, a copy; with a source on demand, the next one.

        Raises:
            CameraError: not open, or the device is lost; it is being looked for meanwhile.
            StaleFrameError: the newest is older than ``max_age_s`` [s], or the camera is frozen.
        """
        if self._source.on_demand:
            self._ask_for_one()
        picture, problem, frozen = self._newest, self._problem, self._frozen.reason
        if problem:
            again = "" if self._thread is None or self._hopeless else "; it is being looked for"
            raise CameraError(self._about(problem + again))
        if frozen:
            raise StaleFrameError(self._about(f"it is frozen: {frozen}"))
        assert picture is not None
        age_s = self._clock.now_s() - picture.stamp_s
        if not age_s <= max_age_s:
            raise StaleFrameError(
                self._about(f"its newest frame is {age_s:.3f} s old, allowed are {max_age_s} s")
            )
        return Frame(self.name, picture.pixels.copy(), picture.stamp_s, self.frame_id)

    def wait_newer(self, stamp_s: float, timeout_s: float) -> Picture | None:
        """The newest picture once it is another than the one of ``stamp_s``; None when there was
        none within ``timeout_s`` (wall clock) or the camera is frozen."""
        deadline_s = time.monotonic() + timeout_s
        with self._news:
            if self._newest is None or self._newest.stamp_s == stamp_s:
                self._asked = True
                self._news.notify_all()
            while self._newest is None or self._newest.stamp_s == stamp_s or self._frozen.reason:
                rest_s = deadline_s - time.monotonic()
                if rest_s <= 0.0 or self._stop.is_set():
                    return None
                self._news.wait(rest_s)
            return self._newest

    def calibration(self) -> Calibration | None:
        """Intrinsics of what is delivered; None when neither device nor settings know them."""
        return self._calibration

    def health(self) -> Health:
        """How it is now; may be asked from any thread, open or not."""
        with self._news:
            arrivals_s = list(self._arrivals_s)
        span_s = arrivals_s[-1] - arrivals_s[0] if len(arrivals_s) > 1 else 0.0
        quiet_s = time.monotonic() - arrivals_s[-1] if arrivals_s else math.inf
        span_s += max(0.0, quiet_s - span_s)  # silence counts once it is longer than the window
        picture, frozen = self._newest, self._frozen.reason
        return Health(
            device=self._source.device,
            problem=self._problem or (f"it is frozen: {frozen}" if frozen else ""),
            frozen=bool(frozen),
            rate_hz=(len(arrivals_s) - 1) / span_s if span_s > 0.0 and arrivals_s else 0.0,
            age_s=self._clock.now_s() - picture.stamp_s if picture else math.inf,
            pictures=self._pictures,
            dropped=self._dropped,
            reconnects=self._reconnects,
            clock_restarts=self._times.restarts,
            temperature_c=self._source.temperature_c() if not self._problem else None,
        )

    def close(self) -> None:
        """Stop delivering and let the device go; twice is safe."""
        self._stop.set()
        with self._news:
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join()
            atexit.unregister(self.close)
        self._thread = None
        self._source.close()
        self._problem = _CLOSED

    def _ask_for_one(self) -> None:
        """A picture that nobody has had yet, as of now: a file on demand has no time of its own."""
        with self._news:
            if not self._unread:
                self._asked = True
                self._news.notify_all()
                self._news.wait_for(lambda: self._unread or self._problem, self._settings.silence_s)
            if self._unread and self._newest is not None:
                self._newest = replace(self._newest, stamp_s=self._clock.now_s())
            self._unread = False

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._stream()
            except (CameraSetupError, EndOfRecordingError) as error:
                self._hopeless = True
                self._lost(str(error))
                return
            except Exception as error:  # whatever it is, the thread lives on and says it
                self._lost(_words(error))
            self._source.close()
            if not self._stop.is_set():
                self._reopen()

    def _reopen(self) -> None:
        since_s, said = time.monotonic(), ""
        while not self._stop.wait(self._settings.reconnect_s):
            try:
                self._begin()
            except Exception as error:
                if _words(error) != said:
                    said = _words(error)
                    _log.warning("%s", self._about(f"{said}; trying again"))
                continue
            self._reconnects += 1
            away_s = time.monotonic() - since_s
            _log.warning("%s", self._about(f"it is back after {away_s:.1f} s"))
            return

    def _begin(self) -> None:
        """Open the source and forget what was known about its clock and pictures."""
        try:
            self._source.open()
        except Exception:
            self._source.close()
            raise
        with self._news:
            self._times.reset()
            self._frozen.reopened()
            self._arrivals_s.clear()
            self._number, self._problem = None, ""

    def _lost(self, problem: str) -> None:
        if not self._stop.is_set():
            _log.error("%s", self._about(problem))
        with self._news:
            self._problem = problem
            self._news.notify_all()

    def _stream(self) -> None:
        """Read until told to end; raises when the device must be opened anew."""
        heard_s = well_s = time.monotonic()
        patience_s = self._settings.start_s
        while not self._stop.is_set():
            if self._source.on_demand:
                with self._news:
                    if not self._asked:
                        self._news.wait(_POLL_S)
                        heard_s = well_s = time.monotonic()
                        continue
            shot = self._source.read(_POLL_S)
            now_s = time.monotonic()
            if shot is not None:
                heard_s, patience_s = now_s, max(self._settings.silence_s, _POLL_S)
                self._take(shot)
            if now_s - heard_s > patience_s:
                raise CameraError(f"it sent no picture within {patience_s} s")
            if not self._frozen.reason:
                well_s = now_s
            elif now_s - well_s > self._settings.reconnect_s:
                raise CameraError(f"it is frozen: {self._frozen.reason}; opening it anew")

    def _take(self, shot: Shot) -> None:
        arrival_s = self._clock.now_s()
        whole = self._given or self._source.calibration()
        self._check(shot, whole)
        was_frozen = bool(self._frozen.reason)
        self._frozen.seen(shot.pixels, shot.device_s)
        if self._frozen.reason and not was_frozen:
            _log.error("%s", self._about(f"it is frozen: {self._frozen.reason}"))
        stamp_s = arrival_s
        if shot.age_s is not None:
            stamp_s = arrival_s - shot.age_s
        elif shot.device_s is not None and not self._source.on_demand:
            stamp_s = self._times.to_cell_s(shot.device_s, arrival_s)
        previous = self._newest
        if (
            previous is not None and previous.stamp_s <= arrival_s
        ):  # else the cell's clock went back
            stamp_s = max(stamp_s, min(arrival_s, previous.stamp_s + 1e-6))
        pixels = self._view.colour(shot.pixels)
        depth_mm = None if shot.depth_mm is None else self._view.depth(shot.depth_mm)
        for array in (pixels, depth_mm):
            if array is not None:
                array.flags.writeable = False
        with self._news:
            if self._number is not None and shot.number is not None:
                self._dropped += max(0, shot.number - self._number - 1)
            self._number = shot.number
            self._pictures += 1
            self._arrivals_s.append(time.monotonic())
            self._calibration = None if whole is None else self._view.calibration(whole)
            self._newest, self._asked = Picture(pixels, depth_mm, stamp_s), False
            self._unread = True
            self._news.notify_all()

    def _check(self, shot: Shot, whole: Calibration | None) -> None:
        height_px, width_px = shot.pixels.shape[:2]
        trouble = self._view.trouble(width_px, height_px)
        if whole is not None and (whole.width_px, whole.height_px) != (width_px, height_px):
            trouble = (
                f"the calibration is of {whole.width_px} x {whole.height_px} px, the camera "
                f"delivers {width_px} x {height_px}: calibrate at that size"
            )
        if trouble:
            raise CameraSetupError(trouble)

    def _about(self, problem: str) -> str:
        return f"camera {self.name!r} ({self._source.device}): {problem}"


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, CameraError) else repr(error)
