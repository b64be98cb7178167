from .chapter import (
    KEPT as KEPT,
)
from .chapter import (
    Chapter as Chapter,
)
from .chapter import (
    describe_cohort as describe_cohort,
)
from .chapter import (
    in_short as in_short,
)
from .chapter import (
    open_chapter as open_chapter,
)
from .chapter import (
    show_source as show_source,
)
from .chapter import (
    source_label as source_label,
)
from .figures import (
    CONTOUR_STYLES as CONTOUR_STYLES,
)
from .figures import (
    axis_start as axis_start,
)
from .figures import (
    forest_limits as forest_limits,
)
from .figures import (
    plot_calibration as plot_calibration,
)
from .figures import (
    plot_curves as plot_curves,
)
from .figures import (
    plot_cutpoint as plot_cutpoint,
)
from .figures import (
    plot_forest as plot_forest,
)
from .figures import (
    plot_kaplan_meier as plot_kaplan_meier,
)
from .figures import (
    plot_roc as plot_roc,
)
from .figures import (
    plot_slice as plot_slice,
)
from .figures import (
    small_multiples as small_multiples,
)
from .figures import (
    widest_slice as widest_slice,
)
from .pages import (
    BuildFailed as BuildFailed,
)
from .pages import (
    build_pages as build_pages,
)
from .pages import (
    expected_pages as expected_pages,
)
from .pages import (
    front_page as front_page,
)
from .results import (
    Shown as Shown,
)
from .results import (
    list_shown as list_shown,
)
from .results import (
    methods_text as methods_text,
)
from .results import (
    write_results as write_results,
)
from .run import (
    ChapterFailed as ChapterFailed,
)
from .run import (
    ChapterPlan as ChapterPlan,
)
from .run import (
    UnknownParameter as UnknownParameter,
)
from .run import (
    derive_notebook as derive_notebook,
)
from .run import (
    read_profile as read_profile,
)
from .run import (
    run_chapters as run_chapters,
)
from .run import (
    stale_notebooks as stale_notebooks,
)
from .run import (
    sync_notebooks as sync_notebooks,
)
from .tables import Table as Table
from .tables import show as show
