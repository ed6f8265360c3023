"""What an environment is: topology, catalogue, secrets, and the checks that need them together."""
