"""Remote-sensing data: records, weighted mixtures of them, and the conversations they become."""
