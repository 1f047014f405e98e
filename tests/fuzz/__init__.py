"""Coverage-guided fuzzing of what comes from outside: tokens, and events. See ``docs/testing.md``."""
