"""What a sensor's message looks like, for every program that sends some (docs/message-contract.md)."""
