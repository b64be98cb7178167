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
        "cox": ["CoxFit", "ProportionalHazardsTest", "fit_cox", "proportional_hazards_test",
            "univariable_cox"],
        "cutpoint": ["Cutpoint", "lausen_schumacher_p", "logrank_scores", "optimal_cutpoint",
            "split_statistics"],
        "data": ["RiskSets", "check_column", "check_survival", "check_varies", "estimable_columns",
            "read_covariates", "read_design"],
        "firth": ["FirthFit", "fit_cox_or_firth", "fit_firth_cox"],
        "group_tests": ["CategoricalTest", "ContinuousTest", "compare_groups", "fisher_exact",
            "fisher_odds_ratio", "mann_whitney", "pearson_chi2"],
        "imputation": ["Pooled", "impute_binary", "pool"],
        "interaction": ["GailSimon", "InteractionTest", "cochran_q", "continuous_interaction", "gail_simon",
            "interval_graphical", "likelihood_ratio"],
        "lasso": ["FeatureSelection", "LassoCox", "fit_lasso_cox", "select_features",
            "uncorrelated_features"],
        "printing": ["Estimate", "HazardRatio", "Printed"],
        "resampling": ["OptimismCorrected", "bootstrap_selection", "cutpoint_under_no_effect",
            "optimism_corrected_c", "out_of_fold_risk", "permuted_c", "stratified_folds"],
        "ridge": ["PENALTIES", "RidgeCox", "cox_loss", "fit_ridge_cox"],
        "survival": ["FollowUp", "KaplanMeier", "LogRank", "RestrictedMean", "at_risk_table",
            "kaplan_meier", "logrank", "pairwise_logrank", "rate_at", "reverse_km", "rmst"],
        "timeroc": ["AucComparison", "TimeDependentAuc", "auc_at", "censoring_survival", "compare_auc"],
    },
)  # fmt: skip
