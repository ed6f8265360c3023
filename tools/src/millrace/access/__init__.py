"""How a node is reached: SSH, commands, SQL."""
