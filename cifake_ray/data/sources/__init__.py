"""From a folder, archive, table or manifest to labelled items."""
