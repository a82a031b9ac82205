"""Did it truly help? The host's rubric, its tiers, and paired comparisons."""
