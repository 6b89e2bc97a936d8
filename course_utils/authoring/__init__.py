"""For maintainers: make the exercises, re-run notebooks, refresh what course.toml decides, check the contract."""
