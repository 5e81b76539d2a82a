"""Container registries: which digest an image has, and who signed it."""
