"""The code behind the commands, which are run as `python -m glowlite.train` and so on."""
