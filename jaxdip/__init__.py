"""Training dynamics of untrained networks that solve inverse problems."""
