from .comparison import (
    compare as compare,
    ledger as ledger,
    printed_decimals as printed_decimals,
    read_run_values as read_run_values,
)
from .implied import (
    FirthTwoArm as FirthTwoArm,
    ImpliedCorrelation as ImpliedCorrelation,
    Interval as Interval,
    RateEvents as RateEvents,
    WaldCheck as WaldCheck,
    events_from_hr as events_from_hr,
    events_from_rate as events_from_rate,
    fewest_events as fewest_events,
    firth_two_arm as firth_two_arm,
    implied_correlation as implied_correlation,
    mixing_share as mixing_share,
    rate_interval_kinds as rate_interval_kinds,
    two_rate_p as two_rate_p,
    wald_from_ci as wald_from_ci,
)
from .printed import (
    check_id as check_id,
    lookup as lookup,
    pair_correlation as pair_correlation,
    parse_number as parse_number,
    printed_interval as printed_interval,
    printed_wald as printed_wald,
    read_claims as read_claims,
    read_published as read_published,
    read_register as read_register,
)
