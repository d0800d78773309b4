"""The agent's process: newest pictures and arm state to an action, at a beat, and what came of it.

Learning is not in here: ``learner_node`` learns in a process of its own from the log this one
writes, and this one picks its weights up (``workflow.beside``).
"""

import gc
import time
from pathlib import Path
from typing import Any

import rospy

from handful.config import ConfigError
from handful.contract import Observation
from handful.rig.beat import FrameBeat
from handful.rig.camera import Camera
from handful.rig.cell import CellEnv
from handful.rig.episode import EpisodeTable
from handful.rig.gatekeeper import NotCertified
from handful.rig.loop import ControlLoop, Gate
from handful.rig.operator import OperatorSettings
from handful.rig.picture_codec import WITHIN
from handful.wire.agent_papers import AgentPapers
from handful.wire.agent_reward import AgentReward
from handful.wire.agent_settings import AgentNodeSettings
from handful.wire.agent_voice import AgentVoice
from handful.wire.gate import AgentGate, GuardWatch, WatchGate
from handful.wire.lenses import LiveLenses
from handful.wire.listen import Listener
from handful.wire.node import Level, Node, settings
from handful.wire.parameters import values
from handful.wire.places import Places
from handful.wire.scene import EventJudge, RosScene
from handful.wire.senses import PictureArrivals, TopicArm
from handful.wire.topic_camera import TopicCamera
from handful.workflow.beside import Pulse
from handful.workflow.data.about import about
from handful.workflow.errors import sentence
from handful.workflow.interrupt import Interrupt
from handful.workflow.parts import load_learner, torch_device
from handful.workflow.recipe import Options, Recipe, resolve
from handful.workflow.results import write_json
from handful.workflow.robot import Actor, Beside, Tally, collect_on, evaluate_on, learn_on
from handful.workflow.run_folder import RunFolder, find_checkpoint

MODES = ("evaluate", "learn", "collect")  # and listen, which is no server
_LENSES_S = 3.0  # so long is waited for camera_info and /tf_static before the first episode


class AgentServer:
    """One agent on one run, from start to end; ``work`` returns when its mode is done."""

    def __init__(
        self, node: Node, run: RunFolder, mode: str, interrupt: Interrupt | None = None
    ) -> None:
        if mode not in MODES:
            raise ConfigError(f"~mode: {mode!r}; there are {', '.join(MODES)} and listen")
        self.node, self.run, self.mode = node, run, mode
        self.interrupt = interrupt or Interrupt()
        self.recipe = _recipe(run)
        self.own = settings(AgentNodeSettings, "acting", "node/agent")
        self.tally = Tally(mode)
        self.guard, self.arm, self.judge = GuardWatch(), TopicArm(), EventJudge()
        self.gate: Gate = self._watcher() if mode == "collect" else AgentGate(self.recipe.rig)
        self.papers = AgentPapers(run, self.recipe, mode)
        self.papers.check()
        self.arrivals, self.lenses = PictureArrivals(), LiveLenses(self.recipe.rig.cameras)
        self.cameras = {
            name: TopicCamera(name, f"{name}/color/image_raw", node.clock, size)
            for name, size in self.recipe.rig.cameras.items()
        }
        self.reward = AgentReward(
            self.recipe, mode, self.judge, dict(self.cameras), *values("reward")
        )
        self.voice = AgentVoice(str(run), self.tally, self.gate, lambda: self.env.missed_beats)
        self.voice.doubt = self.reward.doubt
        self.env = self._environment()
        stored, within_s = self.recipe.train.pictures, WITHIN * self.recipe.rig.period_s
        self.actor = Actor(self.env, self.tally, self.going, self.voice.changed, stored, within_s)
        node.check("acting", self.voice.report)
        node.check("certificate", self.papers.report)
        node.check("reward", self.reward.report)

    def going(self) -> bool:
        """The node has not been asked to end."""
        return self.interrupt.asked is None and not rospy.is_shutdown()

    def work(self, *, episodes: int, seed: int, steps: int, demos: int) -> dict[str, Any]:
        """Do what the mode says; what came of it, JSON-ready."""
        gc.collect()
        gc.freeze()  # what is loaded stays; only an episode's own garbage is looked through
        with self.run.lock("actor"):
            if self.mode == "evaluate":
                result = self._evaluate(episodes, seed)
            elif self.mode == "learn":
                result = self._learn(seed, steps)
            else:
                meta = self._meta("demonstration")
                have = collect_on(self.actor, lambda seen: None, self.run.demos, seed, demos, meta)  # type: ignore[arg-type,return-value]
                result = {"demos": have, "steps": self.tally.steps, "faults": self.tally.faults}
        self.tally.note = ""
        self.voice.changed(self.tally, now=True)
        return result

    # The three modes.

    def _evaluate(self, episodes: int, seed: int) -> dict[str, Any]:
        _, path = find_checkpoint(self.run.path)
        self._use_threads()
        self.actor.note(f"loading {path.name}")
        learner, extra = load_learner(path, self._device())
        self.papers.still(path)
        self.voice.policy = int(learner.updates)

        def act(observation: Observation) -> Any:
            return learner.act(observation, explore=False)

        act(self._blank())  # traced now, not at the first step
        meta = {**self._meta("policy"), "seed": seed}
        with self.actor.log(self.run.path / "ros_episodes", meta) as log:
            result = evaluate_on(self.actor, act, episodes, seed, log)
        result |= {
            "task": self.recipe.task,
            "agent": self.recipe.agent_name,
            "checkpoint": str(path),
            "env_steps": int(extra.get("env_steps", 0)),
            **self.papers.about,
            **self.voice.latencies(),
        }
        write_json(self.run.path / "ros_result.json", result)
        return result

    def _learn(self, seed: int, steps: int) -> dict[str, Any]:
        from handful.learn.checkpoint import CheckpointError
        from handful.learn.handout import Receiver

        self._use_threads()
        pulse = Pulse(self.run.standing)
        receiver: Receiver | None = None
        while receiver is None:
            if not self.going():
                return {"env_steps": 0}
            try:
                receiver = Receiver(self.run.policy, self.env.spec, self._device(), seed)
            except CheckpointError as error:
                if self.run.policy.exists():
                    raise ConfigError(str(error)) from None
                stage = pulse.standing.stage if pulse.silent_s() < 5.0 and pulse.standing else ""
                self.actor.note(f"the learner's first weights ({stage or 'no learner yet'})")
                time.sleep(0.2)
        receiver.start()

        def explore(observation: Observation, taken: int) -> Any:
            self.voice.policy = receiver.current.version
            return receiver.act(observation, True, taken)

        beside = Beside(self.own.max_learner_silence_s, self.own.max_behind_steps)
        try:
            folder, meta = self.run.episodes, self._meta("policy")
            taken = learn_on(self.actor, explore, folder, pulse, beside, seed, steps, meta)
        finally:
            receiver.close()
        tally = self.tally
        result = {
            "env_steps": taken,
            "steps": tally.steps,
            "episodes": len(tally.outcomes),
            "outcomes": [o.success for o in tally.outcomes],
            "lengths": [o.length for o in tally.outcomes],
            "faults": tally.faults,
            "missed_beats": self.env.missed_beats,
            "policy": self.voice.policy,
            **self.voice.latencies(),
        }
        write_json(self.run.path / "ros_training.json", result)
        return result

    # Making.

    def _environment(self) -> CellEnv:
        rig, own, task = self.recipe.rig, self.own, self.recipe.task_settings
        window_s = 1.0 / own.camera_rate_hz
        good_s = own.good_age_s if own.good_age_s is not None else 0.5 * window_s + 0.005
        for camera in self.cameras.values():
            camera.open()
            camera.subscribe(self.arrivals.arrived)
        self.arrivals.watch(self.cameras)
        beat = FrameBeat(self.node.clock, rig.period_s, self.arrivals, window_s, good_s)
        cameras: dict[str, Camera] = dict(self.cameras)
        loop = ControlLoop(rig, cameras, self.arm, self.node.clock, self.gate, beat)
        scene = RosScene(
            self._forbids,
            self.judge,
            self.going,
            self._note,
            self._fresh,
            "scene/reset" if own.reset == "service" else "",
        )
        source, hold = self.reward.of(loop.spec)
        table = EpisodeTable(int(getattr(task, "horizon_steps", 100)), hold)
        told = Places().listen().told  # in the twin alone; on an arm nobody knows
        truth = self.reward.truth(self.judge.knows)
        return CellEnv(loop, table, scene, self.judge, self.voice.notice, source, told, truth)

    def _watcher(self) -> WatchGate:
        rig, pause_s, called = self.recipe.rig, self.own.max_pause_s, self.judge.called
        return WatchGate(rig, self.arm, pause_s, called, self.going, self._note)

    def _note(self, text: str) -> None:
        self.actor.note(text)

    def _forbids(self) -> str:
        """The guard, and both sides' look at the certificate, before every episode."""
        return self.guard.forbids or self.papers.forbids(self.guard.barred, self.voice.policy)

    def _fresh(self, since_s: float) -> bool:
        message = self.arm.message
        return (
            message is not None
            and message.header.stamp.to_sec() > since_s
            and self.arrivals.oldest_s() > since_s
        )

    def _blank(self) -> Observation:
        import numpy as np

        spec = self.env.spec
        shape = (spec.height_px, spec.width_px, 3 * spec.frame_stack)
        return Observation(
            {name: np.zeros(shape, np.uint8) for name in spec.cameras},
            np.zeros(spec.state_dim, np.float32),
            0.0,
        )

    def _meta(self, source: str) -> dict[str, Any]:
        """What every episode's log says of this session: task, cell, person, cameras, papers."""
        self.actor.note("the cameras' calibration")
        missing = self.lenses.wait(_LENSES_S)
        self.lenses.close()
        if missing:
            rospy.logwarn(
                "agent: recorded without what was not heard within %g s: %s",
                _LENSES_S,
                ", ".join(missing),
            )
        self.actor.note("")
        person = settings(OperatorSettings, "operator", "node/operator").person
        named = None if person == OperatorSettings().person else person
        meta = about(self.recipe, source, named, self.lenses.calibration())
        if device := _found("teleop/device"):
            meta["device"] = str(device)
        return meta | self.papers.about

    def _device(self) -> str:
        return torch_device(None if self.own.device == "auto" else self.own.device)

    def _use_threads(self) -> None:
        import torch

        torch.set_num_threads(self.own.threads)


def _found(parameter: str) -> Any:
    name = rospy.search_param(parameter)
    return None if name is None else rospy.get_param(name)


def main(node: Node) -> None:
    """What ``nodes/agent_node.py`` does: ``~run``, ``~mode``, ``~episodes``, ``~seed``.

    It ends when the mode is done; the guard, the arm and the cameras go on. With ``~stay`` it stays
    and does nothing more, for launch files that bring it back whenever it ends.
    """
    # Asked to end, it ends its episode first: the guard is told, the log says why.
    interrupt = Interrupt()
    try:
        with interrupt:
            result = _work(node, interrupt)
    except Exception as error:
        line = sentence(error)
        if line is None:
            raise
        if isinstance(error, NotCertified) and rospy.get_param("~stay", False):
            return _stand_by(node, line)
        raise ConfigError(line) from None
    told = {key: value for key, value in result.items() if not isinstance(value, list | dict)}
    rospy.loginfo("agent: %s", told)
    if interrupt.asked is not None or not rospy.get_param("~stay", False):
        node.stop("the agent is done")


def _stand_by(node: Node, line: str) -> None:
    """Say why it does not act, and stay: being brought back again would change nothing."""
    rospy.logfatal("agent: %s", line)
    node.check("certificate", lambda: (Level.ERROR, line, {}))


def _work(node: Node, interrupt: Interrupt) -> dict[str, Any]:
    given = rospy.get_param("~run", "")
    if not given:
        raise ConfigError("~run: no run folder given; roslaunch handful ... run:=/path/to/run")
    if rospy.get_param("~mode", "") == "listen":
        return _listen(RunFolder(Path(given)), interrupt)
    mode = str(rospy.get_param("~mode", "evaluate"))
    server = AgentServer(node, RunFolder(Path(given)), mode, interrupt)
    recipe = server.recipe
    return server.work(
        episodes=int(rospy.get_param("~episodes", 50)),
        seed=int(rospy.get_param("~seed", recipe.seed)),
        steps=int(rospy.get_param("~steps", recipe.train.steps)),
        demos=int(rospy.get_param("~demos", recipe.train.demos)),
    )


def _listen(run: RunFolder, interrupt: Interrupt) -> dict[str, Any]:
    listener = Listener(_recipe(run).rig, run.path / "heard")
    rospy.loginfo("agent: listening")
    written = listener.run(lambda: interrupt.asked is None and not rospy.is_shutdown())
    return {"episodes": written, "missing": listener.missing}


def _recipe(run: RunFolder) -> Recipe:
    values = run.read_config()
    if values is None:
        raise ConfigError(f"~run: {run.config}: no such file; `handful collect` makes a run")
    return resolve(Options(), values, str(run.config))
