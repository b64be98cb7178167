"""Chapters and runs: what they read and write, tables, figures, results and pages."""

import lazy_loader as lazy

# Names are looked up when they are first used, so that reading a table does not wait for a network's library.
__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "chapter": ["KEPT", "Chapter", "describe_cohort", "in_short", "open_chapter", "show_source",
            "source_label"],
        "figures": ["CONTOUR_STYLES", "axis_start", "forest_limits", "plot_calibration", "plot_curves",
            "plot_cutpoint", "plot_forest", "plot_kaplan_meier", "plot_roc", "plot_slice",
            "small_multiples", "widest_slice"],
        "pages": ["BuildFailed", "build_pages", "expected_pages", "front_page"],
        "results": ["Shown", "list_shown", "methods_text", "write_results"],
        "run": ["ChapterFailed", "ChapterPlan", "UnknownParameter", "derive_notebook", "read_profile",
            "run_chapters", "stale_notebooks", "sync_notebooks"],
        "tables": ["Table", "show"],
    },
)  # fmt: skip
