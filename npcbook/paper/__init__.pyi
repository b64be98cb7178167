from .comparison import (
    compare as compare,
)
from .comparison import (
    ledger as ledger,
)
from .comparison import (
    printed_decimals as printed_decimals,
)
from .comparison import (
    read_run_values as read_run_values,
)
from .implied import (
    FirthTwoArm as FirthTwoArm,
)
from .implied import (
    ImpliedCorrelation as ImpliedCorrelation,
)
from .implied import (
    Interval as Interval,
)
from .implied import (
    PooledArms as PooledArms,
)
from .implied import (
    RateEvents as RateEvents,
)
from .implied import (
    WaldCheck as WaldCheck,
)
from .implied import (
    events_from_hr as events_from_hr,
)
from .implied import (
    events_from_rate as events_from_rate,
)
from .implied import (
    fewest_events as fewest_events,
)
from .implied import (
    firth_two_arm as firth_two_arm,
)
from .implied import (
    implied_correlation as implied_correlation,
)
from .implied import (
    mixing_share as mixing_share,
)
from .implied import (
    pool_two_arms as pool_two_arms,
)
from .implied import (
    rate_interval_kinds as rate_interval_kinds,
)
from .implied import (
    score_spread as score_spread,
)
from .implied import (
    two_rate_p as two_rate_p,
)
from .implied import (
    wald_from_ci as wald_from_ci,
)
from .printed import (
    CHECK_COLUMNS as CHECK_COLUMNS,
)
from .printed import (
    check as check,
)
from .printed import (
    check_id as check_id,
)
from .printed import (
    lookup as lookup,
)
from .printed import (
    pair_correlation as pair_correlation,
)
from .printed import (
    parse_number as parse_number,
)
from .printed import (
    printed_interval as printed_interval,
)
from .printed import (
    printed_wald as printed_wald,
)
from .printed import (
    read_claims as read_claims,
)
from .printed import (
    read_published as read_published,
)
from .printed import (
    read_register as read_register,
)
