from .patients import (
    DEFAULT_SEED as DEFAULT_SEED,
)
from .patients import (
    LATENTS as LATENTS,
)
from .patients import (
    HazardRatios as HazardRatios,
)
from .patients import (
    Margins as Margins,
)
from .patients import (
    Specification as Specification,
)
from .patients import (
    in_words as in_words,
)
from .patients import (
    simulate_table as simulate_table,
)
from .patients import (
    specification as specification,
)
from .phantom import (
    ANATOMY as ANATOMY,
)
from .phantom import (
    EFFECTS as EFFECTS,
)
from .phantom import (
    PROTOCOLS as PROTOCOLS,
)
from .phantom import (
    SHIFTED_PROTOCOLS as SHIFTED_PROTOCOLS,
)
from .phantom import (
    TISSUES as TISSUES,
)
from .phantom import (
    Anatomy as Anatomy,
)
from .phantom import (
    Effects as Effects,
)
from .phantom import (
    Protocol as Protocol,
)
from .phantom import (
    Structure as Structure,
)
from .phantom import (
    Tissue as Tissue,
)
from .phantom import (
    Traits as Traits,
)
from .phantom import (
    build_anatomy as build_anatomy,
)
from .phantom import (
    render_patient as render_patient,
)
from .phantom import (
    spin_echo_signal as spin_echo_signal,
)
from .probes import Probes as Probes
from .probes import intensity_profile as intensity_profile
from .probes import probe_volumes as probe_volumes
from .writer import (
    rebuild_anatomy as rebuild_anatomy,
)
from .writer import (
    render_again as render_again,
)
from .writer import (
    write_cohort as write_cohort,
)
