"""Variables of make that no command of an application may take: one would change make or a shell itself."""

from __future__ import annotations

# Names, and beginnings with *.
TAKEN = (
    # The shell's, the system's, Python's and those of tools.
    *("PATH", "HOME", "SHELL", "USER", "LOGNAME", "PWD", "OLDPWD", "TERM", "LANG", "LANGUAGE", "IFS"),
    *("BASH*", "DISPLAY", "EDITOR", "HOSTNAME", "LC_*", "LD_*", "PYTHON*", "SSH_*", "SUDO_*", "TMPDIR"),
    *("ANSIBLE_*", "VIRTUAL_ENV", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PIP_*", "TF_*", "XDG_*"),
    # make's own.
    *("MAKE*", "MFLAGS", "GNUMAKEFLAGS", "CURDIR", "SUFFIXES", "VPATH"),
    # The Makefile's: assigned there, or what says where and how every verb works.
    *("STDLIB", "MILLRACE", "TOOLS", "TOOLS_HASH", "TERRAFORM*", "SERVICES", "DECLARATIONS", "PLAYBOOK"),
    *("TESTS_ON_NODES", "ENV", "LIMIT", "TAGS", "YES", "PURGE", "RECREATE", "REBUILD", "DATA", "JOBS"),
)


def is_taken(variable: str) -> bool:
    """Tell whether no command may have this variable."""
    return any(variable.startswith(name[:-1]) if name.endswith("*") else variable == name for name in TAKEN)
