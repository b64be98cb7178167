"""Kernels that have loaded what every chapter loads by the time its turn comes."""

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_event_loop, run_sync

from npcbook.store import PARENT, project_path

#: What a kernel runs before its first cell: the library's imports, which take most of a short chapter's time.
LOADED = "from npcbook.book import in_short; del in_short"
# The kernel talks to this process only; its notes on sockets are noise here, and so is a history.
OPTIONS = [
    "--IPKernelApp.log_level=CRITICAL",
    "--HistoryManager.hist_file=:memory:",
    f"--IPKernelApp.exec_lines={LOADED}",
]
#: Letters of a path at which a socket may lie, less what is put behind it.
LONGEST = 95


class Kernel(AsyncKernelManager):
    """A kernel, and whoever talks to it, through files of their own: a free port may be taken meanwhile."""

    listener = None

    def __init__(self):
        super().__init__(kernel_name="python3")
        self.place = tempfile.TemporaryDirectory(prefix="npcbook-", ignore_cleanup_errors=True)
        connection = Path(self.place.name) / "kernel.json"
        # Windows has no such files, and elsewhere their paths must be short.
        if os.name != "nt" and len(str(connection)) < LONGEST:
            self.transport, self.connection_file = "ipc", str(connection)

    def client(self, **options):
        """Return a new client, whose channels are closed when the kernel ends."""
        self.listener = super().client(**options)
        return self.listener

    def end(self, *, now: bool = False) -> None:
        """Stop the kernel, dead or alive, at once if it has run nothing, and let go of its channels."""
        if now and self.has_kernel:
            run_sync(self.provisioner.kill)()  # interrupted first, as below, it would print where it was
        if self.has_kernel:
            run_sync(self.shutdown_kernel)(now=now)
        if self.listener is not None:
            self.listener.stop_channels()
        self.place.cleanup()


@dataclass
class Lane:
    """Chapters one after the other in a thread of their own; while one runs, a kernel loads for the next."""

    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    waiting: Kernel | None = None
    running: Kernel | None = None
    ended: bool = False

    def begin(self, work: Callable[[Kernel], None], later: Sequence) -> Future:
        """Begin one chapter's work; if others come `later`, the next kernel is loading meanwhile."""
        return self.thread.submit(self._do, work, later)

    def close(self) -> None:
        """Stop the chapter that runs and the kernel that is waiting; nothing begins any more."""
        self.ended = True
        if self.running and (provisioner := self.running.provisioner):
            run_sync(provisioner.kill)()
        with self.thread:
            self.thread.submit(self._leave).result()

    def _do(self, work: Callable[[Kernel], None], later: Sequence) -> None:
        kernel = self.running = self._begun()
        self.waiting = None
        try:
            if self.ended:
                raise InterruptedError("the run is over")
            if later:
                self._begun()
            work(kernel)
        finally:
            kernel.end()
            self.running = None

    def _begun(self) -> Kernel:
        """Return the kernel that is waiting, or a new one if there is none, or the system has stopped it."""
        ensure_event_loop(prefer_selector_loop=True)  # on Windows the one that papermill needs
        if self.waiting is not None and not run_sync(self.waiting.is_alive)():
            self._drop()
        if self.waiting is None:
            # The kernel ends with this process, however that ends.
            os.environ[PARENT] = str(os.getpid())
            self.waiting = Kernel()
            run_sync(self.waiting.start_kernel)(cwd=str(project_path(".")), extra_arguments=[*OPTIONS])
        return self.waiting

    def _drop(self) -> None:
        if self.waiting is not None:
            self.waiting.end(now=True)
            self.waiting = None

    def _leave(self) -> None:
        self._drop()
        ensure_event_loop().close()  # the thread's own, which ends with it
