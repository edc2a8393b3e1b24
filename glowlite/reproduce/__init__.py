"""The paper's experiments, one command each: see docs/reproduce.md."""
