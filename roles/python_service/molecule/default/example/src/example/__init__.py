"""A service as small as can be: it answers with its process, its settings and what it may write."""

from __future__ import annotations

import argparse
import grp
import json
import os
import pwd
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


def writable(folder: str) -> bool:
    """Tell whether a file can be made in the folder."""
    probe = Path(folder) / "probe"
    try:
        probe.touch()
    except OSError:
        return False
    probe.unlink()
    return True


def told() -> None:
    """Print who runs this, with which settings, environment and further arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    options, rest = parser.parse_known_args()
    answer = {
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "groups": sorted(grp.getgrgid(group).gr_name for group in {os.getgid(), *os.getgroups()}),
        "config": json.loads(options.config.read_text(encoding="utf-8")),
        "third": os.environ.get("THIRD"),
        "caller": os.environ.get("SUDO_USER"),
        "rest": rest,
    }
    sys.stdout.write(json.dumps(answer))


def main() -> None:
    """Serve /healthz for ever."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    config = json.loads(parser.parse_args().config.read_text(encoding="utf-8"))
    folders = ("/etc", "/opt", "/home", "/var/tmp", f"/var/lib/{config['name']}")  # noqa: S108 - asked for, not used

    data = Path(f"/opt/millrace/{config['name']}/data/numbers.csv")

    class Handler(BaseHTTPRequestHandler):
        """Answers every request."""

        def do_GET(self) -> None:
            """Answer with JSON."""
            answer = {
                "pid": os.getpid(),
                "user": os.getuid(),
                "greeting": config["greeting"],
                "log_level": config.get("log_level", "INFO"),
                "word": os.environ.get("WORD", ""),
                "data": data.read_text(encoding="utf-8").split() if data.exists() else [],
                "writable": [folder for folder in folders if writable(folder)],
            }
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    HTTPServer(("127.0.0.1", int(config["port"])), Handler).serve_forever()
