"""The local platform as a user gets it: seconds of `up` and `down`, memory, and what a settled system writes."""
