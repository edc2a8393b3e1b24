"""The networks inside couplings. They are functions and need not be invertible."""
