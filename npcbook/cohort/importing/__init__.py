"""From a hospital's own files to a cohort: guesses to look at in ``map.yml``, then the conversion."""
