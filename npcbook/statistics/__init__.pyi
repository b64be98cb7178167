from .adjustment import (
    BalancingWeights as BalancingWeights,
)
from .adjustment import (
    EValue as EValue,
)
from .adjustment import (
    WeightedRates as WeightedRates,
)
from .adjustment import (
    balance_table as balance_table,
)
from .adjustment import (
    balancing_weights as balancing_weights,
)
from .adjustment import (
    e_value as e_value,
)
from .adjustment import (
    partial_correlation as partial_correlation,
)
from .adjustment import (
    rate_difference as rate_difference,
)
from .adjustment import (
    restricted_cubic_spline as restricted_cubic_spline,
)
from .adjustment import (
    weighted_rates as weighted_rates,
)
from .calibration import (
    AbsoluteRisk as AbsoluteRisk,
)
from .calibration import (
    Calibration as Calibration,
)
from .calibration import (
    CumulativeIncidence as CumulativeIncidence,
)
from .calibration import (
    SampleSize as SampleSize,
)
from .calibration import (
    calibrate as calibrate,
)
from .calibration import (
    cumulative_incidence as cumulative_incidence,
)
from .calibration import (
    fit_absolute_risk as fit_absolute_risk,
)
from .calibration import (
    minimum_sample_size as minimum_sample_size,
)
from .calibration import (
    net_benefit as net_benefit,
)
from .concordance import (
    Concordance as Concordance,
)
from .concordance import (
    ConcordanceComparison as ConcordanceComparison,
)
from .concordance import (
    compare_c as compare_c,
)
from .concordance import (
    harrell_c as harrell_c,
)
from .concordance import (
    uno_c as uno_c,
)
from .cox import CoxFit as CoxFit
from .cox import fit_cox as fit_cox
from .cox import univariable_cox as univariable_cox
from .cutpoint import (
    Cutpoint as Cutpoint,
)
from .cutpoint import (
    optimal_cutpoint as optimal_cutpoint,
)
from .cutpoint import (
    split_statistics as split_statistics,
)
from .data import (
    RiskSets as RiskSets,
)
from .data import (
    check_column as check_column,
)
from .data import (
    check_survival as check_survival,
)
from .data import (
    estimable_columns as estimable_columns,
)
from .data import (
    read_covariates as read_covariates,
)
from .firth import FirthFit as FirthFit
from .firth import fit_cox_or_firth as fit_cox_or_firth
from .firth import fit_firth_cox as fit_firth_cox
from .group_tests import (
    GroupTest as GroupTest,
)
from .group_tests import (
    compare_groups as compare_groups,
)
from .group_tests import (
    fisher_exact as fisher_exact,
)
from .group_tests import (
    pearson_chi2 as pearson_chi2,
)
from .imputation import Pooled as Pooled
from .imputation import impute_binary as impute_binary
from .imputation import pool as pool
from .interaction import (
    GailSimon as GailSimon,
)
from .interaction import (
    InteractionTest as InteractionTest,
)
from .interaction import (
    continuous_interaction as continuous_interaction,
)
from .interaction import (
    detectable_ratio as detectable_ratio,
)
from .interaction import (
    gail_simon as gail_simon,
)
from .interaction import (
    interaction_power as interaction_power,
)
from .interaction import (
    likelihood_ratio as likelihood_ratio,
)
from .lasso import (
    FeatureSelection as FeatureSelection,
)
from .lasso import (
    LassoCox as LassoCox,
)
from .lasso import (
    fit_lasso_cox as fit_lasso_cox,
)
from .lasso import (
    select_features as select_features,
)
from .lasso import (
    uncorrelated_features as uncorrelated_features,
)
from .printing import (
    Difference as Difference,
)
from .printing import (
    Estimate as Estimate,
)
from .printing import (
    HazardRatio as HazardRatio,
)
from .printing import (
    Printed as Printed,
)
from .resampling import (
    OptimismCorrected as OptimismCorrected,
)
from .resampling import (
    bootstrap_selection as bootstrap_selection,
)
from .resampling import (
    cutpoint_under_no_effect as cutpoint_under_no_effect,
)
from .resampling import (
    optimism_corrected_c as optimism_corrected_c,
)
from .resampling import (
    out_of_fold_risk as out_of_fold_risk,
)
from .resampling import (
    permuted_c as permuted_c,
)
from .resampling import (
    stratified_folds as stratified_folds,
)
from .ridge import (
    PENALTIES as PENALTIES,
)
from .ridge import (
    RidgeCox as RidgeCox,
)
from .ridge import (
    cox_loss as cox_loss,
)
from .ridge import (
    fit_ridge_cox as fit_ridge_cox,
)
from .survival import (
    FollowUp as FollowUp,
)
from .survival import (
    KaplanMeier as KaplanMeier,
)
from .survival import (
    LogRank as LogRank,
)
from .survival import (
    Rate as Rate,
)
from .survival import (
    RestrictedMean as RestrictedMean,
)
from .survival import (
    at_risk_table as at_risk_table,
)
from .survival import (
    kaplan_meier as kaplan_meier,
)
from .survival import (
    logrank as logrank,
)
from .survival import (
    rate_at as rate_at,
)
from .survival import (
    reverse_km as reverse_km,
)
from .survival import (
    rmst as rmst,
)
from .timeroc import (
    AucComparison as AucComparison,
)
from .timeroc import (
    BrierScore as BrierScore,
)
from .timeroc import (
    TimeDependentAuc as TimeDependentAuc,
)
from .timeroc import (
    auc_at as auc_at,
)
from .timeroc import (
    brier_score as brier_score,
)
from .timeroc import (
    censoring_survival as censoring_survival,
)
from .timeroc import (
    compare_auc as compare_auc,
)
