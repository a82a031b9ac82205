"""The whole path for one's own text: from chunks to a page that says what to do."""
