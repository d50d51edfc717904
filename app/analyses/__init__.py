"""From a spec to arrays for the pages beside Explore, through mtm_core. Cached across visitors; no widgets."""
