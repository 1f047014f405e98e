"""The commands: each module has one ``command`` and is imported when it is called."""
