"""What tests share: a private broker, waiting for a condition, builders."""
