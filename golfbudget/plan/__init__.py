"""Planning: candidates encoded for real, their quality, and the verdict.  Modules other than `verdict` and
`results` import torch."""
