"""Who answers a conversation."""
