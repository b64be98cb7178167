"""Estimators: arrays in, frozen results out; higher risk = worse, everywhere."""

import lazy_loader as lazy

# Names are looked up when they are first used, so that reading a table does not wait for a network's library.
__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "adjustment": ["EValue", "InverseProbabilityWeights", "WeightedRates", "balance_table", "e_value",
            "inverse_probability_weights", "partial_correlation", "rate_difference",
            "restricted_cubic_spline", "weighted_rates"],
        "calibration": ["AbsoluteRisk", "Calibration", "CumulativeIncidence", "SampleSize", "calibrate",
            "cumulative_incidence", "fit_absolute_risk", "minimum_sample_size", "net_benefit"],
        "concordance": ["Concordance", "ConcordanceComparison", "compare_c", "harrell_c", "uno_c"],
        "cox": ["CoxFit", "fit_cox", "univariable_cox"],
        "cutpoint": ["Cutpoint", "optimal_cutpoint", "split_statistics"],
        "data": ["RiskSets", "check_column", "check_survival", "estimable_columns", "read_covariates"],
        "firth": ["FirthFit", "fit_cox_or_firth", "fit_firth_cox"],
        "group_tests": ["GroupTest", "compare_groups", "fisher_exact", "pearson_chi2"],
        "imputation": ["Pooled", "impute_binary", "pool"],
        "interaction": ["GailSimon", "InteractionTest", "continuous_interaction", "gail_simon",
            "likelihood_ratio"],
        "lasso": ["FeatureSelection", "LassoCox", "fit_lasso_cox", "select_features",
            "uncorrelated_features"],
        "printing": ["Difference", "Estimate", "HazardRatio", "Printed"],
        "resampling": ["OptimismCorrected", "bootstrap_selection", "cutpoint_under_no_effect",
            "optimism_corrected_c", "out_of_fold_risk", "permuted_c", "stratified_folds"],
        "ridge": ["PENALTIES", "RidgeCox", "cox_loss", "fit_ridge_cox"],
        "survival": ["FollowUp", "KaplanMeier", "LogRank", "Rate", "RestrictedMean", "at_risk_table",
            "kaplan_meier", "logrank", "rate_at", "reverse_km", "rmst"],
        "timeroc": ["AucComparison", "BrierScore", "TimeDependentAuc", "auc_at", "brier_score",
            "censoring_survival", "compare_auc"],
    },
)  # fmt: skip
