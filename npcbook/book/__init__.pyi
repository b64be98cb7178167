from .chapter import (
    KEPT as KEPT,
    Chapter as Chapter,
    describe_cohort as describe_cohort,
    in_short as in_short,
    open_chapter as open_chapter,
    show_source as show_source,
    source_label as source_label,
)
from .figures import (
    CONTOUR_STYLES as CONTOUR_STYLES,
    forest_limits as forest_limits,
    plot_calibration as plot_calibration,
    plot_forest as plot_forest,
    plot_kaplan_meier as plot_kaplan_meier,
    plot_panels as plot_panels,
    plot_roc as plot_roc,
    plot_slice as plot_slice,
    small_multiples as small_multiples,
    widest_slice as widest_slice,
)
from .notebooks import (
    EditedNotebook as EditedNotebook,
    derive_notebook as derive_notebook,
    keep_edits as keep_edits,
    lay_out_lab as lay_out_lab,
    stale_notebooks as stale_notebooks,
    sync_notebooks as sync_notebooks,
)
from .pages import (
    BuildFailed as BuildFailed,
    build_pages as build_pages,
    expected_pages as expected_pages,
    front_page as front_page,
)
from .parameters import WrongParameter as WrongParameter, check_chapter as check_chapter
from .results import (
    Shown as Shown,
    list_shown as list_shown,
    methods_text as methods_text,
    write_results as write_results,
)
from .run import (
    ChapterFailed as ChapterFailed,
    ChapterPlan as ChapterPlan,
    read_profile as read_profile,
    run_chapters as run_chapters,
)
from .tables import Table as Table, show as show
