"""What the sensors application must make of messages, in plain Python. Only tests have it; no node does."""
