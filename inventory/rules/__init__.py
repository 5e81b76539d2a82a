"""The rules between entries, a file a subject. Each reports into its draft and raises nothing."""
