"""The paper's experiments, each by one command: see docs/reproduce.md."""
