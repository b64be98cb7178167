"""A cohort on disk: its columns, reading it, and everything that may be wrong with it."""

import lazy_loader

# What others may use stands in the stub beside this file. Names are looked up when first used, so that
# reading a table does not wait for a network's library.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
