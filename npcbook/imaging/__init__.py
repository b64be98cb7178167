"""MR volumes: reading, preprocessing, the network and its heads, radiomics, use of a trained model."""

import lazy_loader as lazy

# Names are looked up when they are first used, so that reading a table does not wait for a network's library.
__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "attribution": ["Attribution", "integrated_gradients", "random_head", "randomise", "score_function",
            "share_within"],
        "features": ["Features", "extract_features", "features_table", "predict_labels", "region_features",
            "store_features"],
        "grids": ["fit_grid", "plane_field", "resample", "restore_grid", "stack_on_grid"],
        "heads": ["FARTHEST", "LinearHead", "Scaling", "SoftmaxHead", "fit_scaling", "fit_softmax_head",
            "load_head", "save_head"],
        "model": ["Model", "Prediction", "SequenceResult", "check_empty", "model_card", "predict",
            "read_model", "store_model", "write_model_card", "write_prediction"],
        "network": ["WIDTHS", "NetworkSettings", "PrognosisHead", "UNet3d", "dilate", "pool_global",
            "pool_region"],
        "overlap": ["STRUCTURES", "Overlap", "measure_overlap", "store_prediction"],
        "preprocessing": ["ORDERS", "bias_field", "correct_bias", "head_mask", "intensity_landmarks",
            "load_masked_volume", "load_volume", "match_landmarks", "normalise", "predicted_mask_path",
            "preprocess", "preprocess_files", "preprocessed_path", "preprocessing_steps", "store_volume"],
        "radiomics": ["FEATURE_SETS", "IMAGES", "MASKS", "TEXTURES", "CaseFeatures", "Extraction", "Icc",
            "Settings", "compare_with_ibsi", "extract_cohort", "extract_features", "extract_images",
            "extract_readings", "feature_icc", "feature_table", "icc_one_way", "lost_names", "perturb_mask",
            "read_case", "redrawn_cases"],
        "training": ["TrainedNetwork", "TrainingSettings", "augment", "cross_entropy_loss", "dice_loss",
            "load_network", "train_segmentation"],
        "volumes": ["Volume", "read_geometry", "read_mask", "read_volume", "write_mask"],
    },
)  # fmt: skip
