"""MR volumes: reading, preprocessing, the network and its heads, radiomics, use of a trained model."""

import lazy_loader as lazy

# Names are looked up when they are first used, so that reading a table does not wait for a network's library.
__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "attribution": ["Attribution", "integrated_gradients", "random_head", "randomise", "score_function",
            "share_within"],
        "features": ["extract_features", "features_table", "store_features"],
        "grids": ["fit_grid", "plane_field", "stack_on_grid", "store_prediction"],
        "heads": ["fit_scaling", "fit_softmax_head"],
        "model": ["NOTICE", "check_empty", "predict", "read_model", "store_model", "write_prediction"],
        "network": ["NetworkSettings", "PrognosisHead", "UNet3d"],
        "overlap": ["measure_overlap"],
        "preprocessing": ["ORDERS", "bias_field", "intensity_landmarks", "match_landmarks",
            "predicted_mask_path", "preprocess", "preprocess_files", "preprocessed_path"],
        "radiomics": ["IMAGES", "TEXTURES", "Settings", "compare_with_ibsi", "extract_cohort",
            "extract_images", "extract_readings", "feature_icc", "feature_table", "lost_names",
            "redrawn_cases"],
        "trained": ["load_network", "network_path", "predict_labels"],
        "training": ["TrainingSettings", "dice_loss", "train_epoch", "train_segmentation"],
        "volumes": ["Volume", "load_volume", "read_geometry", "read_mask", "read_volume"],
    },
)  # fmt: skip
