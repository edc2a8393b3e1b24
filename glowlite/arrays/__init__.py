"""What is done to arrays, of either library, before a model is thought of."""
