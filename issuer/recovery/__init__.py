"""Recovery: brings a store that has gone back, and a log that knows more or something else, together again."""
