"""Pictures and pages made from arrays."""
