"""Recipes: how a state dict becomes an artifact.  Modules here import torch; reading commands do not come here."""
