"""Array utilities for both libraries, independent of any model."""
