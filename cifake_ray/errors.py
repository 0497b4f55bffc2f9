"""What a user is told when the command, or a file it names, is wrong, and when the work itself failed."""


class InputError(Exception):
    """The command, or a file it names, is wrong: one line (what, where, how to mend), exit code 2."""


class WorkError(Exception):
    """The input was right and the work failed: one line, exit code 1."""


class Interrupted(Exception):
    """Stopped by a signal with everything saved; the message says how to go on, exit code 130."""
