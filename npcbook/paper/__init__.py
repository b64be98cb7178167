"""The paper's printed numbers as data: what they imply, and a run's values beside them."""

import lazy_loader as lazy

# Names are looked up when they are first used, so that reading a table does not wait for a network's library.
__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "checks": ["COLUMNS", "benefit_arms", "check_age", "check_baseline_tests", "check_correlations",
            "check_counts", "check_event_bounds", "check_firth", "check_intervals", "check_missing",
            "check_pooled_rates", "check_rates", "check_repeats", "check_slips", "check_subcohort",
            "events_by_rate", "events_by_row", "firth_splits", "high_risk_share", "printed_interval",
            "wald_check"],
        "comparison": ["compare", "ledger", "printed_decimals", "read_run_values"],
        "implied": ["CountTests", "FirthTwoArm", "ImpliedCorrelation", "Interval", "RateEvents",
            "WaldCheck", "events_from_hr", "events_from_rate", "fewest_events", "firth_two_arm",
            "implied_correlation", "mixing_share", "rate_interval_kinds", "table_tests", "two_rate_p",
            "wald_from_ci"],
        "printed": ["check_id", "lookup", "parse_number", "read_claims", "read_published", "read_register"],
    },
)  # fmt: skip
