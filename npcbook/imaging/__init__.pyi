from .attribution import (
    Attribution as Attribution,
)
from .attribution import (
    integrated_gradients as integrated_gradients,
)
from .attribution import (
    random_head as random_head,
)
from .attribution import (
    randomise as randomise,
)
from .attribution import (
    score_function as score_function,
)
from .attribution import (
    share_within as share_within,
)
from .features import (
    extract_features as extract_features,
)
from .features import (
    features_table as features_table,
)
from .features import (
    store_features as store_features,
)
from .grids import (
    fit_grid as fit_grid,
)
from .grids import (
    plane_field as plane_field,
)
from .grids import (
    stack_on_grid as stack_on_grid,
)
from .grids import (
    store_prediction as store_prediction,
)
from .heads import fit_scaling as fit_scaling
from .heads import fit_softmax_head as fit_softmax_head
from .model import (
    NOTICE as NOTICE,
)
from .model import (
    check_empty as check_empty,
)
from .model import (
    predict as predict,
)
from .model import (
    read_model as read_model,
)
from .model import (
    store_model as store_model,
)
from .model import (
    write_prediction as write_prediction,
)
from .network import NetworkSettings as NetworkSettings
from .network import PrognosisHead as PrognosisHead
from .network import UNet3d as UNet3d
from .overlap import measure_overlap as measure_overlap
from .preprocessing import (
    ORDERS as ORDERS,
)
from .preprocessing import (
    bias_field as bias_field,
)
from .preprocessing import (
    intensity_landmarks as intensity_landmarks,
)
from .preprocessing import (
    match_landmarks as match_landmarks,
)
from .preprocessing import (
    predicted_mask_path as predicted_mask_path,
)
from .preprocessing import (
    preprocess as preprocess,
)
from .preprocessing import (
    preprocess_files as preprocess_files,
)
from .preprocessing import (
    preprocessed_path as preprocessed_path,
)
from .radiomics import (
    IMAGES as IMAGES,
)
from .radiomics import (
    TEXTURES as TEXTURES,
)
from .radiomics import (
    Settings as Settings,
)
from .radiomics import (
    compare_with_ibsi as compare_with_ibsi,
)
from .radiomics import (
    extract_cohort as extract_cohort,
)
from .radiomics import (
    extract_images as extract_images,
)
from .radiomics import (
    extract_readings as extract_readings,
)
from .radiomics import (
    feature_icc as feature_icc,
)
from .radiomics import (
    feature_table as feature_table,
)
from .radiomics import (
    lost_names as lost_names,
)
from .radiomics import (
    redrawn_cases as redrawn_cases,
)
from .trained import (
    load_network as load_network,
)
from .trained import (
    network_path as network_path,
)
from .trained import (
    predict_labels as predict_labels,
)
from .training import (
    TrainingSettings as TrainingSettings,
)
from .training import (
    dice_loss as dice_loss,
)
from .training import (
    train_epoch as train_epoch,
)
from .training import (
    train_segmentation as train_segmentation,
)
from .volumes import (
    Volume as Volume,
)
from .volumes import (
    load_volume as load_volume,
)
from .volumes import (
    read_geometry as read_geometry,
)
from .volumes import (
    read_mask as read_mask,
)
from .volumes import (
    read_volume as read_volume,
)
