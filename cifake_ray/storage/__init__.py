"""Local files, the mirror of object storage, the cache, downloads."""
