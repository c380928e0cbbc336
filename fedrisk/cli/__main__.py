"""``python -m fedrisk.cli`` is the command ``fedrisk``."""

from fedrisk.cli import main

if __name__ == "__main__":
    main()
