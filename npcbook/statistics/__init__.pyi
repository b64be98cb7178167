from .adjustment import (
    BalancingWeights as BalancingWeights,
    EValue as EValue,
    WeightedRates as WeightedRates,
    balance_table as balance_table,
    balancing_weights as balancing_weights,
    e_value as e_value,
    partial_correlation as partial_correlation,
    rate_difference as rate_difference,
    restricted_cubic_spline as restricted_cubic_spline,
    weighted_rates as weighted_rates,
)
from .calibration import (
    AbsoluteRisk as AbsoluteRisk,
    Calibration as Calibration,
    CumulativeIncidence as CumulativeIncidence,
    SampleSize as SampleSize,
    calibrate as calibrate,
    calibration_curve as calibration_curve,
    cumulative_incidence as cumulative_incidence,
    fit_absolute_risk as fit_absolute_risk,
    minimum_sample_size as minimum_sample_size,
    recalibrate as recalibrate,
    recalibration_error as recalibration_error,
)
from .concordance import (
    Concordance as Concordance,
    ConcordanceComparison as ConcordanceComparison,
    compare_c as compare_c,
    harrell_c as harrell_c,
    uno_c as uno_c,
)
from .cox import (
    CoxFit as CoxFit,
    fit_cox as fit_cox,
    univariable_cox as univariable_cox,
)
from .cutpoint import (
    Cutpoint as Cutpoint,
    optimal_cutpoint as optimal_cutpoint,
    split_statistics as split_statistics,
)
from .data import (
    RiskSets as RiskSets,
    check_column as check_column,
    check_survival as check_survival,
    estimable_columns as estimable_columns,
    read_covariates as read_covariates,
)
from .decision import (
    decision_curve as decision_curve,
    net_benefit as net_benefit,
)
from .firth import (
    FirthFit as FirthFit,
    fit_cox_or_firth as fit_cox_or_firth,
    fit_firth_cox as fit_firth_cox,
)
from .group_tests import (
    GroupTest as GroupTest,
    compare_groups as compare_groups,
    fisher_exact as fisher_exact,
    pearson_chi2 as pearson_chi2,
)
from .imputation import (
    Pooled as Pooled,
    impute_binary as impute_binary,
    pool as pool,
)
from .interaction import (
    GailSimon as GailSimon,
    InteractionTest as InteractionTest,
    continuous_interaction as continuous_interaction,
    detectable_ratio as detectable_ratio,
    gail_simon as gail_simon,
    interaction_power as interaction_power,
    likelihood_ratio as likelihood_ratio,
)
from .lasso import (
    FeatureSelection as FeatureSelection,
    LassoCox as LassoCox,
    fit_lasso_cox as fit_lasso_cox,
    select_features as select_features,
    uncorrelated_features as uncorrelated_features,
)
from .printing import (
    Difference as Difference,
    Estimate as Estimate,
    HazardRatio as HazardRatio,
    Printed as Printed,
)
from .resampling import (
    OptimismCorrected as OptimismCorrected,
    bootstrap_limits as bootstrap_limits,
    bootstrap_selection as bootstrap_selection,
    cutpoint_under_no_effect as cutpoint_under_no_effect,
    optimism_corrected_c as optimism_corrected_c,
    out_of_fold_risk as out_of_fold_risk,
    permuted_c as permuted_c,
    stratified_folds as stratified_folds,
)
from .ridge import (
    PENALTIES as PENALTIES,
    RidgeCox as RidgeCox,
    cox_loss as cox_loss,
    fit_ridge_cox as fit_ridge_cox,
)
from .survival import (
    FollowUp as FollowUp,
    KaplanMeier as KaplanMeier,
    LogRank as LogRank,
    Rate as Rate,
    RestrictedMean as RestrictedMean,
    at_risk_table as at_risk_table,
    kaplan_meier as kaplan_meier,
    logrank as logrank,
    rate_at as rate_at,
    reverse_km as reverse_km,
    rmst as rmst,
)
from .timeroc import (
    AucComparison as AucComparison,
    BrierScore as BrierScore,
    TimeDependentAuc as TimeDependentAuc,
    auc_at as auc_at,
    brier_score as brier_score,
    censoring_survival as censoring_survival,
    compare_auc as compare_auc,
)
