"""From a model and settings to a trained one."""
