from .checking import check_cohort as check_cohort
from .columns import (
    COLUMNS as COLUMNS,
)
from .columns import (
    Column as Column,
)
from .columns import (
    code_covariates as code_covariates,
)
from .columns import (
    covariate_names as covariate_names,
)
from .columns import (
    data_dictionary as data_dictionary,
)
from .reading import (
    Cohort as Cohort,
)
from .reading import (
    image_path as image_path,
)
from .reading import (
    mask_path as mask_path,
)
from .reading import (
    read_cohort as read_cohort,
)
from .reading import (
    read_truth as read_truth,
)
from .table import Problem as Problem
