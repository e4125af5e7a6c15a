"""One process imports what chapters import; the commands that execute them, and their kernels, are forked from it.

Of executing a chapter at smoke most was importing: torch, pandas and the drawing libraries in each kernel, papermill
and jupytext in the process beside it. A fork has them at once. A kernel is always forked from the process that executes
its chapter, whether that was forked itself or started by hand: there is one way to start one.

Source: jupyter_client's provisioners. Chapter: notebooks/11_runs.md
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.metadata
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

# What most chapters and the process that executes them take long to import.
IMPORTS = ("papermill", "jupytext", "ipykernel.kernelapp", "torch", "seaborn", "helpers.show", "helpers.book.jobs")
LONGEST = 60  # characters of a folder in which sockets can lie


def sockets() -> tempfile.TemporaryDirectory:
    """A folder for sockets, whose paths may have 107 characters: not in a TMPDIR that is longer than a few folders."""
    return tempfile.TemporaryDirectory(dir="/tmp" if len(tempfile.gettempdir()) > LONGEST else None)


@contextlib.contextmanager
def server(imports: Sequence[str] = IMPORTS) -> Iterator[None]:
    """Let `ask.py` find a process that has imported everything, for as long as this lasts.

    It imports while the workflow engine looks for what is to be done.

    Chapter: notebooks/11_runs.md
    """
    with sockets() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(where := f"{folder}/warm")
        listener.listen(64)
        given = f"{listener.fileno()}, {tuple(imports)}, parent={os.getpid()}"
        code = f"from helpers.book import warm; warm.serve({given})"
        process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[listener.fileno()])
        listener.close()  # else nobody would notice that the server has ended
        os.environ["HELPERS_WARM"] = where
        try:
            yield
        finally:
            del os.environ["HELPERS_WARM"]
            process.terminate()
            process.wait()


def serve(number: int, imports: Sequence[str], *, parent: int) -> None:
    """Fork a process for each command; end with the parent, however that ends.

    Parameters
    ----------
    number : of the file that is the listening socket. imports : what is imported before a command comes.
    parent : number of the process that started this one.

    Chapter: notebooks/11_runs.md
    """
    from helpers import InputError
    from helpers.book import contents

    listener = socket.socket(fileno=number)
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # as a kernel does before it imports
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the commands
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system forgets those that have ended
    for name in imports:
        importlib.import_module(name)
    gc.freeze()  # no fork looks among what was imported for lost objects: statsmodels alone asks for that at each test
    listener.settimeout(1)
    while os.getppid() == parent:
        with contextlib.suppress(TimeoutError):
            connection, _ = listener.accept()
            with contextlib.suppress(InputError, OSError):  # the chapter that cannot be read says so itself
                contents.prepare()
            if not os.fork():
                listener.close()
                _command(connection)
            connection.close()


def _command(connection: socket.socket) -> None:
    """Be the command that was asked for: its folder, environment and output; say how it ended."""
    from helpers import artifacts
    from helpers.book import cli

    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        connection.setblocking(True)
        _, outputs, _, _ = socket.recv_fds(connection, 1, 2)
        words, folder, environment = json.loads(connection.makefile().readline())
        for place, output in enumerate(outputs, start=1):
            os.dup2(output, place)
            os.close(output)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        done = threading.Event()
        threading.Thread(target=_stop_with, args=(connection, done), daemon=True).start()
        code = _afresh(words) if artifacts.changed_code() else cli.main(words)
        sys.stdout.flush()
        sys.stderr.flush()
        done.set()
        with contextlib.suppress(BrokenPipeError):  # whoever asked is gone, after a Ctrl-C for one
            connection.sendall(str(code).encode())
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _afresh(words: list[str]) -> int:
    """Run a command in a process that imports what the files say now; its exit code."""
    running = subprocess.Popen([sys.executable, "-m", "helpers.book", *words])
    try:
        return running.wait()
    except KeyboardInterrupt:
        running.send_signal(signal.SIGINT)
        return running.wait()


def _stop_with(connection: socket.socket, done: threading.Event) -> None:
    """Stop the command when whoever asked for it is gone before it is done."""
    with contextlib.suppress(OSError):
        connection.recv(1)
    if not done.is_set():
        os.kill(os.getpid(), signal.SIGINT)


class Kernel:
    """A kernel, with what jupyter_client asks of a `subprocess.Popen`.

    It is forked when this is made and waits for its connection: no event loop exists yet that would be copied.
    """

    stdin: IO | None = None
    stdout: IO | None = None
    stderr: IO | None = None

    def __init__(self) -> None:
        """Fork."""
        waiting, told = os.pipe()
        self._told: int | None = told
        self.returncode: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            os.close(told)
            _be_kernel(waiting)
        os.close(waiting)

    def start(self, words: list[str], *, cwd: str, env: dict[str, str]) -> None:
        """Begin: the words of a kernel's command line after its module, its folder and environment."""
        told, self._told = self._told, None
        with open(told, "w") as pipe:  # type: ignore[arg-type]
            json.dump([words, cwd, env], pipe)

    def close(self) -> None:
        """Let it go if it was never started."""
        if self._told is not None:
            os.close(self._told)
            self.wait()

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self._ended(os.WNOHANG)

    def wait(self) -> int | None:
        """Wait for its end; the exit code."""
        return self._ended(0)

    def _ended(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it is there."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _be_kernel(waiting: int) -> None:
    with os.fdopen(waiting) as told:
        text = told.read()
    if not text:
        os._exit(0)
    words, folder, environment = json.loads(text)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(environment)
    take_threads(asked(environment.get("OMP_NUM_THREADS", "")))
    if sys.path[0] in ("", os.getcwd()):  # as ipykernel_launcher does; the shell puts the chapter's own folder there
        del sys.path[0]
    os.chdir(folder)
    from ipykernel.kernelapp import IPKernelApp

    code = 1
    try:
        IPKernelApp.launch_instance([*words, f"--IPKernelApp.parent_handle={os.getppid()}"])
        code = 0
    finally:
        os._exit(code)


def asked(threads: str) -> int:
    """How many threads OMP_NUM_THREADS asks for; of a list such as "4,2" the first counts. 0: it says nothing.

    Source: OpenMP 5.2, 21.1.2. Chapter: notebooks/11_runs.md
    """
    first = threads.partition(",")[0].strip()
    return int(first) if first.isdecimal() else 0


def take_threads(count: int) -> None:
    """Use as many threads as the environment says, which the libraries only read when they are loaded."""
    if count and "torch" in sys.modules:
        import threadpoolctl
        import torch

        threadpoolctl.threadpool_limits(count)
        torch.set_num_threads(count)


class Forked(LocalProvisioner):
    """Gives a chapter the kernel that waits for it (`forked`)."""

    waiting: Kernel | None = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start the waiting kernel, whatever the command line of the machine's kernel is."""
        if Forked.waiting is None:
            raise RuntimeError("no kernel waits to be started")
        kernel, Forked.waiting = Forked.waiting, None
        # this interpreter's kernel, whichever is called python3 on this machine
        words = ["-f", str(getattr(self.parent, "connection_file", "")), "--HistoryManager.hist_file=:memory:"]
        # nor what the user's own IPython does first; beside the sockets
        own = {"IPYTHONDIR": str(Path(str(getattr(self.parent, "ip", ""))).with_name("ipython")), "PYTHONSTARTUP": ""}
        kernel.start(words, cwd=kwargs.get("cwd") or os.getcwd(), env=kwargs["env"] | own)
        self.process = kernel  # type: ignore[assignment]
        self.pid = self.pgid = kernel.pid
        return self.connection_info

    async def send_signal(self, signum: int) -> None:
        """Pass a signal on, but not the interrupt before the end: a kernel that is done would only complain of it."""
        if not (signum == signal.SIGINT and getattr(self.parent, "shutting_down", False)):
            await super().send_signal(signum)


@contextlib.contextmanager
def forked() -> Iterator[None]:
    """Let the next kernel that is started here be a fork of this process as it is now.

    Chapter: notebooks/11_runs.md
    """
    factory = KernelProvisionerFactory.instance()
    group = KernelProvisionerFactory.GROUP_NAME
    factory.provisioners["forked"] = importlib.metadata.EntryPoint("forked", f"{__name__}:Forked", group)
    usual, factory.default_provisioner_name = factory.default_provisioner_name, "forked"
    Forked.waiting = kernel = Kernel()
    try:
        yield
    finally:
        Forked.waiting, factory.default_provisioner_name = None, usual
        kernel.close()
