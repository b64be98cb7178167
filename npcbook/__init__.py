"""From MRI voxels to the treatment question in stage II nasopharyngeal carcinoma."""

import os

__version__ = "0.1.0"
# Linux: large pages for what PyTorch allocates from its first array on; small ones take an eighth more time.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
