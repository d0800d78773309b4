"""A librealsense recording in a camera's place: played through the SDK, converted like the live."""

from collections import deque
from pathlib import Path
from typing import Any

from handful.rig.calibration import Calibration
from handful.rig.camera import CameraError
from handful.rig.camera_settings import RecordingSettings
from handful.rig.realsense_frames import Reader, intrinsics, sdk
from handful.rig.source import CameraSetupError, EndOfRecordingError, Shot

# Played devices that are kept alive for a while. librealsense 2.59 now and then frees a playback
# device twice when it is let go while the thread that played it is still ending; it also hangs
# sometimes when it is to repeat a file by itself, which is why that is done here.
_retired: deque[Any] = deque(maxlen=4)


class RecordingSource:
    """A ``.db3`` or ``.bag`` file of librealsense (not a bag of ROS topics).

    In real time it paces itself as it was recorded; otherwise every picture is delivered, the next
    one when it is asked for, with the stamp of that moment.
    """

    def __init__(self, settings: RecordingSettings) -> None:
        self._settings, self._path = settings, Path(settings.path)
        self.device = f"recording {self._path}"
        self.on_demand = not settings.real_time
        self._pipeline: Any = None
        self._player: Any = None
        self._began = False
        self._calibration: Calibration | None = None

    def open(self) -> None:
        """Play from the beginning.

        Raises:
            CameraSetupError: no such file, or one without the streams that are wanted.
            CameraError: librealsense cannot play it.
        """
        if not self._path.is_file():
            raise CameraSetupError("there is no such file")
        if self._path.suffix not in (".db3", ".bag"):
            raise CameraSetupError("librealsense records files that end in .db3 or .bag")
        self._play()

    def read(self, timeout_s: float) -> Shot | None:
        """The next shot.

        Raises:
            EndOfRecordingError: it was played to its end and is not to be repeated.
            CameraError: librealsense cannot go on.
        """
        try:
            came, frames = self._pipeline.try_wait_for_frames(max(1, int(1e3 * timeout_s)))
            if came:
                self._began = True
                return self._reader.shot(frames)
            stopped = self._player.current_status() == sdk().playback_status.stopped
        except RuntimeError as error:
            raise CameraError(f"reading failed: {error}") from None
        if stopped and self._began:  # before the first picture it counts as stopped, too
            if not self._settings.loop:
                raise EndOfRecordingError("it has come to its end; loop: true begins it again")
            self.close()
            self._play()
        return None

    def close(self) -> None:
        """Stop playing; twice is safe."""
        if self._pipeline is not None:
            self._pipeline.stop()
            _retired.append((self._pipeline, self._player))
        self._pipeline = self._player = None

    def _play(self) -> None:
        """From the beginning, once."""
        rs, depth = sdk(), self._settings.depth
        config, pipeline = rs.config(), rs.pipeline()
        try:
            config.enable_device_from_file(str(self._path), repeat_playback=False)
            config.enable_stream(rs.stream.color)  # a stream alone is never held back for another
            if depth:
                config.enable_stream(rs.stream.depth)
            player = config.resolve(pipeline).get_device().as_playback()
            player.set_real_time(self._settings.real_time)  # before the first picture is played
            # Streams start one after the other, and on demand the first would run away meanwhile.
            if self.on_demand:
                player.pause()
            profile = pipeline.start(config)
            if self.on_demand:
                player.resume()
        except RuntimeError as error:
            if "resolve requests" in str(error):
                wanted = "colour and a depth stream; set depth: false" if depth else "colour stream"
                raise CameraSetupError(f"it does not have a {wanted}") from None
            raise CameraError(f"it cannot be played: {error}") from None
        self._pipeline, self._player, self._began = pipeline, player, False
        self._calibration = intrinsics(profile.get_stream(rs.stream.color))
        self._reader = Reader(depth, stamps_of_now=False)

    def calibration(self) -> Calibration | None:
        """Intrinsics of the colour stream, as they were recorded."""
        return self._calibration

    def temperature_c(self) -> float | None:
        """A file has none."""
        return None
