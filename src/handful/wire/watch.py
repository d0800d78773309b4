"""Whether the ROS master is still there, and still the one this node registered with."""

import threading
import time
import xmlrpc.client
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

_ANSWER_S = 1.0  # a master that hangs is as gone as one that died


class MasterWatch:
    """Asks the master once a second who it is, and says once, in a sentence, that it is lost.

    A node cannot tell by itself: its connections to other nodes live on without a master, and one
    that was started again does not know who is there, so new subscribers never find this node.

    uri: of the master. me: the node's name. lost: called once with the sentence. patience_s: how
    long the master may be silent. period_s: time between two questions.
    """

    def __init__(
        self,
        uri: str,
        me: str,
        lost: Callable[[str], None],
        patience_s: float = 5.0,
        period_s: float = 1.0,
    ) -> None:
        self._uri, self._me, self._lost = uri, me, lost
        self._patience_s, self._period_s = patience_s, period_s
        self._ended = threading.Event()
        self._known: tuple[int, str] | None = None
        self._thread = threading.Thread(target=self._watch, name="master_watch", daemon=True)

    def start(self) -> None:
        """Begin to ask, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; safe to call twice."""
        self._ended.set()

    def _watch(self) -> None:
        heard_s = time.monotonic()
        while not self._ended.is_set():
            try:
                sentence = self._compare(*self._who())
                heard_s = time.monotonic()
            except (OSError, xmlrpc.client.Error):
                silent_s = time.monotonic() - heard_s
                sentence = (
                    ""
                    if silent_s <= self._patience_s
                    else (
                        f"the ROS master at {self._uri} has not answered for {silent_s:.0f} s "
                        "(roscore died, or the network did); start roscore, then this node again"
                    )
                )
            if sentence:
                self._lost(sentence)
                return
            self._ended.wait(self._period_s)

    def _compare(self, pid: int, run_id: str) -> str:
        """What is wrong with this master, if anything. run_id: "" while roscore is starting."""
        if self._known is None or (self._known[0] == pid and not self._known[1]):
            self._known = (pid, run_id)
        if pid != self._known[0] or (run_id and run_id != self._known[1]):
            return (
                f"the ROS master at {self._uri} was started again (process {pid}, it was "
                f"{self._known[0]}) and does not know this node; start this node again"
            )
        return ""

    def _who(self) -> tuple[int, str]:
        """(process, run id) of whoever answers. Raises ``OSError`` when nobody does in time."""
        master: Any = xmlrpc.client.ServerProxy(self._uri, transport=_Impatient())
        with master:
            _, _, pid = master.getPid(self._me)
            code, _, run_id = master.getParam(self._me, "/run_id")
        return int(pid), str(run_id).strip() if code == 1 else ""


class _Impatient(xmlrpc.client.Transport):
    """An HTTP transport that waits a second for an answer, not for ever."""

    def make_connection(self, host: Any) -> HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = _ANSWER_S
        return connection
