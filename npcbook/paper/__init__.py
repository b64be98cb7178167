"""The paper's printed numbers as data: what they imply, and a run's values beside them."""

import lazy_loader as lazy

# Names are looked up when they are first used, so that reading a table does not wait for a network's library.
__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "comparison": ["compare", "ledger", "printed_decimals", "read_run_values"],
        "implied": ["FirthTwoArm", "ImpliedCorrelation", "Interval", "RateEvents", "WaldCheck",
            "events_from_hr", "events_from_rate", "fewest_events", "firth_two_arm", "implied_correlation",
            "mixing_share", "rate_interval_kinds", "two_rate_p", "wald_from_ci"],
        "printed": ["check_id", "lookup", "pair_correlation", "parse_number", "printed_interval",
            "printed_wald", "read_claims", "read_published", "read_register"],
    },
)  # fmt: skip
