from .checking import check_cohort as check_cohort
from .columns import (
    COLUMNS as COLUMNS,
    Column as Column,
    code_covariates as code_covariates,
    covariate_names as covariate_names,
    data_dictionary as data_dictionary,
    judged_cohort as judged_cohort,
)
from .parts import (
    NEEDS as NEEDS,
    Parts as Parts,
    read_parts as read_parts,
)
from .reading import (
    Cohort as Cohort,
    image_path as image_path,
    mask_path as mask_path,
    read_cohort as read_cohort,
    read_truth as read_truth,
)
from .table import Problem as Problem
