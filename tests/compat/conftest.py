"""The script is run by its test, in a process of its own."""

collect_ignore = ["first_steps.py"]
