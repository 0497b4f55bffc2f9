"""What a study tries next (searcher) and which trials it stops early (scheduler)."""
