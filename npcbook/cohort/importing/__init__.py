"""From a hospital's own tables and images to a cohort: guesses to look at in ``map.yml``, then conversion."""
