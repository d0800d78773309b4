"""The supervisor behind the gate: whom the gatekeeper forbids is refused, all others as before."""

from numpy.typing import ArrayLike

from handful.rig.gatekeeper import Gatekeeper, refuse_unless
from handful.rig.ruling import REFUSED, Ruling
from handful.rig.settings import RigSettings
from handful.rig.supervisor import Supervisor
from handful.rig.watch import GuardNodeSettings


class GatedSupervisor(Supervisor):
    """A ``Supervisor`` that asks a ``Gatekeeper`` first; stops, holds and rests need no papers.

    An agent that was moving and is refused falls silent as far as the watchdogs go: it is held.
    """

    def __init__(self, rig: RigSettings, watch: GuardNodeSettings, keeper: Gatekeeper) -> None:
        refuse_unless(keeper.settings, watch.sources)
        super().__init__(rig, watch)
        self.keeper = keeper

    def _judge(
        self,
        source: str,
        sender: str,
        values: ArrayLike,
        stamp_s: float,
        rest: bool,
        cell_s: float,
    ) -> Ruling:
        why = "" if rest else self.keeper.forbids(source, sender)
        if why:
            self._note(f"{source} ({sender}) is refused: {why}")
            return self._ruling(REFUSED, why)
        return super()._judge(source, sender, values, stamp_s, rest, cell_s)
