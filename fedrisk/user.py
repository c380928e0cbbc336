"""Who is at the keyboard: the name that a recorded act of a person carries where none was given."""

import getpass
import os


def user_name() -> str:
    """Name of the login; "user NUMBER" where the system knows no name for it, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"user {os.geteuid()}"
