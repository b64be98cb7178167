from .patients import (
    DEFAULT_SEED as DEFAULT_SEED,
    LATENTS as LATENTS,
    HazardRatios as HazardRatios,
    Margins as Margins,
    Specification as Specification,
    in_words as in_words,
    simulate_table as simulate_table,
    specification as specification,
)
from .phantom import (
    ANATOMY as ANATOMY,
    EFFECTS as EFFECTS,
    PROTOCOLS as PROTOCOLS,
    SHIFTED_PROTOCOLS as SHIFTED_PROTOCOLS,
    TISSUES as TISSUES,
    Anatomy as Anatomy,
    Effects as Effects,
    Protocol as Protocol,
    Structure as Structure,
    Tissue as Tissue,
    Traits as Traits,
    build_anatomy as build_anatomy,
    render_patient as render_patient,
    spin_echo_signal as spin_echo_signal,
)
from .probes import Probes as Probes, intensity_profile as intensity_profile, probe_volumes as probe_volumes
from .writer import (
    rebuild_anatomy as rebuild_anatomy,
    render_again as render_again,
    write_cohort as write_cohort,
)
