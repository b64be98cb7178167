"""The synthetic cohort with its known truth: patients, phantom, writer."""

import lazy_loader as lazy

# Names are looked up when they are first used, so that reading a table does not wait for a network's library.
__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "patients": ["DEFAULT_SEED", "LATENTS", "HazardRatios", "Margins", "Specification", "in_words",
            "simulate_table", "specification"],
        "phantom": ["ANATOMY", "EFFECTS", "PROTOCOLS", "SHIFTED_PROTOCOLS", "TISSUES", "Anatomy", "Effects",
            "Protocol", "Structure", "Tissue", "Traits", "build_anatomy", "render_patient",
            "spin_echo_signal"],
        "probes": ["Probes", "intensity_profile", "probe_volumes"],
        "writer": ["rebuild_anatomy", "render_again", "write_cohort"],
    },
)  # fmt: skip
