"""The networks inside a coupling: functions, not invertible."""
