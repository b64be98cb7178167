"""MR volumes: reading, preprocessing, the network and its heads, radiomics, use of a trained model."""

import lazy_loader as lazy

# Names are looked up when they are first used, so that reading a table does not wait for a network's library.
__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "attribution": ["Attribution", "integrated_gradients", "random_head", "randomise", "score_function",
            "share_within"],
        "features": ["Features", "extract_features", "features_table", "region_features", "store_features"],
        "grids": ["fit_grid", "plane_field", "restore_grid", "stack_on_grid"],
        "heads": ["FARTHEST", "LinearHead", "Scaling", "SoftmaxHead", "fit_scaling", "fit_softmax_head",
            "load_head", "save_head"],
        "model": ["NOTICE", "Model", "Prediction", "SequenceResult", "check_empty", "predict", "read_model",
            "store_model", "write_prediction"],
        "network": ["WIDTHS", "NetworkSettings", "PrognosisHead", "UNet3d", "dilate", "pool_global",
            "pool_region"],
        "overlap": ["STRUCTURES", "Overlap", "compare_masks", "measure_overlap", "store_prediction"],
        "preprocessing": ["ORDERS", "bias_field", "correct_bias", "head_mask", "intensity_landmarks",
            "match_landmarks", "normalise", "predicted_mask_path", "preprocess", "preprocess_files",
            "preprocessed_path", "preprocessing_steps"],
        "radiomics": ["IMAGES", "TEXTURES", "CaseFeatures", "Extraction", "Icc", "Settings",
            "compare_with_ibsi", "extract_cohort", "extract_images", "extract_readings", "feature_icc",
            "feature_table", "icc_one_way", "lost_names", "perturb_mask", "redrawn_cases"],
        "trained": ["TrainedNetwork", "load_network", "network_path", "predict_labels"],
        "training": ["TrainingSettings", "augment", "cross_entropy_loss", "dice_loss", "train_epoch",
            "train_segmentation"],
        "volumes": ["Volume", "load_volume", "read_geometry", "read_mask", "read_volume", "store_volume",
            "write_mask"],
    },
)  # fmt: skip
