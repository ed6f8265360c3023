"""What an editor's debugger does, over the Debug Adapter Protocol: attach, stop the service, look, go on.

Arguments: the debugger's port, a source file of the service, text of the line to stop at, the port of the
/healthz that answers by way of that line, an expression. Prints the expression's value in the stopped frame;
ends with an error when anything fails or takes more than 30 s.
"""  # noqa: INP001 - a script

from __future__ import annotations

import json
import socket
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

PATIENCE = 30  # seconds


class Session:
    """A connection to a debug adapter."""

    def __init__(self, port: int) -> None:
        """Connect to the loopback."""
        self._stream = socket.create_connection(("127.0.0.1", port), PATIENCE).makefile("rwb")
        self._seen: list[dict[str, Any]] = []
        self._number = 0

    def send(self, command: str, arguments: dict[str, Any]) -> int:
        """Send a request and return its number."""
        self._number += 1
        request = {"seq": self._number, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(request).encode()
        self._stream.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._stream.flush()
        return self._number

    def wait(self, key: str, value: object) -> dict[str, Any]:
        """Return the body of the first message not yet returned that has this value."""
        while True:
            for message in self._seen:
                if message.get(key) == value:
                    self._seen.remove(message)
                    if not message.get("success", True):
                        raise RuntimeError(message)
                    return dict(message.get("body", {}))
            self._seen.append(self._read())

    def ask(self, command: str, **arguments: object) -> dict[str, Any]:
        """Send a request and return the body of its answer."""
        return self.wait("request_seq", self.send(command, arguments))

    def _read(self) -> dict[str, Any]:
        header = self._stream.readline()
        self._stream.readline()
        message: dict[str, Any] = json.loads(self._stream.read(int(header.partition(b":")[2])))
        return message


def look(port: int, source: Path, text: str, health_port: int, expression: str) -> str:
    """Return the expression's value at the line."""
    lines = source.read_text(encoding="utf-8").splitlines()
    line = next(number for number, content in enumerate(lines, 1) if text in content)
    session = Session(port)
    session.ask("initialize", adapterID="debugpy", clientID="millrace", pathFormat="path")
    attached = session.send("attach", {"justMyCode": False})
    session.wait("event", "initialized")
    session.ask("setBreakpoints", source={"path": str(source)}, breakpoints=[{"line": line}])
    session.ask("configurationDone")
    session.wait("request_seq", attached)
    service = HTTPConnection("127.0.0.1", health_port, timeout=PATIENCE)
    service.request("GET", "/healthz")
    thread = session.wait("event", "stopped")["threadId"]
    frame = session.ask("stackTrace", threadId=thread, levels=1)["stackFrames"][0]
    found = session.ask("evaluate", expression=expression, frameId=frame["id"])["result"]
    session.ask("continue", threadId=thread)
    status = service.getresponse().status
    session.ask("disconnect", terminateDebuggee=False)
    return f"{found}, then status {status}"


if __name__ == "__main__":
    debugger, file, marked, health, wanted = sys.argv[1:]
    sys.stdout.write(look(int(debugger), Path(file), marked, int(health), wanted) + "\n")
