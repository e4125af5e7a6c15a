"""Hand a command of `helpers.book` to the process that has imported everything; run it here where there is none.

Started as a file, not as a module, and with the standard library only: `python -IS ask.py execute ...` is at the server
(`helpers.book.warm`) after hundredths of a second, not after the seconds that the imports take.

Chapter: notebooks/11_runs.md
"""

import contextlib
import json
import os
import socket
import sys


def main() -> int:
    """Send words, folder, environment and this process's output; return the exit code that comes back."""
    if where := os.environ.get("HELPERS_WARM"):
        # refused or reset: the server could not import something, and the command will say what
        with contextlib.suppress(ConnectionError), socket.socket(socket.AF_UNIX) as server:
            server.connect(where)
            socket.send_fds(server, [b"!"], [1, 2])
            server.sendall(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode() + b"\n")
            return int(server.recv(16) or 1)  # nothing: the command was killed
    os.execv(sys.executable, [sys.executable, "-m", "helpers.book", *sys.argv[1:]])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # the command has had the same Ctrl-C and cleans up
        sys.exit(130)
