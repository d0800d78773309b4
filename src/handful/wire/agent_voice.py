"""What the agent says about itself: the episode, its status once in a while, its diagnostics."""

import gc
import statistics
import time
from collections.abc import Callable

import rospy

import handful.msg as wire
from handful.rig.episode import EpisodeTable, Phase
from handful.rig.loop import Gate
from handful.wire.gate import AgentGate
from handful.wire.messages import header
from handful.wire.node import Level
from handful.workflow.results import quantile
from handful.workflow.robot import Tally

_EVERY_S = 0.5
_LATE_SHARE = 0.01
_PHASES = {phase: getattr(wire.Episode, phase.name) for phase in Phase}


class AgentVoice:
    """Publishes ``episode`` and ``agent/status``.

    Args:
        run: as it is called. gate: whose latencies are told. missed: beats that came late so far.
    Attributes:
        policy: version of the weights acted with. doubt: why the reward is not to be trusted.
    """

    def __init__(self, run: str, tally: Tally, gate: Gate, missed: Callable[[], int]) -> None:
        self._run, self._tally, self._gate, self._missed = run, tally, gate, missed
        self._episode = rospy.Publisher("episode", wire.Episode, queue_size=10, latch=True)
        self._status = rospy.Publisher("agent/status", wire.AgentStatus, queue_size=1, latch=True)
        self._told_s = 0.0
        self._phase: Phase | None = None
        self._note = ""
        self._number = self.policy = 0
        self.doubt: Callable[[], str] = lambda: ""

    def notice(self, table: EpisodeTable) -> None:
        """Every change of phase is told, not every step."""
        if table.phase is self._phase and table.phase is Phase.RUNNING:
            return
        if table.phase is Phase.RESETTING:
            self._number += 1
            gc.collect()  # here nobody waits
        self._phase = table.phase
        if table.last:
            reason = f": {table.fault_reason}" if table.fault_reason else ""
            number, phase = self._number, table.phase.value
            rospy.loginfo(
                "agent: episode %d: %s after %d steps%s", number, phase, table.step, reason
            )
        elif table.phase is Phase.RUNNING and self._number == 1:
            rospy.loginfo("agent: ready")
        self._episode.publish(
            wire.Episode(
                header=header(rospy.get_time(), ""),
                number=self._number,
                phase=_PHASES[table.phase],
                step=table.step,
                reward=table.reward,
                reason=table.fault_reason,
            )
        )

    def changed(self, tally: Tally, now: bool = False) -> None:
        """Something happened; told at most twice a second, and when what is waited for changes."""
        if tally.note != self._note:
            self._note, now = tally.note, True
            if tally.note:
                rospy.loginfo("agent: waiting: %s", tally.note)
        now_s = time.monotonic()
        if not now and now_s - self._told_s < _EVERY_S:
            return
        self._told_s = now_s
        latencies = self.latencies(newest=True)
        self._status.publish(
            wire.AgentStatus(
                header=header(rospy.get_time(), ""),
                mode=tally.mode,
                run=self._run,
                policy=self.policy,
                episodes=len(tally.outcomes),
                successes=tally.successes,
                steps=tally.steps,
                missed_beats=self._missed(),
                latency_median_ms=latencies.get("latency_median_ms", 0.0),
                latency_p99_ms=latencies.get("latency_p99_ms", 0.0),
                note=tally.note or self.doubt(),
            )
        )

    def latencies(self, newest: bool = False) -> dict[str, float]:
        """Median and p99 from the capture of the oldest picture to the verdict [ms].

        newest: of the last hundred actions; else of all. Empty before the first.
        """
        if not isinstance(self._gate, AgentGate):
            return {}
        values_s = list(self._gate.latencies_s if newest else self._gate.all_latencies_s)
        if not values_s:
            return {}
        return {
            "latency_median_ms": round(1e3 * statistics.median(values_s), 3),
            "latency_p99_ms": round(1e3 * quantile(values_s, 0.99), 3),
        }

    def report(self) -> tuple[Level, str, dict[str, str]]:
        """For diagnostics."""
        tally, missed = self._tally, self._missed()
        values = {
            "mode": tally.mode,
            "episodes": str(len(tally.outcomes)),
            "successes": str(tally.successes),
            "faults": str(len(tally.faults)),
            "steps": str(tally.steps),
            "missed_beats": str(missed),
            "policy": str(self.policy),
        } | {key: f"{value:.3f}" for key, value in self.latencies(newest=True).items()}
        if tally.note:
            return Level.WARN, f"waiting: {tally.note}", values
        if missed > _LATE_SHARE * max(100, tally.steps):
            return Level.WARN, f"{missed} beats came late", values
        return Level.OK, f"{tally.successes} of {len(tally.outcomes)} episodes succeeded", values
