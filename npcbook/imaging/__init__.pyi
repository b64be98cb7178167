from .attribution import (
    Attribution as Attribution,
    integrated_gradients as integrated_gradients,
    random_head as random_head,
    randomise as randomise,
    score_function as score_function,
    share_within as share_within,
)
from .bias import bias_field as bias_field
from .features import (
    TORCH_WORKERS as TORCH_WORKERS,
    extract_features as extract_features,
    features_table as features_table,
    segment_patients as segment_patients,
)
from .grids import (
    fit_grid as fit_grid,
    plane_field as plane_field,
    stack_on_grid as stack_on_grid,
    store_prediction as store_prediction,
)
from .heads import (
    fit_scaling as fit_scaling,
    fit_softmax_head as fit_softmax_head,
    fit_staged_head as fit_staged_head,
    merge_heads as merge_heads,
)
from .model import (
    MASK_FORMATS as MASK_FORMATS,
    NOTICE as NOTICE,
    Model as Model,
    check_empty as check_empty,
    check_mask_format as check_mask_format,
    predict as predict,
    read_model as read_model,
    store_model as store_model,
    write_prediction as write_prediction,
)
from .network import (
    LOWEST as LOWEST,
    NetworkSettings as NetworkSettings,
    PrognosisHead as PrognosisHead,
    UNet3d as UNet3d,
)
from .novelty import intensity_levels as intensity_levels, summarise as summarise
from .overlap import measure_overlap as measure_overlap
from .preprocessing import (
    ORDERS as ORDERS,
    check_head as check_head,
    intensity_landmarks as intensity_landmarks,
    match_landmarks as match_landmarks,
    normalise as normalise,
    predicted_mask_path as predicted_mask_path,
    preprocess as preprocess,
    preprocess_files as preprocess_files,
    preprocessed_path as preprocessed_path,
)
from .prognosis import PrognosisSettings as PrognosisSettings, train_on_metastasis as train_on_metastasis
from .radiomics import (
    IMAGES as IMAGES,
    TEXTURES as TEXTURES,
    Settings as Settings,
    compare_with_ibsi as compare_with_ibsi,
    extract_cohort as extract_cohort,
    extract_images as extract_images,
    extract_readings as extract_readings,
    feature_icc as feature_icc,
    feature_table as feature_table,
    lost_names as lost_names,
    redrawn_cases as redrawn_cases,
)
from .trained import (
    load_network as load_network,
    network_path as network_path,
    predict_labels as predict_labels,
)
from .training import (
    TrainingSettings as TrainingSettings,
    dice_loss as dice_loss,
    stable_after as stable_after,
    train_epoch as train_epoch,
    train_segmentation as train_segmentation,
)
from .volumes import (
    Volume as Volume,
    load_volume as load_volume,
    read_geometry as read_geometry,
    read_mask as read_mask,
    read_volume as read_volume,
    without_extremes as without_extremes,
)
