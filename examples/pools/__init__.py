"""What each head adds to the pool, and what other weights would give: trained runs pooled again."""
