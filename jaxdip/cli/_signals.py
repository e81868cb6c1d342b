"""The signals by which a user or a scheduler asks a long job to stop."""

import os
import signal
import sys
import threading

from jaxdip.cli._runtime import INTERRUPTED

#: The exit status that asks a scheduler to start the job again.
CONTINUE = 75


class Signals:
    """Notes the signals by which a user or a scheduler asks to stop."""

    _ASKING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)

    def __init__(self, grace: float):
        self.seen: int | None = None
        self._grace = grace
        self._timer: threading.Timer | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            for number in self._ASKING:
                self._before[number] = signal.getsignal(number)
                signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: object) -> None:
        name = signal.Signals(number).name
        if self.seen is not None:
            # Asked for twice: what is committed is safe, the rest is computed again.
            self._abandon()
        self.seen = number
        self._timer = threading.Timer(self._grace, self._abandon)
        self._timer.daemon = True
        self._timer.start()
        print(f"jaxdip: {name}: stopping after the units in flight", file=sys.stderr, flush=True)

    def _abandon(self) -> None:
        """Leaves at once: no thread can be ended while it computes."""
        status = INTERRUPTED if self.seen == signal.SIGINT else CONTINUE
        print("jaxdip: the units in flight are abandoned", file=sys.stderr, flush=True)
        os._exit(status)

    def __exit__(self, *error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]
