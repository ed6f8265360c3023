"""What `make` offers: one module for each verb or family of verbs."""
