"""Recorded bags to episodes: what was seen, asked and sent, put together as the listener does live.

Messages are read as our own types, by the digest of their definition, so nothing in a bag decides
what code is run. An action that names the moments of what it was made from is given exactly that;
one that does not (a person's) is given what was newest when it was recorded.
"""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rosbag
from pydantic import Field
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

import handful.msg as wire
from handful.config import Settings, load
from handful.rig.camera import CameraError
from handful.rig.episodes import EpisodeLog
from handful.rig.observe import Observer
from handful.rig.picture_codec import Pictures
from handful.rig.settings import RigSettings
from handful.wire import messages
from handful.wire.lenses import Lenses
from handful.wire.listen import _ENDS, Listener
from handful.wire.places import Places

_KEPT_S = 10.0


class BagError(RuntimeError):
    """A bag that cannot become episodes; the message names the bag, the topic and why."""


class BagTopics(Settings):
    """Which topic is what; see ``config/data/bag.yaml``."""

    cameras: dict[str, str] = Field(default_factory=dict)
    arm: str = "arm/state"
    action: str = "agent/action"
    verdict: str = "guard/verdict"
    episode: str = "episode"
    places: str = "judge/places"
    source: str = "agent"
    patience_s: float = Field(default=2.0, gt=0.0, le=60.0)


def read_bags(
    bags: list[Path], out: Path, rig: str, topics: str, task: str | None, pictures: Pictures
) -> list[str]:
    """Write a session of ``bags``, in their order.

    Args:
        rig, topics: settings files or shipped profiles.
    Returns:
        Notes: what was left out, and why.
    Raises:
        BagError: no bag, a topic that is not there or of another type, a clock that runs backwards.
    """
    cell, named = load(RigSettings, rig), load(BagTopics, topics)
    unknown = sorted(set(named.cameras) - set(cell.cameras))
    if unknown:
        raise BagError(
            f"{topics}: names the camera {unknown[0]!r}; the rig has {', '.join(cell.cameras)}"
        )
    meta: dict[str, Any] = {
        "source": named.source,
        "from": "bag",
        "rig": cell.model_dump(mode="json"),
    }
    if lenses := _lenses(bags, cell, named):
        meta["calibration"] = lenses
    if task:
        meta["task"] = task
    notes: list[str] = []
    with EpisodeLog(out, Observer(cell).spec, meta, pictures) as log:
        for path in bags:
            player = _Player(cell, out, log, named, path)
            player.play()
            if player.missing:
                notes.append(
                    f"{path}: {player.missing} actions whose pictures, state or verdict are not in "
                    "the bag; their episodes end before them"
                )
    return notes


def _lenses(bags: list[Path], cell: RigSettings, named: BagTopics) -> dict[str, Any]:
    """What the bags' ``camera_info`` and ``/tf_static`` say about the cameras; bags without: none.

    Raises:
        BagError: a bag that cannot be read.
    """
    found = Lenses(cell.cameras)
    infos = {
        f"{_pictures_of(name, named).rpartition('/')[0]}/camera_info": name for name in cell.cameras
    }
    waiting = dict(infos)
    for path in bags:
        try:
            with rosbag.Bag(str(path)) as bag:
                there = list(bag.get_type_and_topic_info().topics)
                for topic in there:
                    name = waiting.get(topic.strip("/"))
                    if name is None and topic.strip("/") != "tf_static":
                        continue
                    for _, (_, data, digest, *_), _ in bag.read_messages([topic], raw=True):
                        if name is None and digest == TFMessage._md5sum:
                            found.frames(TFMessage().deserialize(data))
                        elif name is not None and digest == CameraInfo._md5sum:
                            found.info(CameraInfo().deserialize(data), name)
                            waiting.pop(topic.strip("/"))
                            break  # the first speaks for the session
        except rosbag.ROSBagException as error:
            raise _unreadable(path, error) from None
    return found.calibration()


def _pictures_of(camera: str, named: BagTopics) -> str:
    return (named.cameras.get(camera) or f"{camera}/color/image_raw").strip("/")


def _unreadable(path: Path, error: Exception) -> BagError:
    return BagError(
        f"{path}: cannot be read ({error}); a bag that was cut off is mended by rosbag reindex"
    )


class _Player(Listener):
    """The listener with a bag in the place of the topics: nobody waits, and time is the bag's."""

    def __init__(
        self, rig: RigSettings, folder: Path, log: EpisodeLog, topics: BagTopics, path: Path
    ) -> None:
        super().__init__(rig, folder, log, topics.source)
        self._topics, self._path, self._patience_s = topics, path, 0.0
        self._places = Places(topics.patience_s + _KEPT_S)
        self._waiting: deque[tuple[float, Any]] = deque()
        self._newest: dict[str, float] = {}
        self._arrived: dict[str, deque[tuple[float, float]]] = {n: deque() for n in self._heard}
        for name in self._heard:
            self._heard[name] = deque()  # what is old enough goes by time, not by number

    def _listen(self) -> None:
        """Nothing to subscribe to."""

    def play(self) -> None:
        """All of the bag."""
        at_s = 0.0
        for at_s, kind, message in self._messages():
            while self._waiting and self._waiting[0][0] + self._topics.patience_s < at_s:
                self._work(*self._waiting.popleft())
            self._hear(at_s, kind, message)
        for waiting in self._waiting:
            self._work(*waiting)
        self._log.fault("the bag ends here")
        self._log.end()

    def _hear(self, at_s: float, kind: str, message: Any) -> None:
        if hasattr(message, "header") and kind != "episode":
            stamp_s = messages.seconds(message.header.stamp)
            before_s = self._newest.get(kind, stamp_s)
            if stamp_s < before_s:
                raise BagError(
                    f"{self._path}: the clock of {kind} runs backwards, {stamp_s:.6f} s after "
                    f"{before_s:.6f} s; cut the bag there: rosbag filter"
                )
            self._newest[kind] = stamp_s
        if kind in self._heard:
            self._heard[kind].append(message)
            self._arrived[kind].append((at_s, messages.seconds(message.header.stamp)))
            while self._arrived[kind][0][0] < at_s - _KEPT_S - self._topics.patience_s:
                self._arrived[kind].popleft()
                self._heard[kind].popleft()
        elif kind == "verdict":
            self._on_verdict(message)
        elif kind == "places":
            self._places.hear(message)
        else:
            self._waiting.append((at_s, message))

    def _work(self, at_s: float, message: Any) -> None:
        try:
            if isinstance(message, wire.Action):
                if not message.parts:
                    message.parts = self._seen_at(at_s)
                self._on_action(message)
                return
            ends = message.phase in _ENDS and self._open is not None and self._begun
            if ends and self._last is None and self._never_rests():
                self._last = self._observe(wire.Action(parts=self._seen_at(at_s)))
            self._on_episode(message)
        except CameraError as error:
            self.missing += 1
            if self._begun:
                self._log.fault(str(error))
                self._begun = False

    def _never_rests(self) -> bool:
        """Whether the sender's end of an episode is no message of its own: a person's is not."""
        return not any(isinstance(m, wire.Action) and m.rest for _, m in self._waiting)

    def _seen_at(self, at_s: float) -> list[Any]:
        """The newest stamps of every camera and the arm that had come in by then."""
        found = []
        for name in (*self._rig.cameras, "arm"):
            stamps = [s for came_s, s in self._arrived[name] if came_s <= at_s]
            if not stamps:
                raise CameraError(f"{name}: nothing was heard before {at_s:.3f} s")
            found.append(messages.stamp(stamps[-1]))
        return found

    def _messages(self) -> Iterator[tuple[float, str, Any]]:
        """(bag time [s], what it is, message) of every message that counts, in bag order."""
        named = self._topics
        kinds: dict[str, tuple[str, Any]] = {
            _pictures_of(name, named): (name, Image) for name in self._rig.cameras
        }
        kinds |= {
            named.arm.strip("/"): ("arm", wire.ArmState),
            named.action.strip("/"): ("action", wire.Action),
            named.verdict.strip("/"): ("verdict", wire.Verdict),
            named.episode.strip("/"): ("episode", wire.Episode),
            named.places.strip("/"): ("places", TFMessage),
        }
        try:
            with rosbag.Bag(str(self._path)) as bag:
                there = {topic.strip("/") for topic in bag.get_type_and_topic_info().topics}
                for topic, (kind, _) in kinds.items():
                    if topic not in there and kind not in ("episode", "places"):
                        raise BagError(
                            f"{self._path}: has no topic {topic} ({kind}); it has "
                            f"{', '.join(sorted(there)[:12])}; name it with --topics"
                        )
                for topic, (datatype, data, digest, *_), at in bag.read_messages(raw=True):
                    kind, cls = kinds.get(topic.strip("/"), ("", None))
                    if cls is None:
                        continue
                    if digest != cls._md5sum:
                        raise BagError(
                            f"{self._path}: {topic} holds {datatype} of another definition, "
                            f"expected {cls._type}"
                        )
                    yield at.to_sec(), kind, cls().deserialize(data)
        except rosbag.ROSBagException as error:
            raise _unreadable(self._path, error) from None
