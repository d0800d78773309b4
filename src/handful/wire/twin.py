"""The twin in the robot's place, over ROS: the very topics of the cameras and the arm.

Physics lives in a thread of its own (``handful_twin.live_thread``), which also publishes; what
comes in over ROS is only handed to it. Every stamp is the moment of the physics state that was
measured or drawn, on the wall's clock or, with ``use_sim_time``, on the ``/clock`` this publishes.
"""

import time
from typing import Any

import rospy
from handful_twin.bodies import placed
from handful_twin.live import LiveTwin, Order, Report
from handful_twin.live_thread import LiveThread
from handful_twin.settings import LiveSettings, TwinSettings
from handful_twin.stage import Stage
from handful_twin.tasks import TASKS, Task
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Bool
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from handful import msg as wire
from handful.config import ConfigError, read
from handful.contract import Frame
from handful.rig.settings import RigSettings
from handful.srv import Reset, ResetRequest, ResetResponse
from handful.wire import markers, messages, places
from handful.wire.node import Level, Node, settings
from handful.wire.twin_mounts import mounts, optical_frame, publish_mounts
from handful.wire.twin_script import ScriptedHand

_ONE_SENDER_S = 1.0  # a second node that commands the arm within so long is a mistake
_MARKERS_EVERY = 5  # reports; ten times a second at 50 Hz
_DEFAULT_TASK = "lift"


class TwinServer:
    """A live twin with its topics; ``start`` lets it live, shutdown ends it.

    Publishes CAMERA/color/image_raw and camera_info, ``arm/state``, ``joint_states``,
    ``judge/at_goal``, ``judge/places``, ``markers``, ``/tf_static`` and, with ``use_sim_time``,
    ``/clock``. Obeys ``guard/command``. Serves ``scene/reset``.

    Raises:
        ConfigError: the cell shall run at another speed than the clock everybody reads.
    """

    def __init__(
        self, node: Node, task: Task, rig: RigSettings, twin: TwinSettings, live: LiveSettings
    ) -> None:
        self._node, self._live = node, live
        self._simulated = node.clock.simulated
        if live.real_time_factor != 1.0 and not self._simulated:
            raise ConfigError(
                f"live.real_time_factor is {live.real_time_factor}, and everybody else reads "
                "the wall's clock; set use_sim_time to true, or the factor to 1.0"
            )
        self._stage = Stage(task, rig, twin)
        self._epoch_s = time.time()
        self._sender, self._sender_s, self._complaint = "", -_ONE_SENDER_S, ""
        self._reports, self._latest = 0, (time.monotonic(), 0.0)
        self._report: Report | None = None
        self._thread = LiveThread(
            LiveTwin(self._stage, live),
            self._deliver,
            self._tick if self._simulated else None,
            self._failed,
        )
        self._clock = rospy.Publisher("/clock", Clock, queue_size=1) if self._simulated else None
        self._images = {
            name: (
                _talk(f"{name}/color/image_raw", Image),
                _talk(f"{name}/color/camera_info", CameraInfo),
                messages.Intrinsics(eye.K, eye.D, eye.size.width_px, eye.size.height_px, eye.model),
            )
            for name, eye in self._stage.cameras.items()
        }
        model = self._stage.world.model
        self._joint_names = [*model.joints, *model.fingers]
        self._states = _talk("arm/state", wire.ArmState)
        self._joints = _talk("joint_states", JointState)
        self._at_goal = _talk("judge/at_goal", Bool)
        self._places = _talk(places.TOPIC, TFMessage)
        self._markers = rospy.Publisher(markers.TOPIC, MarkerArray, queue_size=1)

    def start(self) -> None:
        """Let the cell live, and listen."""
        model, eyes = self._stage.world.model, self._stage.cameras.items()
        hand = model.settings.hand.link
        cameras = {
            name: (messages.BASE_FRAME, eye.X_AC)
            if eye.attach == "base"
            else (hand, model.X_LH @ eye.X_AC)
            for name, eye in eyes
        }
        self._mounts = publish_mounts(mounts(cameras, self._stamp_s(0.0)))
        rospy.on_shutdown(self._thread.stop)
        self._thread.start()
        rospy.Subscriber(
            "guard/command", wire.Command, self._on_command, queue_size=16, tcp_nodelay=True
        )
        rospy.Service("scene/reset", Reset, self._on_reset)

    def newest(self) -> tuple[Report, float] | None:
        """The newest report and its stamp [s]; None before the first."""
        report = self._report
        return None if report is None else (report, self._stamp_s(report.arm.stamp_s))

    def report(self) -> tuple[Level, str, dict[str, str]]:
        """For diagnostics: how fast the cell lives, and what its arm does."""
        before_s, slipped_s = self._latest
        now_s, slipped_now_s = time.monotonic(), self._thread.slipped_s
        self._latest = now_s, slipped_now_s
        lost = (slipped_now_s - slipped_s) / max(now_s - before_s, 1e-3)
        report = self._report
        values = {
            "real_time_factor": f"{self._live.real_time_factor * (1.0 - lost):.2f}",
            "slipped_s": f"{slipped_now_s:.2f}",
            "commanded by": self._sender,
        }
        if report is None:
            return Level.WARN, "has not begun", values
        values |= {"holding": str(report.holding), "last_command": str(report.order)}
        if report.fault:
            return Level.ERROR, report.fault, values
        if self._complaint:
            complaint, self._complaint = self._complaint, ""
            return Level.ERROR, complaint, values
        if lost > 0.02:
            sentence = f"this machine is too slow: the cell lost {100.0 * lost:.0f} % of real time"
            return Level.WARN, sentence, values
        return Level.OK, "holds" if report.holding else "follows guard/command", values

    # From the twin's thread.

    def _deliver(self, thing: Frame | Report) -> None:
        try:
            if isinstance(thing, Frame):
                self._publish_frame(thing)
            else:
                self._publish_report(thing)
        except rospy.ROSException:
            if not rospy.is_shutdown():
                raise

    def _publish_frame(self, frame: Frame) -> None:
        image, info, lens = self._images[frame.camera]
        stamp_s, frame_id = self._stamp_s(frame.stamp_s), optical_frame(frame.camera)
        image.publish(messages.array_to_image(frame.pixels, stamp_s, frame_id))
        info.publish(messages.camera_info(lens, stamp_s, frame_id))

    def _publish_report(self, report: Report) -> None:
        self._report = report
        stamp_s = self._stamp_s(report.arm.stamp_s)
        state = messages.to_arm_state(
            report.arm, command=report.order, holding=report.holding, fault=report.fault
        )
        state.header = messages.header(stamp_s, messages.BASE_FRAME)
        # First, so that who acts on the state has heard it; and only where somebody listens.
        if self._places.get_num_connections() > 0:
            self._places.publish(places.to_places(report.truth.bodies, stamp_s))
        self._states.publish(state)
        self._joints.publish(
            JointState(
                header=messages.header(stamp_s, ""),
                name=self._joint_names,
                position=report.q.tolist(),
                velocity=report.dq.tolist(),
            )
        )
        self._at_goal.publish(Bool(report.at_goal))
        self._reports += 1
        if self._reports % _MARKERS_EVERY == 0 and self._markers.get_num_connections() > 0:
            shapes = self._stage.world.shapes
            self._markers.publish(
                MarkerArray(
                    [
                        markers.box(
                            f"{name}_{i}" if i else name,
                            part.size_m,
                            part.rgb,
                            *placed(part, where),
                            stamp_s,
                        )
                        for name, where in report.truth.bodies.items()
                        for i, part in enumerate(shapes[name])
                    ]
                )
            )

    def _tick(self, cell_s: float) -> None:
        if self._clock is not None and not rospy.is_shutdown():
            self._clock.publish(Clock(messages.stamp(self._stamp_s(cell_s))))

    def _failed(self, error: Exception) -> None:
        rospy.logfatal("twin_node: %s: %s", type(error).__name__, error)
        self._node.stop(f"twin_node: {type(error).__name__}: {error}", 1)

    # From ROS.

    def _on_command(self, message: Any) -> None:
        sender = message._connection_header.get("callerid", "?")
        now_s = time.monotonic()
        if sender != self._sender and now_s - self._sender_s < _ONE_SENDER_S:
            self._complain(f"{sender} commands the arm too, and is not obeyed: {self._sender} does")
            return
        self._sender, self._sender_s = sender, now_s
        if message.header.frame_id not in ("", messages.BASE_FRAME):
            self._complain(
                f"guard/command: in frame {message.header.frame_id!r}, "
                f"expected {messages.BASE_FRAME}; not obeyed"
            )
            return
        decided_s = self._cell_s(messages.seconds(message.header.stamp))
        goal = messages.command(message)
        self._thread.send(Order(message.sequence, decided_s, goal, message.hold, message.valid_s))

    def _on_reset(self, request: ResetRequest) -> ResetResponse:
        try:
            self._thread.reset(request.seed)
        except TimeoutError as error:
            return ResetResponse(False, str(error))
        return ResetResponse(True, f"the scene of seed {request.seed} is up")

    def _complain(self, sentence: str) -> None:
        self._complaint = sentence
        rospy.logerr_throttle(1.0, sentence)

    # Time.

    def _stamp_s(self, cell_s: float) -> float:
        if self._simulated:
            return self._epoch_s + cell_s
        return self._thread.wall_s(cell_s) + (time.time() - time.monotonic())

    def _cell_s(self, stamp_s: float) -> float:
        if self._simulated:
            return stamp_s - self._epoch_s
        return self._thread.cell_s(stamp_s - (time.time() - time.monotonic()))


def recipe_task() -> Task:
    """The task of the run: ``task_name`` of the file that ``config`` names, or the parameter.

    Raises:
        ConfigError: there is no such task, or its settings are wrong.
    """
    name, source = str(_find("task_name", _DEFAULT_TASK)), "parameter task_name"
    if path := str(_find("config", "")):
        values, source = read(path)
        name = str(values.get("task_name", name))
    kind = TASKS.get(name)
    if kind is None:
        raise ConfigError(f"{source}: no task {name!r}; there are: {', '.join(sorted(TASKS))}")
    return kind(settings(kind.settings_class, "task", kind.source()))


def _find(parameter: str, otherwise: str) -> Any:
    found = rospy.search_param(parameter)
    return otherwise if found is None else rospy.get_param(found)


def _talk(topic: str, kind: type) -> rospy.Publisher:
    return rospy.Publisher(topic, kind, queue_size=1, tcp_nodelay=True)


def main(node: Node) -> None:
    """What ``nodes/twin_node.py`` does: groups ``rig``, ``twin``, ``task`` and ``live``.

    ``~demonstrate``: true also starts the scripted demonstrator, on ``script/action``.
    """
    task, rig = recipe_task(), settings(RigSettings, "rig", "rig")
    twin = settings(TwinSettings, "twin", "twin")
    server = TwinServer(node, task, rig, twin, settings(LiveSettings, "live", "node/twin"))
    node.check("cell", server.report)
    server.start()
    if rospy.get_param("~demonstrate", False):
        ScriptedHand(node.clock, task, rig, twin, server.newest).start()
    node.spin()
