"""The agent's papers: which weights act, by what certificate, and that the guard is shown both."""

from pathlib import Path

import rospy

from handful.config import build
from handful.msg import Credential as CredentialMessage
from handful.rig import digest
from handful.rig.certificate import claims
from handful.rig.gatekeeper import LEARN, Credential, Gatekeeper, NotCertified
from handful.rig.lineage import began_with
from handful.rig.settings import RigSettings
from handful.wire.node import Level
from handful.wire.papers import gate_settings, standing, to_message
from handful.wire.parameters import values
from handful.workflow.errors import RunError
from handful.workflow.recipe import Recipe
from handful.workflow.run_folder import RunFolder, find_checkpoint

FOLDER = "validation"  # of a run, where its certificate lies too


class AgentPapers:
    """Reads the certificate for itself, and shows the guard what acts.

    A certificate speaks of weights, and weights change while learning: there it is asked for those
    that learning began with (``RUN/validation/lineage.json`` remembers them over a restart), for
    what makes it safe, and for so many updates (``gate.valid_updates``).
    """

    def __init__(self, run: RunFolder, recipe: Recipe, mode: str) -> None:
        self._run, self._mode, self._task = run, mode, recipe.task
        given, name = values("rig")
        limits = recipe.rig.guard if given is None else build(RigSettings, given, name).guard
        self.keeper = Gatekeeper(
            gate_settings(),
            claims(
                recipe.rig.model_copy(update={"guard": limits}),
                recipe.task,
                recipe.task_settings.model_dump(mode="json"),
            ),
        )
        self.weights, self.updates = self._began_with()
        self._shown = -1
        self._mouth = rospy.Publisher(
            "agent/credential", CredentialMessage, queue_size=1, latch=True
        )
        if reason := self.keeper.settings.without_certificate:
            rospy.logwarn("agent: acts without a certificate: %s", reason)
        if mode != "collect":
            self.show(self.updates)

    @property
    def about(self) -> dict[str, str]:
        """What every episode's log says about it; empty where no certificate is asked for."""
        reason = self.keeper.settings.without_certificate
        said = {"certificate": self.keeper.id, "without_certificate": reason}
        return {key: value for key, value in said.items() if value}

    def check(self) -> None:
        """Before the first motion. Raises ``NotCertified`` with the reason."""
        if trouble := self.trouble(self.updates):
            raise NotCertified(f"{trouble}; handful validate {self._run}")

    def still(self, path: Path) -> None:
        """That the file which was read just now holds the weights that were looked at before.

        Raises ``NotCertified``: somebody replaced it in between.
        """
        if digest.weights(path) != self.weights:
            raise NotCertified(f"{path}: was replaced while it was read; start again")

    def forbids(self, barred: str, updates: int) -> str:
        """Why no episode may begin now; empty: one may. barred: what the guard says to that."""
        if self._mode == "collect":
            return ""
        updates = max(updates, self.updates)
        if updates != self._shown:
            self.show(updates)
        return self.trouble(updates) or barred

    def trouble(self, updates: int) -> str:
        """What is wrong with acting with weights of so many updates; empty: nothing."""
        if self.keeper.open or self._mode == "collect":
            return ""
        said = self.keeper.trouble(self._mode, self.weights, updates)
        return f"not certified: {said}" if said else ""

    def show(self, updates: int) -> None:
        """Tell the guard what acts; it hears it again whenever it is started anew."""
        self._shown = updates
        self._mouth.publish(
            to_message(
                Credential(
                    self._mode,
                    self._task,
                    self.weights,
                    self.keeper.id,
                    updates,
                    self.keeper.settings.without_certificate,
                )
            )
        )

    def report(self) -> tuple[Level, str, dict[str, str]]:
        """For diagnostics."""
        told = {"certificate": self.keeper.id, "weights": self.weights, "task": self._task}
        trouble = self.trouble(max(self._shown, 0))
        return standing(self.keeper, trouble, self.keeper.settings.without_certificate, told)

    def _began_with(self) -> tuple[str, int]:
        """Digest and updates of the weights that the certificate has to be about."""
        if self._mode == "collect":
            return "", 0
        try:
            _, path = find_checkpoint(self._run.path)
        except RunError:
            return "", 0
        weights, updates = digest.weights(path), digest.updates(path)
        held = self.keeper.certificate
        if self._mode == LEARN and held is not None:
            weights = began_with(self._run.path / FOLDER, weights, held)
        return weights, updates
