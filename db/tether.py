"""A child process that does not outlive its parent: run as a script between the parent and the program.

`command()` wraps a program's argv. The wrapper drops privileges if asked, asks the kernel for a signal at the parent's death
(Linux `PR_SET_PDEATHSIG`: works even for `kill -9` of the parent) and then *becomes* the program, so that the pid is the program's.
A script instead of `preexec_fn`, because Python code between fork and exec may deadlock in a process with threads.

The kernel watches the parent's **thread** that started the child: start children only from a thread that lives as long as they should.
Other systems have no such signal: there a killed parent leaves its children to be ended at the next start.
"""

import ctypes  # at the top: once root's rights are dropped, the interpreter's own folder may be out of reach
import os
import pwd
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
CANNOT_RUN = 126  # what a shell answers for a program that is there but may not be run


def command(argv: Sequence[str], *, at_parent_death: signal.Signals, user: str | None = None) -> list[str]:
    """The argv that runs `argv` tied to this process: it gets the signal when we die. `user` drops root's rights first."""
    # -I -S: none of the environment's Python settings and no site-packages, so it starts in hundredths of a second.
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(at_parent_death)), user or "", *argv]


def _drop_to(user: str) -> None:
    entry = pwd.getpwnam(user)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def _die_with(parent: int, signal_number: int) -> None:
    """Asks for the signal, after any change of user because that clears the request, and looks whether it came too late."""
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(0)


def main(arguments: Sequence[str]) -> None:
    """Becomes the program. Exits with 126 and one line when the program cannot be run."""
    parent, signal_number, user, *argv = arguments
    try:
        if user:
            _drop_to(user)
        _die_with(int(parent), int(signal_number))
        os.execv(argv[0], argv)
    except (OSError, KeyError) as error:
        print(f"cannot run {argv[0]}{f' as {user}' if user else ''}: {error}", file=sys.stderr)  # noqa: T201 - it is a program, and all that is left of it
        sys.exit(CANNOT_RUN)


if __name__ == "__main__":
    main(sys.argv[1:])
