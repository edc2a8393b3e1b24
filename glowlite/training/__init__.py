"""Training: from a model and settings to a trained model."""
