"""From MRI voxels to the treatment question in stage II nasopharyngeal carcinoma."""

import os

__version__ = "0.1.0"
# PyTorch asks for large arrays in large pages of memory: an eighth of a training's time goes into small ones.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
