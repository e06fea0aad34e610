"""Quality: models, evaluation text, and bits per byte.  Modules here import torch."""
