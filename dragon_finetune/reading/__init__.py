"""Input as people have it: files and folders of the usual kinds, read into records with their places."""
