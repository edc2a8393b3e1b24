"""Reading and writing files: only regular files, written atomically."""
