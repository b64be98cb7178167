"""A cohort on disk: its columns, reading it, and everything that may be wrong with it."""

import lazy_loader as lazy

# Names are looked up when they are first used, so that reading a table does not wait for a network's library.
__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "checking": ["check_cohort"],
        "columns": ["COLUMNS", "Column", "code_covariates", "covariate_names", "data_dictionary"],
        "reading": ["Cohort", "image_path", "mask_path", "read_cohort", "read_truth"],
        "table": ["Problem"],
    },
)  # fmt: skip
