"""Programs that emulated nodes run as containers: the examples that a service developer tries first."""
