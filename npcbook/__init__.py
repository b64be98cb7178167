"""From MRI voxels to the treatment question in stage II nasopharyngeal carcinoma."""

__version__ = "0.1.0"
