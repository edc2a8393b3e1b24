"""What is read and written: only regular files, whole or not at all."""
