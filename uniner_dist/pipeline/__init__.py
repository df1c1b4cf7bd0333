"""The main job as its stages, one after the other, with the checks that come before anything is spent."""
